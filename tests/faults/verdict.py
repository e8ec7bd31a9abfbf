"""What a row came to: its figures against its goals. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.faults import attempts as tried
from tests.faults.attempts import ENDS, ROWS, Attempt, Loop
from tests.faults.scenario import Expect, Scenario
from tests.faults.stage import ORDERS
from tests.faults.story import Event, bugs, first_notice, reigns, strays

RESIDENT_TOLERANCE = 2.0
"""MiB. The allocator keeps what an outage needed once: buffers, the longest of its queues, its log lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that was seen of one row. Times are seconds since 1970."""

    injected_at: float
    findable_at: float | None
    """When a server could be used and known again; None: nothing had to recover."""
    ended_at: float
    old: str
    """The address that had the sessions before."""
    attempts: Sequence[Attempt]
    events: Sequence[Event]
    addresses: dict[str, str] | None
    """Of each server's name; None where that says nothing of where a row went."""
    rows: dict[tuple[str, int], str] | None
    """On the survivor; None where nothing was written."""
    resident: tuple[float, float]
    """MiB before the fault and after."""
    descriptors: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value, with its goal."""

    name: str
    value: float | None
    """None: it never came to that."""
    unit: str
    goal: float | None
    """The most that it may be; None: it is told, and no more."""
    strict: bool = True
    """A count that noise does not change, unlike a time."""

    def reached(self, slack: float = 0.0) -> bool:
        """`slack`: seconds by which times may be longer, on a machine that has other work."""
        if self.goal is None:
            return True
        return self.value is not None and self.value <= self.goal + (0.0 if self.strict else slack)

    def __str__(self) -> str:
        return f"{self.name} {shown(self)}" + (f" (goal {self.goal:g})" if self.goal is not None else "")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One row of the table."""

    scenario: Scenario
    figures: tuple[Figure, ...]
    errors: tuple[str, ...]
    """What clients were told, each text once."""
    notes: tuple[str, ...] = ()
    not_yet: str = ""
    """Why this version of the program cannot play it; then there are no figures."""

    def missed(self, slack: float = 0.0) -> list[str]:
        return [str(figure) for figure in self.figures if not figure.reached(slack)]

    def __getitem__(self, name: str) -> Figure:
        (found,) = [figure for figure in self.figures if figure.name == name]
        return found


def judge(scenario: Scenario, seen: Seen) -> Verdict:
    """The verdict on what was seen."""
    expect = scenario.expect
    loops = [loop for loop in scenario.setting.loops if loop in ROWS]
    rows = tried.of(seen.attempts, *loops)
    failed = tried.failures(rows)
    bystander = tried.of(seen.attempts, Loop.BYSTANDER)
    figures = (
        _time("detect", _only_for(expect.detect, _detected(expect, seen, failed)), expect.detect),
        _time("follow", _only_for(expect.follow, _followed(scenario, seen)), expect.follow),
        Figure("failed", len(failed), "", expect.failed),
        _time("gap", max((_gap(tried.of(rows, loop), seen) for loop in loops), default=None), expect.gap),
        Figure("lost", None if seen.rows is None else _lost(rows, seen.rows), "", _if(seen.rows, 0)),
        Figure("stray", _strays(rows, seen), "", _if(seen.addresses, 0)),
        _time("bystander", _gap(bystander, seen), expect.bystander),
        _time("ended", _only_for(expect.ended, _ended(seen)), expect.ended),
        Figure("memory", seen.resident[1] - seen.resident[0], "MiB", RESIDENT_TOLERANCE),
        Figure("descriptors", seen.descriptors[1] - seen.descriptors[0], "", 0),
        Figure("bugs", len(bugs(seen.events)), "", 0),
    )
    errors = dict.fromkeys(attempt.error for attempt in failed)
    return Verdict(scenario, figures, tuple(errors), tuple(bugs(seen.events)))


def shown(figure: Figure) -> str:
    if figure.value is None:
        return "never" if figure.goal is not None else "–"
    if figure.unit == "s":
        return f"{figure.value:.2f} s"
    if figure.unit:
        return f"{figure.value:+.1f} {figure.unit}"
    return f"{figure.value:g}"


def _time(name: str, value: float | None, goal: float | None) -> Figure:
    return Figure(name, value, "s", goal, strict=False)


def _only_for(goal: float | None, value: float | None) -> float | None:
    """Nothing was to be noticed, or to be followed, where there is no goal."""
    return None if goal is None else value


def _if(known: object, goal: float) -> float | None:
    return None if known is None else goal


def _gap(attempts: Sequence[Attempt], seen: Seen) -> float:
    return tried.longest_gap(attempts, seen.injected_at, seen.ended_at)


def _detected(expect: Expect, seen: Seen, failed: Sequence[Attempt]) -> float | None:
    told = first_notice(seen.events, ORDERS, seen.old, seen.injected_at)
    times = [told] if told is not None else []
    if expect.cut_tells:
        times += [attempt.end for attempt in failed if attempt.loop is Loop.KEPT]
    return min((time - seen.injected_at for time in times if time >= seen.injected_at), default=None)


def _followed(scenario: Scenario, seen: Seen) -> float | None:
    """Seconds until the last of the loops had its first good answer of the survivor."""
    if seen.findable_at is None:
        return None
    moved = scenario.survivor != "a"
    since = seen.injected_at if moved else seen.findable_at
    firsts = [
        tried.first_good(tried.of(seen.attempts, loop), scenario.survivor, since)
        for loop in scenario.setting.loops
        if loop in ROWS
    ]
    if any(first is None for first in firsts):
        return None
    return max((0.0, *(first - seen.findable_at for first in firsts if first is not None)))


def _lost(rows: Sequence[Attempt], present: dict[tuple[str, int], str]) -> int:
    return sum(row.good and (row.loop.value, row.number) not in present for row in rows)


def _strays(rows: Sequence[Attempt], seen: Seen) -> int | None:
    if seen.addresses is None:
        return None
    return len(strays(rows, reigns(seen.events, ORDERS), seen.addresses))


def _ended(seen: Seen) -> float | None:
    """Seconds until the last of the sessions that only wait was ended."""
    waiting = tried.of(seen.attempts, *ENDS)
    if seen.findable_at is None or any(each.error == tried.UNFINISHED for each in _firsts(waiting)):
        return None
    return max((0.0, *(each.end - seen.findable_at for each in _firsts(waiting))))


def _firsts(attempts: Sequence[Attempt]) -> list[Attempt]:
    """The first attempt of each loop: its session of before the fault."""
    return [attempt for attempt in attempts if attempt.number == 1]
