"""Targets: our own files and pages, which anybody may have edited."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from dbambassador.errors import InvalidConfiguration
from dbambassador.injection.manifest import File as Manifest
from dbambassador.injection.manifest import injected, removed
from dbambassador.injection.sidecar import Wanted
from dbambassador.observability import status
from dbambassador.observability.page import page
from dbambassador.observability.page.files import page_files
from dbambassador.observability.traffic import Traffic
from dbambassador.printable import printable
from dbambassador.reflection import downward, explicit, saved, token_claims
from dbambassador.reflection.findings import Findings
from dbambassador.reflection.merging import merged
from dbambassador.settings import decoding
from dbambassador.settings.decoding import File
from dbambassador.values import Confidence
from tests.fuzz.places import LABELS, TOKEN, reading, shown
from tests.observability.samples import event, running


def stated(data: bytes) -> None:
    shown(explicit.findings(explicit.parse(data, "facts.yaml")))


def saved_facts(data: bytes) -> None:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    facts = saved.load(document, "facts.json")
    assert saved.load(json.loads(json.dumps(saved.dump(facts))), "again.json") == facts


def environment(data: bytes) -> None:
    profiles, problems = decoding.decode(_DEFAULTS, [File("a.yaml", "a", data)])
    assert profiles or problems
    for problem in problems:
        assert str(problem) == printable(str(problem))


_HERE = Path(__file__).parents[2]
_DEFAULTS = File("_defaults.yaml", "_defaults", (_HERE / "environments/_defaults.yaml").read_bytes())
_SHIPPED = tuple(
    path.read_bytes()
    for folder in ("environments", "dbambassador/demo/environments")
    for path in sorted((_HERE / folder).glob("*.yaml"))
)
_SHIPPED += (Path(__file__).with_name("everything.yaml").read_bytes(),)
ENVIRONMENTS = (*_SHIPPED, *(json.dumps(yaml.safe_load(shipped)).encode() for shipped in _SHIPPED))
"""Those that we ship, and one with every key; as they are, and as JSON, which is YAML too."""


def manifest(data: bytes) -> None:
    """What comes out is final: to inject once more changes nothing, and it can be taken out again."""
    once = injected([Manifest("a.yaml", data)], Wanted())
    try:
        again = injected([Manifest("a.yaml", once.text.encode())], Wanted())
        removed([Manifest("a.yaml", once.text.encode())])
    except InvalidConfiguration as error:
        raise AssertionError(once.text) from error
    assert again.text == once.text


def snapshot(data: bytes) -> None:
    """What answers on the admin port may be anybody."""
    document = json.loads(data)
    status.render(document)
    page.render(document, Traffic(), page_files())


YAML_WORDS = (
    b"databases:\n",
    b"  orders:\n",
    b"    endpoint: ",
    b"match: {matchFacts: {",
    b"matchExpressions:\n",
    b"- {key: a, operator: In, values: [b]}\n",
    b"${cloud.region}",
    b"listen: [localhost:5432]\n",
    b"&a ",
    b"*a",
    b"<<: ",
    b"!!python/object ",
    b"--- \n",
    b"- - - - ",
    b"{{{{",
    b"? ",
    b"|\n",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
)
_MANIFESTS = tuple(path.read_bytes() for path in sorted((_HERE / "tests/injection/manifests").iterdir()))
_INJECTED = (injected([Manifest("a", each)], Wanted()).text.encode() for each in _MANIFESTS)
MANIFESTS = (*_MANIFESTS, *(each.replace(b"startup", b"older") for each in _INJECTED))
"""Without the ambassador, and with one that is not up to date."""
MANIFEST_WORDS = (
    b"apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: a\n",
    b"initContainers:\n",
    b"initContainers: []",
    b"volumes:\n",
    b"volumes: ~ # a\n",
    b"- name: dbambassador\n  image: dbambassador\n",
    b"\n---\n",
    b"\n...\n",
    b"\r\n",
    b"\n# a\n",
    b"? ",
    b"&a ",
    b"*a",
    b"<<: ",
    b"|+\n",
    b"%YAML 1.1\n",
    b"\xc2\x85",
    b"\xe2\x80\xa8",
    b"\xef\xbb\xbf",
)
JSON_WORDS = (b"null", b"1e999", b"-0", b"NaN", b'"\\ud800"', b"[[[[", b'{"a":', b"true", b"9" * 30)


def _facts() -> bytes:
    labelled = downward.whole_map(downward.LABELS, reading(LABELS[0]), Confidence.STRONG)
    claimed = token_claims.read(reading(TOKEN), None)
    return json.dumps(saved.dump(merged(Findings.joined((labelled, claimed))))).encode()


FACTS_FILE = (b"k8s.namespace.name: shop\ncloud.region: eu-west-1\n", b'{"cloud.region": "eu-west-1"}')
SNAPSHOT = json.dumps({**running(), "recent": [event("opened", seconds_ago=1.5)]}).encode()
FACTS = _facts()
RENDERING = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What `dbambassador status` takes for "no ambassador of this version"."""
