from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import pytest

from dbambassador.commands import reflect
from dbambassador.errors import ExitCode
from dbambassador.reflection.findings import found_several
from dbambassador.reflection.gather import gather
from dbambassador.reflection.saved import load
from dbambassador.values import Confidence, Fact, Facts, State
from tests.reflection.places import COMPOSE, POD, Place
from tests.test_locate import BY_NAMESPACE, BY_REGION, environments

SCHEMA = json.loads((Path(reflect.__file__).parent / "schemas" / "reflect.schema.json").read_text())


def run(
    place: Place,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *flags: str,
) -> str:
    """The command's output in a place."""
    _enter(place.environ, monkeypatch)
    parser = argparse.ArgumentParser()
    reflect.configure(parser)
    options = parser.parse_args(flags)
    common: dict[str, object] = {
        "environments": tmp_path / "environments",
        "environment": None,
        "override_match": False,
        "database": [],
        "root": place.build(tmp_path / "root"),
        "nameserver": [],
        "fact": [],
        "facts_file": None,
        "metadata_services": False,
    }
    for name, value in common.items():
        setattr(options, name, value)
    assert reflect.run(options) is ExitCode.DONE
    return capsys.readouterr().out


def _enter(environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(
            ("KUBERNETES_", "DBAMBASSADOR_", "COMPOSE_", "OTEL_", "K8S_", "POD_", "NODE_NAME")
        ):
            monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)


def test_the_table_of_a_pod(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = run(POD, tmp_path, capsys, monkeypatch)
    lines = out.splitlines()
    assert lines[0].split() == ["FACT", "VALUE", "CONFIDENCE", "SOURCE"]
    (namespace,) = [line for line in lines if line.startswith("k8s.namespace.name ")]
    assert namespace.split()[:3] == ["k8s.namespace.name", "shop", "strong"]
    assert "…/serviceaccount/namespace" in namespace + lines[lines.index(namespace) + 1]
    fingerprint = next(number for number, line in enumerate(lines) if "ca.sha256" in line)
    assert len(lines[fingerprint].split()[1]) == 64
    assert lines[fingerprint + 1].split() == ["strong", "…/serviceaccount/ca.crt"]
    assert max(map(len, lines)) <= 105
    (ip,) = [line for line in lines if line.startswith("  k8s.pod.ip ")]
    assert "status.podIP" in ip
    assert lines.index(ip) > lines.index("Unknown:")
    assert "k8s.pod.label.*        the others are absent (/etc/podinfo/labels)" in out
    assert "k8s.node.label.*       all are unknown: only the Kubernetes API knows" in out
    assert "cannot be said: no environments here" in lines[-1]


@pytest.mark.parametrize(
    ("file", "said"),
    [(BY_NAMESPACE, "would not ask it"), (BY_REGION, "`run` would ask it, for cloud.region.")],
)
def test_the_last_line_says_whether_the_api_would_be_asked(
    file: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environments(tmp_path / "environments", one=file)
    out = run(POD, tmp_path, capsys, monkeypatch)
    assert "The Kubernetes API was not asked" in out.splitlines()[-1]
    assert said in out.splitlines()[-1]
    document = json.loads(run(POD, tmp_path, capsys, monkeypatch, "--json"))
    expected = ["cloud.region"] if file is BY_REGION else []
    assert document["api"] == {"asked": False, "would_ask_for": expected}


@pytest.mark.parametrize("place", [POD, COMPOSE])
def test_json_is_the_contract_and_replays(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    document = json.loads(run(place, tmp_path, capsys, monkeypatch, "--json"))
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(document, SCHEMA)
    assert load(document, "f") == gather(tmp_path / "root", dict(os.environ))
    assert document["api"]["would_ask_for"] is None


def test_api_with_nobody_to_ask(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "this is no pod" in run(COMPOSE, tmp_path, capsys, monkeypatch, "--api").splitlines()[-1]


def test_api_asks_even_if_it_cannot_decide(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody listens on port 1: that it is asked at all shows in the reason.
    place = Place(
        POD.files,
        environ={**POD.environ, "KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"},
    )
    out = run(place, tmp_path, capsys, monkeypatch, "--api")
    assert out.splitlines()[-1] == "The Kubernetes API was asked (--api)."
    words = " ".join(out.split())
    assert "GET /api/v1/nodes/worker-3: no connection" in words
    assert "GET /api/v1/namespaces/shop: no connection" in words


def test_absent_facts_are_in_one_line() -> None:
    facts = Facts.of([Fact("a", State.ABSENT), Fact("b", State.ABSENT), Fact("c", State.PRESENT, "x" * 100)])
    out = reflect.screen(facts)
    assert "Looked for, and absent: a, b" in out
    assert "x" * 63 + "…" in out


def test_from_the_shell(tmp_path: Path) -> None:
    root = COMPOSE.build(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "dbambassador", "reflect", "--json", "--root", str(root), "--fact", "a=1"],
        env={**os.environ, **COMPOSE.environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    facts = load(json.loads(done.stdout), "stdout")
    assert facts.get("a").source == "--fact"
    assert facts.get("dbambassador.platform").value == "compose"


def test_every_value_of_a_fact_is_on_a_line_of_its_own() -> None:
    fact = found_several("k8s.ca", ["b" * 64, "a" * 64], Confidence.STRONG, "ca.crt")
    lines = reflect.screen(Facts.of([fact])).splitlines()
    assert lines[1].split() == ["k8s.ca", "a" * 64]
    assert lines[2].split() == ["strong", "ca.crt"]
    assert lines[3].split() == ["b" * 64]
