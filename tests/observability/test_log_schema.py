"""One schema for every line of the structured log."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dbambassador.commands.schema import document
from dbambassador.events import Event
from dbambassador.observability.logs import Log
from dbambassador.observability.phrases import Level, name
from tests.observability.occurrences import EVERY

SCHEMA = document("log")
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
OWN = {"timestamp", "level", "message", "event"}
OF_UNIX_SOCKETS = {"client_pid", "client_uid", "client_gid"}


def line_of(event: Event) -> dict[str, Any]:
    lines: list[str] = []
    Log(lines.append, lambda: datetime.now(UTC), level=Level.DEBUG, structured=True)(event)
    found: dict[str, Any] = json.loads(lines[0])
    return found


def rule_of(event: Event) -> dict[str, Any]:
    (rule,) = [each for each in SCHEMA["allOf"] if each["if"]["properties"]["event"]["const"] == name(event)]
    then: dict[str, Any] = rule["then"]
    return then


def test_it_knows_every_event_and_no_other() -> None:
    assert SCHEMA["properties"]["event"]["enum"] == [name(event) for event in EVERY]


@pytest.mark.parametrize("event", EVERY, ids=name)
def test_a_line_is_as_the_schema_says(event: Event) -> None:
    line = line_of(event)
    VALIDATOR.validate(line)
    assert set(rule_of(event)["required"]) == line.keys() - OWN - OF_UNIX_SOCKETS
    assert line.keys() <= SCHEMA["properties"].keys()


@pytest.mark.parametrize("event", EVERY, ids=name)
def test_a_line_of_another_level_or_without_a_field_is_refused(event: Event) -> None:
    line = line_of(event)
    assert not VALIDATOR.is_valid({**line, "level": "fatal"})
    for field in OWN | set(rule_of(event)["required"]):
        assert not VALIDATOR.is_valid({key: value for key, value in line.items() if key != field})
