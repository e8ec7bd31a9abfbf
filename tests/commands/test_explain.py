"""`dbambassador explain`, through the real command line, on facts under a root of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dbambassador import cli
from dbambassador.commands.schema import document
from dbambassador.reflection import saved
from dbambassador.values import Confidence, Fact, Facts, State

SHIPPED = Path(__file__).parents[2] / "environments"


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "KUBERNETES_SERVICE_HOST",
        "COMPOSE_PROJECT",
        "DBAMBASSADOR_PLATFORM",
        "OTEL_RESOURCE_ATTRIBUTES",
    ):
        monkeypatch.delenv(name, raising=False)


def explain(root: Path, *arguments: str) -> int:
    return cli.main(["explain", "--environments", str(SHIPPED), "--root", str(root), *arguments])


def saved_facts(directory: Path, *facts: Fact) -> str:
    file = directory / "facts.json"
    file.write_text(json.dumps(saved.dump(Facts.of(facts))))
    return str(file)


def as_json(capsys: pytest.CaptureFixture[str]) -> Any:
    report = json.loads(capsys.readouterr().out)
    jsonschema.validate(report, document("explain"), jsonschema.Draft202012Validator)
    return report


NAMESPACE = Fact("k8s.namespace.name", State.PRESENT, "shop-staging", Confidence.STRONG, "a capture")


def test_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DBAMBASSADOR_PLATFORM", "compose")

    assert explain(tmp_path) == 0

    printed = capsys.readouterr().out
    assert printed.startswith("Chosen: compose (development)")
    assert "→ postgres:5432" in printed


def test_no_environment_exits_with_3_and_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(tmp_path) == 3

    printed = capsys.readouterr().out
    assert printed.startswith("No environment: none matches")
    assert "needs dbambassador.platform = compose" in printed


def test_saved_facts_are_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(tmp_path, "--facts", saved_facts(tmp_path, NAMESPACE), "--json") == 0

    report = as_json(capsys)
    assert (report["verdict"], report["environment"]) == ("chosen", "kubernetes-staging")
    assert report["facts"][0]["source"] == "a capture"


@pytest.mark.parametrize("live", [True, False])
def test_supposed_facts_are_laid_over(live: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replay = [] if live else ["--facts", saved_facts(tmp_path, NAMESPACE)]

    assert explain(tmp_path, *replay, "--set", "k8s.namespace.name=shop-development", "--json") == 0
    assert as_json(capsys)["environment"] == "kubernetes-development"


def test_a_supposed_fact_can_be_absent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(tmp_path, "--facts", saved_facts(tmp_path, NAMESPACE), "--set", "k8s.namespace.name=") == 3
    assert "absent  --set" in capsys.readouterr().out


def test_explicit_facts_count_in_a_replay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = saved_facts(tmp_path, NAMESPACE)

    assert explain(tmp_path, "--facts", facts, "--fact", "k8s.namespace.name=shop-development", "--json") == 0
    assert as_json(capsys)["environment"] == "kubernetes-development"


def test_asking_by_name_needs_an_override_against_proof(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    by_name = ("--facts", saved_facts(tmp_path, NAMESPACE), "--environment", "kubernetes-on-prem")

    assert explain(tmp_path, *by_name) == 3
    assert "--override-match" in capsys.readouterr().out
    assert explain(tmp_path, *by_name, "--override-match") == 0


def test_undecided_names_the_unknown_fact(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unknown = Fact("k8s.namespace.name", State.UNKNOWN, reason="no token")

    assert explain(tmp_path, "--facts", saved_facts(tmp_path, unknown), "--json") == 3

    report = as_json(capsys)
    assert (report["verdict"], report["undecided"]) == ("undecided", ["k8s.namespace.name"])


def test_effective_shows_where_each_value_comes_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(tmp_path, "--effective", "--environment", "compose") == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("databases.orders.hold" in line and "# _defaults.yaml:" in line for line in lines)

    assert explain(tmp_path, "--effective", "--facts", saved_facts(tmp_path, NAMESPACE), "--json") == 0
    report = as_json(capsys)
    assert report["environment"] == "kubernetes-staging"
    assert {Path(value["file"]).name for value in report["values"]} == {
        "_defaults.yaml",
        "kubernetes-staging.yaml",
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"{", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"\xff", "no JSON"),
        (b"[]", "a list"),
    ],
)
def test_bad_saved_facts(
    content: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "facts.json").write_bytes(content)

    assert explain(tmp_path, "--facts", str(tmp_path / "facts.json")) == 1
    assert message in capsys.readouterr().err


def test_missing_saved_facts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(tmp_path, "--facts", str(tmp_path / "nowhere")) == 1
    assert "no such file" in capsys.readouterr().err


def test_a_bad_supposition(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(tmp_path, "--set", "k8s.namespace.name") == 1
    assert "expected FACT=VALUE" in capsys.readouterr().err
