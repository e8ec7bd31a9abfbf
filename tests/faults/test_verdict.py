"""The matrix sees what went wrong: made-up rows, one fault in each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.attempts import UNFINISHED, Attempt, Loop, longest_gap, read
from tests.faults.rows import ALL
from tests.faults.scenario import Expect, Scenario
from tests.faults.setting import Setting
from tests.faults.story import Event, event, first_notice, reigns
from tests.faults.verdict import Seen, judge

A, B = "10.77.0.2:5432", "10.77.0.3:5432"
START, FAULT, FINDABLE, END = 1000.0, 1002.0, 1003.0, 1006.0
PERIOD = 0.1


def told(at: float, name: str, **fields: Any) -> Event:
    return {"event": name, "at": at, "database": "orders", **fields}


def choice(at: float, epoch: int, address: str | None) -> Event:
    return told(at, "choice_changed", epoch=epoch, address=address)


def good(loop: Loop, server: str, since: float, until: float) -> list[Attempt]:
    """One attempt after another, each done in a millisecond."""
    count = round((until - since) / PERIOD)
    starts = [since + PERIOD * number for number in range(count)]
    return [Attempt(loop, round(start * 10), start, start + 0.001, server) for start in starts]


def served(loop: Loop) -> list[Attempt]:
    """By `a` until the fault, and by `b` from 0.2 s after it could be found."""
    return [*good(loop, "a", START, FAULT), *good(loop, "b", FINDABLE + 0.2, END)]


SCENARIO = Scenario(
    name="made up",
    fault="none",
    expect=Expect(detect=1.0, follow=0.5, failed=2, ended=0.5),
    setting=Setting(loops=(Loop.KEPT, Loop.FRESH, Loop.IDLE)),
)

CUT = Attempt(Loop.KEPT, 1, FAULT + 0.05, FAULT + 0.1, error="closed")
IDLE_END = Attempt(Loop.IDLE, 1, START, FAULT + 0.3, error="closed")
WRITTEN = [*served(Loop.KEPT), *served(Loop.FRESH)]

WELL = Seen(
    injected_at=FAULT,
    findable_at=FINDABLE,
    ended_at=END,
    old=A,
    attempts=[*WRITTEN, CUT, IDLE_END, *good(Loop.BYSTANDER, "bystander", START, END)],
    events=[
        choice(START - 1, 1, A),
        told(FAULT + 0.3, "address_changed", address=A, state="down"),
        choice(FAULT + 0.3, 2, None),
        choice(FINDABLE + 0.1, 3, B),
    ],
    addresses={"a": A, "b": B},
    rows={(attempt.loop.value, attempt.number): attempt.server for attempt in WRITTEN},
    resident=(40.0, 40.5),
    descriptors=(20, 20),
)


def with_attempts(*more: Attempt, without: Iterable[Loop] = ()) -> Seen:
    kept = [attempt for attempt in WELL.attempts if attempt.loop not in tuple(without)]
    return replace(WELL, attempts=[*kept, *more])


def test_a_row_in_which_all_went_well() -> None:
    verdict = judge(SCENARIO, WELL)
    assert verdict.missed() == []
    assert verdict["detect"].value == pytest.approx(0.3)
    assert verdict["follow"].value == pytest.approx(0.201)
    assert verdict["failed"].value == 1
    assert verdict["gap"].value == pytest.approx(1.3)
    assert verdict.errors == ("closed",)


@pytest.mark.parametrize(
    ("figure", "seen"),
    [
        ("detect", replace(WELL, events=[choice(START - 1, 1, A), choice(FAULT + 1.1, 2, B)])),
        ("follow", with_attempts(*good(Loop.KEPT, "a", START, FAULT), without=[Loop.KEPT])),
        ("failed", with_attempts(replace(CUT, error="one"), replace(CUT, error=UNFINISHED))),
        ("lost", replace(WELL, rows=dict(list((WELL.rows or {}).items())[1:]))),
        ("stray", with_attempts(replace(WRITTEN[0], start=FAULT + 0.4, end=FAULT + 0.5))),
        ("bystander", with_attempts(*good(Loop.BYSTANDER, "x", START, END - 1), without=[Loop.BYSTANDER])),
        ("ended", with_attempts(replace(IDLE_END, error=UNFINISHED, end=END), without=[Loop.IDLE])),
        ("memory", replace(WELL, resident=(40.0, 42.1))),
        ("descriptors", replace(WELL, descriptors=(20, 21))),
        ("bugs", replace(WELL, events=[*WELL.events, told(END, "stage_crashed", message="a bug")])),
    ],
)
def test_what_went_wrong_is_the_figure_that_misses_its_goal(figure: str, seen: Seen) -> None:
    verdict = judge(SCENARIO, seen)
    assert [text.split()[0] for text in verdict.missed()] == [figure]


def test_old_sessions_may_go_on_while_new_ones_wait() -> None:
    events = [choice(START - 1, 1, A), choice(FAULT + 0.3, 1, None), choice(FINDABLE, 2, B)]
    late = Attempt(Loop.KEPT, 1, FAULT + 0.4, FAULT + 0.5, "a")
    seen = replace(with_attempts(late), events=events, rows=None)
    assert judge(SCENARIO, seen)["stray"].value == 0


def test_a_row_that_waited_for_its_server_is_no_stray() -> None:
    held = Attempt(Loop.FRESH, 1, FAULT + 0.5, FINDABLE + 0.3, "b")
    assert judge(SCENARIO, replace(with_attempts(held), rows=None))["stray"].value == 0


def test_the_end_of_a_session_is_a_notice_where_nobody_else_can_have_ended_it() -> None:
    silent = replace(SCENARIO, expect=replace(SCENARIO.expect, cut_tells=True))
    assert judge(silent, WELL)["detect"].value == pytest.approx(0.1)


def test_slack_lengthens_times_alone() -> None:
    seen = replace(WELL, events=[choice(START - 1, 1, A), choice(FAULT + 1.1, 2, B)], descriptors=(20, 21))
    assert [text.split()[0] for text in judge(SCENARIO, seen).missed(slack=1.0)] == ["descriptors"]


def test_pools_reign_together() -> None:
    both = {**choice(START, 1, A), "pool": [A, B]}
    (reign,) = reigns([both], "orders")
    assert reign.addresses == {A, B}
    assert first_notice([both], "orders", B, START) is None


def test_a_gap_begins_before_the_fault_and_ends_with_the_row() -> None:
    attempts = [Attempt(Loop.KEPT, 1, 0.9, 1.0, "a"), Attempt(Loop.KEPT, 2, 2.0, 2.5, "b")]
    assert longest_gap(attempts, since=1.2, until=3.0) == 1.5
    assert longest_gap(attempts[:1], since=1.2, until=3.0) == 2.0


def test_an_attempt_is_read_as_it_was_written() -> None:
    assert read(CUT.line()) == CUT


def test_times_of_the_log_are_seconds_since_1970() -> None:
    line = {"timestamp": "1970-01-01T00:00:01.500Z", "event": "ready"}
    assert event(line)["at"] == 1.5


def test_every_row_has_a_name_of_its_own() -> None:
    names = [scenario.name for scenario in ALL]
    assert len(set(names)) == len(names)
