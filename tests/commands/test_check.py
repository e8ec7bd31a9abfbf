"""`dbambassador check`, through the real command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest

from dbambassador import cli
from dbambassador.commands.schema import document

SHIPPED = Path(__file__).parents[2] / "environments"


def test_the_shipped_environments_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--environments", str(SHIPPED)]) == 0

    printed = capsys.readouterr().out
    assert "kubernetes-on-prem" in printed
    # Four fingerprints are to be put in, and one database's role is to be thought of.
    assert printed.splitlines()[-1] == "No failure, 5 to look at."


def test_json_follows_its_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--environments", str(SHIPPED), "--json"]) == 0

    report = json.loads(capsys.readouterr().out)
    jsonschema.validate(report, document("check"), jsonschema.Draft202012Validator)
    assert report["passed"] is True


def test_a_failed_proof_exits_with_1_and_an_example(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(SHIPPED, tmp_path / "environments")
    staging = tmp_path / "environments" / "kubernetes-staging.yaml"
    staging.write_text(staging.read_text().replace("shop-staging", "shop"))

    assert cli.main(["check", "--environments", str(tmp_path / "environments")]) == 1

    printed = capsys.readouterr().out
    assert (
        "FAILS       kubernetes-on-prem and kubernetes-staging: a production environment and another"
        in printed
    )
    assert "for example where dbambassador.k8s.ca.sha256 = replace-with" in " ".join(printed.split())
    assert "expect[" in printed


def test_json_of_a_failure_follows_the_schema_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(
            "environment: test\nmatch: {matchFacts: {host.name: a}}\n"
            "databases: {orders: {protocol: tcp, listen: [localhost:1], endpoint: '${cloud.region}.test:1'}}"
        )

    assert cli.main(["check", "--environments", str(tmp_path), "--json"]) == 1

    report = json.loads(capsys.readouterr().out)
    jsonschema.validate(report, document("check"), jsonschema.Draft202012Validator)
    assert {finding["proof"] for finding in report["findings"] if finding["status"] == "fails"} == {
        "no-tie",
        "reachable",
        "facts-present",
    }


def test_invalid_files_exit_with_1_and_every_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.yaml").write_text("environment: prod")
    (tmp_path / "two.yaml").write_text("a: [")

    assert cli.main(["check", "--environments", str(tmp_path)]) == 1

    told = capsys.readouterr().err
    assert "one.yaml:1: environment: found 'prod'" in told
    assert "two.yaml" in told


def github(directory: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    code = cli.main(["check", "--environments", str(directory), "--format", "github"])
    return code, [line for line in capsys.readouterr().out.splitlines() if line.startswith("::")]


def test_github_annotates_the_line_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(SHIPPED, tmp_path / "environments")
    staging = tmp_path / "environments" / "kubernetes-staging.yaml"
    staging.write_text(staging.read_text().replace("shop-staging", "shop"))
    monkeypatch.chdir(tmp_path)

    code, annotations = github(tmp_path / "environments", capsys)

    assert code == 1
    mixed = next(line for line in annotations if "production-apart" in line)
    level, properties = mixed.split("::")[1].split(" ", 1)
    assert level == "error"
    assert "file=environments/kubernetes-on-prem.yaml" in properties
    number = int(properties.split("line=")[1].split(",")[0])
    written = (tmp_path / "environments" / "kubernetes-on-prem.yaml").read_text().splitlines()
    assert any("match" in line for line in written[number - 2 : number])
    assert "%0Afor example where" in mixed
    expected = next(line for line in annotations if "expectation" in line)
    number = int(expected.split("line=")[1].split(",")[0])
    file = tmp_path / expected.split("file=")[1].split(",")[0]
    lines = file.read_text().splitlines()
    assert lines.index("expect:") < number - 1
    assert "k8s.namespace.name: shop" in lines[number - 1]


def test_github_annotates_files_that_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "50%,a.yaml").write_text("environment: prod")

    code, annotations = github(tmp_path, capsys)

    assert code == 1
    assert all(line.startswith("::error file=") for line in annotations)
    assert any("50%25%2Ca.yaml,line=1" in line and "found 'prod'" in line for line in annotations)


def test_github_has_no_errors_where_nothing_fails(capsys: pytest.CaptureFixture[str]) -> None:
    code, annotations = github(SHIPPED, capsys)

    assert code == 0
    assert not [line for line in annotations if line.startswith("::error")]


def test_format_json_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--environments", str(SHIPPED), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["passed"] is True


def test_an_unknown_format_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--environments", str(SHIPPED), "--format", "xml"]) == 1
    assert "xml" in capsys.readouterr().err
