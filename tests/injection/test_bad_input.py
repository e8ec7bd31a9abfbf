"""What cannot be changed as asked is refused with its place, and then nothing comes out."""

from __future__ import annotations

import time

import pytest
import yaml

from dbambassador.errors import InvalidConfiguration
from dbambassador.injection import parsing
from dbambassador.injection.manifest import MAX_BYTES, File, injected
from dbambassador.injection.sidecar import Wanted

HEAD = "apiVersion: v1\nkind: Pod\nmetadata: {name: shop}\n"
POD = HEAD + "spec:\n  containers:\n  - {name: shop, image: shop}\n"
OURS = "{name: dbambassador, image: dbambassador}"

REFUSED = {
    "a value in front of a block": ("a: b\n  c: d\n", "a.yaml:2: found invalid YAML in column 4"),
    "a tab": ("a:\n\tb: c\n", "a.yaml:2: found invalid YAML in column 1"),
    "a control character": (POD + "# \x07\n", "a.yaml:7: found invalid YAML in column 3"),
    "a bracket too few": (POD + "x: [1, 2\n", "found invalid YAML"),
    "a Go template": (
        "apiVersion: v1\nkind: Pod\nspec:\n{{- if .Values.on }}\n  containers: []\n{{- end }}\n",
        "a template? render it first",
    ),
    "no object": ("just text\n", "found a single value, expected a Kubernetes object"),
    "a list of objects": ("- kind: Pod\n", "found a list, expected a Kubernetes object"),
    "no kind": ("apiVersion: v1\nspec: {}\n", "kind: found nothing, expected the kind"),
    "a kind that is a list": ("apiVersion: v1\nkind: [Pod]\n", "kind: found a list"),
    "no apiVersion": ("kind: Pod\nspec: {}\n", "apiVersion: found nothing"),
    "no spec": (HEAD, "spec: found nothing"),
    "a null spec": (HEAD + "spec:\n", "a.yaml:4: spec: found nothing, expected a mapping"),
    "a spec that is a text": (HEAD + "spec: later\n", "spec: found a single value"),
    "a template without a spec": (
        "apiVersion: apps/v1\nkind: Deployment\nspec:\n  template: {}\n",
        "spec.template.spec: found nothing",
    ),
    "no containers": (HEAD + "spec: {restartPolicy: Never}\n", "spec.containers: found nothing"),
    "empty containers": (HEAD + "spec: {containers: []}\n", "spec.containers: found nothing"),
    "containers that are a mapping": (
        HEAD + "spec: {containers: {shop: {image: shop}}}\n",
        "spec.containers: found a mapping, expected a list",
    ),
    "a container that is a text": (
        POD + "  initContainers: [migrate]\n",
        "a.yaml:7: spec.initContainers[0]: found a single value, expected a mapping with a name",
    ),
    "init containers that are a mapping": (
        POD + "  initContainers: {name: migrate}\n",
        "a.yaml:7: spec.initContainers: found a mapping, expected a list",
    ),
    "items that are no list": ("apiVersion: v1\nkind: List\nitems: {}\n", "items: found a mapping"),
    "an item that is none": ("apiVersion: v1\nkind: List\nitems: [1]\n", "items[0]: found a single value"),
    "another container of our name": (
        POD + "  initContainers: [{name: dbambassador, image: somebody/elses:1}]\n",
        "spec.initContainers[0]: found a container named dbambassador",
    ),
    "two of our containers": (
        POD + f"  initContainers: [{OURS}, {OURS}]\n",
        "found two containers named dbambassador",
    ),
    "another volume of our name": (
        POD + "  volumes: [{name: dbambassador-environments, emptyDir: {}}]\n",
        "spec.volumes[0]: found a volume named dbambassador-environments",
    ),
    "a claim of our name": (
        "apiVersion: apps/v1\nkind: StatefulSet\n"
        "spec:\n  volumeClaimTemplates: [{metadata: {name: dbambassador-ca}}]\n"
        "  template: {spec: {containers: [{name: shop, image: shop}]}}\n",
        "spec.volumeClaimTemplates: found a claim named dbambassador-ca",
    ),
    "half a character": (
        POD + '  initContainers: [{name: a, image: "\\ud83d"}]\n',
        "spec.initContainers: found half a character",
    ),
    "a character past the last one": (POD + '# \u00fc\nx: "\\U00110000"\n', "found invalid YAML in column"),
    "a control character behind others": (
        POD + "# \u00fc\u00fc \x07\n",
        "a.yaml:7: found invalid YAML in column 6: a character that YAML does not allow, 0x7",
    ),
    "a list as a key": (POD + "  volumes: [{name: a, [b]: c}]\n", "spec.volumes: found a list as a key"),
    "a list by an alias": (
        HEAD + "x: &c [{name: migrate, image: shop}]\nspec:\n  initContainers: *c\n"
        "  containers: [{name: shop, image: shop}]\n",
        "spec.initContainers: found the alias *c",
    ),
    "a pod by an alias": (
        "x: &p {containers: [{name: shop, image: shop}]}\n" + HEAD + "spec: *p\n",
        "spec: found the alias *p",
    ),
    "a pod with an alias elsewhere": (
        HEAD + "spec: &p\n  containers: [{name: shop, image: shop}]\ny: *p\n",
        "found the anchor &p, which another place uses",
    ),
    "a list with an alias elsewhere": (
        HEAD + "spec:\n  initContainers: &c [{name: a, image: b}]\n  containers: *c\n",
        "found the anchor &c, which another place uses",
    ),
    "a list that a merge key brings": (
        "x: &p {volumes: []}\n" + HEAD + "spec:\n  <<: *p\n  containers: [{name: shop, image: shop}]\n",
        "spec: found volumes by a merge key",
    ),
    "containers that a merge key brings": (
        "x: &p {containers: [{name: a, image: b}]}\n" + HEAD + "spec:\n  <<: [*p]\n",
        "spec: found containers by a merge key",
    ),
    "a key twice": (POD + "  containers: []\n", "a.yaml:7: spec.containers: found the key again"),
    "an alias without an anchor": (HEAD + "spec: *nothing\n", "the alias *nothing of no anchor"),
    "an anchor inside an older ambassador": (
        HEAD + "spec:\n  initContainers:\n  - name: dbambassador\n    image: dbambassador\n"
        "    resources: &r {}\n  containers:\n  - {name: shop, image: shop, resources: *r}\n",
        "spec.initContainers[0]: found the anchor &r, which another place uses",
    ),
    "an item on the line below an anchor": (
        HEAD + "spec:\n  initContainers:\n    &c\n    - {name: a, image: b}\n"
        "  containers: [{name: shop, image: shop}]\n",
        "found a style that cannot be edited in place, in document 1",
    ),
    "a list behind a question mark": (
        HEAD + "spec:\n  ? containers\n  : - {name: shop, image: shop}\n",
        "found a style that cannot be edited in place",
    ),
    "a hundred levels": (HEAD + "x: " + "[" * 200 + "]" * 200 + "\n", "found deeper nesting"),
}


