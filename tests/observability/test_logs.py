from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbambassador import events
from dbambassador.events import Event, Events
from dbambassador.observability.logs import REMEMBERED, REPEAT_WINDOW, RESTLESS, Log, threshold
from dbambassador.observability.phrases import Level, phrase
from dbambassador.values import Address
from tests.observability.occurrences import ADDRESS, EVERY

START = datetime(2026, 1, 2, 12, 3, 4, 567000, tzinfo=timezone(timedelta(hours=2)))


class Written:
    """A log whose clock is moved by hand."""

    def __init__(self, *, level: Level = Level.INFO, structured: bool = False) -> None:
        self.lines: list[str] = []
        self.now = START
        self.log = Log(self.lines.append, lambda: self.now, level=level, structured=structured)

    def put(self, *published: Event) -> None:
        for event in published:
            self.log(event)

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def down(why: str = "refused", host: str = "10.0.0.7") -> Event:
    return events.AddressChanged("orders", Address(host, 5432), "up", "down", why)


def test_plain_lines() -> None:
    written = Written()
    written.put(events.ListenerOpened("orders", "127.0.0.1:5432"), events.SessionCrashed("orders", "E()"))
    assert written.lines == [
        "12:03:04 orders: listening on 127.0.0.1:5432\n",
        "12:03:04 error: orders: a bug: a session failed: E()\n",
    ]


def test_structured_lines() -> None:
    written = Written(structured=True)
    written.put(events.ListenerOpened("orders", "127.0.0.1:5432"))
    assert [json.loads(line) for line in written.lines] == [
        {
            "timestamp": "2026-01-02T10:03:04.567Z",
            "level": "info",
            "message": "orders: listening on 127.0.0.1:5432",
            "event": "listener_opened",
            "database": "orders",
            "address": "127.0.0.1:5432",
        }
    ]


@pytest.mark.parametrize("structured", [False, True])
def test_every_event_is_one_line(structured: bool) -> None:
    written = Written(level=Level.DEBUG, structured=structured)
    written.put(*EVERY)
    assert len(written.lines) == len(EVERY)
    assert all(line.count("\n") == 1 and line.endswith("\n") for line in written.lines)
    if structured:
        for line in written.lines:
            found = json.loads(line)
            assert datetime.fromisoformat(found["timestamp"]).tzinfo == UTC


def test_quiet_by_default_and_by_flag() -> None:
    def levels(level: Level) -> set[Level]:
        written = Written(level=level)
        kept = set()
        for event in EVERY:
            before = len(written.lines)
            written.put(event)
            found = phrase(event)
            if found is not None and len(written.lines) > before:
                kept.add(found.level)
        return kept

    assert levels(threshold(quiet=False, debug=False)) == {Level.INFO, Level.WARNING, Level.ERROR}
    assert levels(threshold(quiet=True, debug=False)) == {Level.ERROR}
    assert levels(threshold(quiet=True, debug=True)) == {Level.ERROR}
    assert levels(threshold(quiet=False, debug=True)) == set(Level)


def test_a_repeated_message_is_written_once_and_counted() -> None:
    written = Written()
    for _ in range(5):
        written.put(down())
        written.wait(1)
    assert len(written.lines) == 1
    written.wait(30)
    written.put(down())
    assert written.lines[1:] == [
        "12:03:39 orders: 10.0.0.7:5432 is down, was up: refused (4 more like this)\n"
    ]


def test_a_change_is_never_suppressed_and_brings_the_count() -> None:
    written = Written(structured=True)
    written.put(down(), down(), down(), down("reset"), down())
    found = [(json.loads(line)["why"], json.loads(line).get("repeated")) for line in written.lines]
    assert found == [("refused", None), ("refused", 2), ("reset", None), ("refused", None)]


def flap(written: Written, times: int, pause: float = 1.0) -> None:
    for _ in range(times):
        written.put(down())
        written.wait(pause)
        written.put(events.AddressChanged("orders", ADDRESS, "down", "up", "answered"))
        written.wait(pause)


def test_what_changes_all_the_time_is_told_of_every_30_seconds_as_it_is_then() -> None:
    written = Written()
    flap(written, 5)
    assert len(written.lines) == RESTLESS
    flap(written, 60)
    assert 3 <= len(written.lines) - RESTLESS <= 5
    written.wait(REPEAT_WINDOW)
    written.put(events.LookupEnded("orders.db.test", "A", "ok", 0.1))
    assert "is up" in written.lines[-1]
    left_out = [
        int(found) for line in written.lines for found in re.findall(r"\((\d+) changes left out", line)
    ]
    assert len(written.lines) + sum(left_out) == 2 * 65


def test_the_last_of_many_changes_is_told_by_whatever_happens_next() -> None:
    written = Written(structured=True)
    flap(written, 8, pause=0.1)
    told = len(written.lines)
    written.wait(REPEAT_WINDOW)
    written.put(events.SessionOpened("orders", ADDRESS))
    written.put(events.SessionOpened("orders", ADDRESS))
    (line,) = [json.loads(line) for line in written.lines[told:]]
    assert (line["state"], line["left_out"]) == ("up", 5)


def test_a_quiet_hour_makes_every_change_news_again() -> None:
    written = Written()
    flap(written, 5)
    written.wait(3600)
    told = len(written.lines)
    flap(written, 3)
    assert len(written.lines) == told + 6


