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
    assert report["zones"] == {}


def test_effective_tells_the_zone_where_endpoints_name_zones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stated = {
        "k8s.namespace.name": "shop",
        "dbambassador.k8s.ca.sha256": "replace-with-the-fingerprint-of-your-clusters-ca",
        "cloud.availability_zone": "hall-b",
    }
    facts = saved_facts(tmp_path, *(Fact(name, State.PRESENT, value) for name, value in stated.items()))

    assert explain(tmp_path, "--effective", "--facts", facts, "--json") == 0
    assert as_json(capsys)["zones"] == {"orders": {"zone": "hall-b", "fact": "cloud.availability_zone"}}
    assert explain(tmp_path, "--effective", "--facts", facts) == 0
    assert "databases.orders.zone" in capsys.readouterr().out


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


REGIONAL = """
environment: staging
match: {matchFacts: {k8s.namespace.name: shop}}
databases:
  orders: {protocol: postgresql, listen: [localhost:5432], endpoint: "orders.${cloud.region}.test:5432"}
  stock: {protocol: mysql, listen: [localhost:3306], endpoint: "stock.test:3306"}
"""


class TestAMissingFact:
    """An environment is chosen, and its endpoint needs a fact that cannot be had."""

    def explain(self, root: Path, *arguments: str) -> int:
        directory = root / "environments"
        directory.mkdir(exist_ok=True)
        (directory / "regional.yaml").write_text(REGIONAL)
        return cli.main(["explain", "--environments", str(directory), "--root", str(root), *arguments])

    @pytest.mark.parametrize("replayed", [False, True])
    def test_is_shown_with_the_table(
        self, replayed: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        namespace = Fact("k8s.namespace.name", State.PRESENT, "shop", Confidence.STRONG, "a capture")
        live = ("--fact", "k8s.namespace.name=shop")
        where = ("--facts", saved_facts(tmp_path, namespace)) if replayed else live

        assert self.explain(tmp_path, *where) == 1

        printed = capsys.readouterr().out
        assert printed.startswith("Chosen: regional (staging), but where its databases are cannot be told")
        assert "found ${cloud.region}, which is" in printed
        assert "regional  staging  chosen" in printed
        assert "--fact cloud.region=VALUE" in printed
        assert self.explain(tmp_path, *where, "--json") == 1
        report = as_json(capsys)
        assert (report["environment"], len(report["missing"])) == ("regional", 1)

    def test_can_be_supposed(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        supposed = ("--set", "k8s.namespace.name=shop", "--set", "cloud.region=eu-west-1")

        assert self.explain(tmp_path, *supposed) == 0
        assert "→ orders.eu-west-1.test:5432" in capsys.readouterr().out

    def test_of_a_database_that_is_not_asked_for_is_of_no_interest(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.explain(tmp_path, "--fact", "k8s.namespace.name=shop", "--database", "stock") == 0
        assert "orders" not in capsys.readouterr().out


def test_all_shows_every_environment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(40):
        (tmp_path / f"e-{number:02}.yaml").write_text(REGIONAL.replace("name: shop", f"name: shop-{number}"))
    where = ["explain", "--environments", str(tmp_path), "--root", str(tmp_path / "nothing")]
    known = ["--set", "k8s.namespace.name=elsewhere"]

    assert cli.main([*where, *known]) == 3
    screen = capsys.readouterr().out
    assert cli.main([*where, *known, "--all"]) == 3
    whole = capsys.readouterr().out

    assert len(screen.splitlines()) < 30
    assert "40 ruled out by k8s.namespace.name, found elsewhere" in screen
    assert "e-39" not in screen
    assert "e-39  staging  ruled out  needs k8s.namespace.name = shop-39; found elsewhere" in whole


def test_effective_where_none_is_chosen_shows_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(tmp_path, "--effective") == 3
    assert "No environment" in capsys.readouterr().out


def test_effective_of_an_environment_that_does_not_exist(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(tmp_path, "--effective", "--environment", "kubernetes-stagin") == 3
    assert "did you mean kubernetes-staging?" in " ".join(capsys.readouterr().out.split())


def test_a_replay_of_what_reflect_printed_chooses_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DBAMBASSADOR_PLATFORM", "compose")
    assert cli.main(["reflect", "--environments", str(SHIPPED), "--root", str(tmp_path), "--json"]) == 0
    (tmp_path / "captured.json").write_text(capsys.readouterr().out)
    monkeypatch.delenv("DBAMBASSADOR_PLATFORM")

    assert explain(tmp_path, "--facts", str(tmp_path / "captured.json"), "--json") == 0
    assert as_json(capsys)["environment"] == "compose"


def test_a_misspelt_name_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explain(tmp_path, "--set", "k8s.namespace.nme=shop", "--set", "quite.another=1")
    assert capsys.readouterr().err == (
        "dbambassador: --set k8s.namespace.nme: no environment asks for that;"
        " did you mean k8s.namespace.name?\n"
    )
