from __future__ import annotations

import json
import re

import pytest

from dbambassador import events
from dbambassador.events import Event, Refusal
from dbambassador.observability.phrases import DETAILS, Level, name, phrase
from dbambassador.values import PeerProcess, Target, Targets
from tests.choices import lost, serving
from tests.observability.occurrences import ADDRESS, EVERY, TARGET

CLASSES = {
    found for found in vars(events).values() if isinstance(found, type) and issubclass(found, Event)
} - {Event}


def test_the_samples_have_every_class() -> None:
    assert {type(event) for event in EVERY} == CLASSES


@pytest.mark.parametrize("event", EVERY, ids=name)
def test_every_event_has_words(event: Event) -> None:
    found = phrase(event)
    assert found is not None
    assert found.message
    assert not found.message.endswith(".")
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name(event))
    json.dumps(dict(found.fields), allow_nan=False)
    assert not {"timestamp", "level", "message", "event", "repeated"} & set(found.fields)
    database = getattr(event, "database", None)
    assert found.fields.get("database") == database
    assert found.message.startswith(f"{database}: ") == (database is not None)


@pytest.mark.parametrize("event", EVERY, ids=name)
def test_no_value_of_a_fact_is_told(event: Event) -> None:
    assert "hunter2" not in repr(phrase(event))


@pytest.mark.parametrize(
    ("address", "level"),
    [
        ("127.0.0.1:5432", Level.INFO),
        ("127.9.9.9:5432", Level.INFO),
        ("[::1]:5432", Level.INFO),
        ("unix:/run/dbambassador/.s.PGSQL.5432", Level.INFO),
        ("0.0.0.0:5432", Level.WARNING),
        ("[::]:5432", Level.WARNING),
        ("10.0.0.7:5432", Level.WARNING),
    ],
)
def test_listening_beyond_loopback_is_said_loudly(address: str, level: Level) -> None:
    found = phrase(events.ListenerOpened("orders", address))
    assert found is not None
    assert found.level is level
    assert ("whoever reaches this host" in found.text) == (level is Level.WARNING)


SESSION_LEVEL = {
    "LookupEnded",
    "ProbeEnded",
    "SessionOpened",
    "SessionEnded",
    "ClientRefused",
    "ClientLeft",
    "ClientHeld",
    "DialEnded",
    "CancelForwarded",
}


def test_a_client_of_a_unix_socket_is_told() -> None:
    words = {
        None: "session opened to 10.0.0.7:5432",
        PeerProcess(7, 1, 2): "session opened to 10.0.0.7:5432 for process 7, user 1, group 2",
        PeerProcess(0, 1, 2): (
            "session opened to 10.0.0.7:5432 for a process of another container, user 1, group 2"
        ),
    }
    for client, text in words.items():
        found = phrase(events.SessionOpened("orders", ADDRESS, client))
        assert found is not None
        assert found.text == text
        assert ("client_pid" in found.fields) == (client is not None)


@pytest.mark.parametrize("event", EVERY, ids=name)
def test_only_what_belongs_to_one_connection_is_debug(event: Event) -> None:
    found = phrase(event)
    assert found is not None
    assert (found.level is Level.DEBUG) == (type(event).__name__ in SESSION_LEVEL)


@pytest.mark.parametrize(
    ("event", "level", "text"),
    [
        (
            events.TargetsChanged("orders", Targets(failure="NXDOMAIN")),
            Level.WARNING,
            "gives no address: NXDOMAIN",
        ),
        (
            events.TargetsChanged("orders", Targets((TARGET,), stale=True, failure="timeout")),
            Level.WARNING,
            "last known answer is used (orders.db.test is 10.0.0.7:5432): timeout",
        ),
        (
            events.TargetsChanged("orders", Targets((TARGET,))),
            Level.INFO,
            ": orders.db.test is 10.0.0.7:5432",
        ),
        (
            events.TargetsChanged("orders", Targets((Target(ADDRESS, ADDRESS.host),))),
            Level.INFO,
            ": endpoint is 10.0.0.7:5432",
        ),
        (EVERY[1], Level.INFO, "found 1 fact about where this runs, 2 unknown"),
        (events.ChoiceChanged("orders", lost(2, settled=False, why="x")), Level.DEBUG, "looking for"),
        (
            events.ChoiceChanged("orders", serving(2, TARGET, on_trial=True)),
            Level.INFO,
            "the next session tries 10.0.0.7:5432",
        ),
        (
            events.ChoiceChanged("orders", lost(2, why="x")),
            Level.WARNING,
            "no usable address: x",
        ),
        (events.ClientRefused("orders", Refusal.TOO_MANY), Level.WARNING, "connection limit"),
        (events.ClientRefused("orders", Refusal.UNSAFE), Level.ERROR, "unsafe session"),
        (
            events.TargetsChanged("orders", Targets((TARGET,)), familiar=True),
            Level.DEBUG,
            "orders.db.test is 10.0.0.7:5432",
        ),
        (events.Stopped(0), Level.INFO, "stopped"),
    ],
)
def test_levels_by_meaning(event: Event, level: Level, text: str) -> None:
    found = phrase(event)
    assert found is not None
    assert found.level is level
    assert text in found.message


def test_an_event_of_another_version_has_no_words() -> None:
    class Novelty(Event):
        pass

    assert phrase(Novelty()) is None


def test_details_are_the_events_that_are_always_of_the_debug_level() -> None:
    levels: dict[type[Event], set[Level]] = {}
    for event in EVERY:
        said = phrase(event)
        assert said is not None
        levels.setdefault(type(event), set()).add(said.level)
    for kind in DETAILS:
        assert levels[kind] == {Level.DEBUG}