def test_debug_logs_leave_no_change_out() -> None:
    written = Written(level=Level.DEBUG)
    flap(written, 20)
    assert len(written.lines) == 40


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 40)), max_size=60))
def test_every_event_is_written_or_counted(steps: list[tuple[str, float]]) -> None:
    written = Written(structured=True)
    for why, pause in steps:
        written.put(down(why))
        written.wait(pause)
    written.wait(REPEAT_WINDOW)
    written.put(events.Ready(0.1), down("other"))
    written.wait(REPEAT_WINDOW)
    written.put(events.LookupEnded("orders.db.test", "A", "ok", 0.1))
    lines = [json.loads(line) for line in written.lines if "address_changed" in line]
    counted = sum(line.get("left_out", 0) for line in lines)
    again = sum(line.get("repeated", 0) for line in lines)
    assert len(lines) + counted + again >= len(steps) + 1
    assert lines[-1]["why"] == "other"


def test_other_subjects_do_not_suppress_each_other() -> None:
    written = Written()
    written.put(down(), down(host="10.0.0.8"), down(), down(host="10.0.0.8"))
    assert len(written.lines) == 2


def test_session_lines_are_never_suppressed() -> None:
    written = Written(level=Level.DEBUG)
    written.put(*[events.SessionOpened("orders", ADDRESS)] * 3)
    assert len(written.lines) == 3


def test_what_is_remembered_is_bounded() -> None:
    written = Written()
    hosts = [f"10.0.{number // 256}.{number % 256}" for number in range(REMEMBERED + 1)]
    written.put(*[down(host=host) for host in hosts], down(host=hosts[-1]), down(host=hosts[0]))
    assert len(written.lines) == REMEMBERED + 2


@given(st.text())
def test_no_value_forges_a_line(value: str) -> None:
    for structured in (False, True):
        written = Written(structured=structured)
        written.put(events.SessionCrashed("orders", value))
        assert len(written.lines[0].splitlines()) == 1
        assert "\x1b" not in written.lines[0]
        if structured:
            assert json.loads(written.lines[0])["error"] == value


PROGRAM = """
import os, sys
from dbambassador.events import Events, Ready
from dbambassador.observability.logs import Log
from dbambassador.observability import stderr
events = Events()
events.subscribe(Log(stderr.write, stderr.local_time))
for number in range(int(sys.argv[1])):
    events.publish(Ready(float(number)))
print("alive")
"""


def program(count: int, stderr: int) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(count)],
        stdout=subprocess.PIPE,
        stderr=stderr,
        timeout=30,
        check=False,
    )


def test_lines_go_to_standard_error() -> None:
    found = program(2, subprocess.PIPE)
    assert found.returncode == 0
    assert [line.split(b" ", 1)[1] for line in found.stderr.splitlines()] == [
        b"ready for connections after 0.0 s",
        b"ready for connections after 1.0 s",
    ]


def test_a_broken_pipe_kills_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        found = program(3, writer)
    finally:
        os.close(writer)
    assert (found.returncode, found.stdout) == (0, b"alive\n")


def test_a_reader_that_stalls_stops_nothing() -> None:
    reader, writer = os.pipe()
    try:
        found = program(5000, writer)
    finally:
        os.close(writer)
        os.close(reader)
    assert (found.returncode, found.stdout) == (0, b"alive\n")


LONG_LINES = """
import os
import re
from dbambassador.observability import stderr
reader, writer = os.pipe()
os.dup2(writer, 2)
stderr.write("x" * 200_000 + "\\n")  # more than a pipe holds
told = os.read(reader, 1 << 20)
stderr.write("y" * 5000 + "\\n")
told += os.read(reader, 1 << 20)
torn, last, nothing = told.decode().split("\\n")
assert 0 < len(torn) < 200_000 and set(torn) == {"x"}
assert last == "y" * 5000 and not nothing
"""


def test_a_reader_that_stalls_amid_a_long_line_costs_its_end_alone() -> None:
    subprocess.run([sys.executable, "-c", LONG_LINES], timeout=30, check=True)


def test_a_closed_standard_error_kills_nothing() -> None:
    command = [sys.executable, "-c", PROGRAM, "2"]
    found = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", *command], stdout=subprocess.PIPE, timeout=30, check=False
    )
    assert (found.returncode, found.stdout) == (0, b"alive\n")


def test_it_subscribes_to_events() -> None:
    published, written = Events(), Written()
    published.subscribe(written.log)
    published.publish(events.Ready(0.4))
    assert written.lines == ["12:03:04 ready for connections after 0.4 s\n"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (events.CertificatesReloaded("orders"), events.CertificatesUnusable("orders", "half a file")),
        (events.CatalogueReloaded("SIGHUP", ()), events.ReloadRefused("SIGHUP", ("no such file",))),
        (events.CheckRestored("orders", ADDRESS), events.CheckDenied("orders", ADDRESS, "no such user")),
        (events.DescriptorsRecovered("sessions"), events.DescriptorsExhausted("sessions")),
        (events.DriftEnded("staging"), events.DriftNoticed(("cloud.region",), "staging", None, "none")),
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_is_so_again_is_news_even_soon_after_the_last_time(one: Event, other: Event) -> None:
    written = Written()
    written.put(one, other, one, other)
    assert len(written.lines) == 4
    assert written.lines[:2] == written.lines[2:]