@pytest.mark.parametrize("loader", [parsing.LOADER, yaml.SafeLoader], ids=["libyaml", "Python"])
@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_with_its_place(case: str, loader: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "LOADER", loader)
    text, message = REFUSED[case]
    with pytest.raises(InvalidConfiguration) as refused:
        injected([File("a.yaml", text.encode())], Wanted())
    assert message in str(refused.value)


def test_one_bad_document_spoils_all_and_every_problem_is_told() -> None:
    files = [
        File("good.yaml", POD.encode()),
        File("bad.yaml", f"{HEAD}---\n{POD}---\n{HEAD}spec: 1\n".encode()),
        File("broken.yaml", b"{"),
    ]
    with pytest.raises(InvalidConfiguration) as refused:
        injected(files, Wanted())
    assert [problem.file for problem in refused.value.problems] == ["bad.yaml", "bad.yaml", "broken.yaml"]


def test_bytes_that_are_no_utf_8_are_refused_with_their_line() -> None:
    with pytest.raises(InvalidConfiguration, match=r"a\.yaml:2: found the byte 0xff, expected UTF-8 text"):
        injected([File("a.yaml", b"kind: Pod\n# \xff")], Wanted())


def test_a_file_past_the_limit_is_refused() -> None:
    with pytest.raises(InvalidConfiguration, match="more than 16 MiB"):
        injected([File("a.yaml", b"#" * (MAX_BYTES + 1))], Wanted())


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "spec:\n  containers:\n  - &a {name: shop, image: shop, x: [*a]}\n",
        HEAD
        + "spec:\n  containers:\n  - name: shop\n    a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"    {b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n"
            for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        ),
    ],
    ids=["an alias of itself", "a billion laughs"],
)
def test_a_value_that_stands_for_more_than_a_pod_holds_is_refused(text: str) -> None:
    started = time.process_time()
    with pytest.raises(InvalidConfiguration, match="more than 10000 values"):
        injected([File("a.yaml", text.encode())], Wanted())
    assert time.process_time() - started < 1


def test_laughs_elsewhere_are_none_of_our_business() -> None:
    laughs = "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    text = f"{POD}a: &a [x]\n{laughs}"
    result = injected([File("a.yaml", text.encode())], Wanted())
    assert result.text.endswith(laughs)


@pytest.mark.parametrize(
    "text", ["", "\n", "# nothing\n", "---\n", "---\n...\n---\n# a\n", "\ufeff", "null\n"]
)
def test_what_is_empty_stays_as_it_is(text: str) -> None:
    result = injected([File("a.yaml", text.encode())], Wanted())
    assert (result.text, result.outcomes) == (text, ())
