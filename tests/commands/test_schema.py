"""`dbambassador schema`: what it prints is a schema, and it accepts what we ship."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from dbambassador import cli
from dbambassador.commands.schema import DOCUMENTS, document

SHIPPED = [
    path
    for path in sorted((Path(__file__).parents[2] / "environments").glob("*.yaml"))
    if path.name != "kustomization.yaml"  # kustomize's own
]


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> object:
    assert cli.main(["schema", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_environment_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys) == printed(capsys, "environment")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_is_a_valid_schema(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    schema = printed(capsys, name)

    assert isinstance(schema, dict)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_the_shipped_files_are_accepted(file: Path) -> None:
    jsonschema.validate(
        yaml.safe_load(file.read_text()), document("environment"), jsonschema.Draft202012Validator
    )


@pytest.mark.parametrize(
    "broken",
    [
        {"enviroment": "test"},
        {"environment": "prod"},
        {"match": {}},
        {"match": {"k8s.namespace.name": "shop"}},
        {"match": {"matchExpressions": [{"key": "ab"}]}},
        {"databases": {"orders": {"sslmode": "prefer"}}},
        {"databases": {"orders": {"protocol": "redis"}}},
        {"databases": {"orders": {"listen": ["5432"]}}},
        {"databases": {"orders": {"endpoint": "db.test"}}},
        {"databases": {"orders": {"hold": 5}}},
        {"expect": [{"facts": {}}]},
    ],
)
def test_mistakes_are_seen_in_the_editor(broken: object) -> None:
    assert not jsonschema.Draft202012Validator(document("environment")).is_valid(broken)


def test_every_key_is_described() -> None:
    def described(schema: object) -> None:
        if isinstance(schema, dict):
            for key in schema.get("properties", {}).values():
                assert key["description"].endswith(".")
            for part in schema.values():
                described(part)

    described(document("environment"))


def test_an_unknown_document_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema", "everything"]) == 1
    assert "everything" in capsys.readouterr().err
