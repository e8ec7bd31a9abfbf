from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbambassador.discovery.pace import (
    FAST_PERIOD,
    HASTE,
    SLOW_PERIOD,
    SOON,
    Urgency,
    follow,
    next_question,
    period,
)

START = 1000.0
lengths = st.floats(0.001, 20)


def test_the_first_urgency_begins_now() -> None:
    assert follow(Urgency(), True, START) == Urgency(START, math.inf)
    assert follow(Urgency(), False, START) == Urgency()


@given(st.booleans(), lengths)
def test_saying_the_same_again_changes_nothing(urgent: bool, later: float) -> None:
    before = follow(Urgency(), urgent, START)
    assert follow(before, urgent, START + later) == before


@given(st.lists(st.tuples(lengths, lengths), min_size=1, max_size=20))
def test_what_returns_soon_goes_on_where_it_was(times: list[tuple[float, float]]) -> None:
    """The position in the schedule is the urgent time spent since the last long pause."""
    now, urgency, spent = START, Urgency(), 0.0
    for urgent_for, pause in times:
        urgency = follow(urgency, True, now)
        assert urgency.present
        assert now - urgency.since == pytest.approx(spent, abs=1e-6)
        now += urgent_for
        urgency = follow(urgency, False, now)
        assert not urgency.present
        now += pause
        spent = spent + urgent_for if pause < SOON else 0.0


def test_fast_for_five_seconds_then_slow() -> None:
    urgency = follow(Urgency(), True, START)
    assert period(urgency, START) == FAST_PERIOD
    assert period(urgency, START + HASTE - 0.01) == FAST_PERIOD
    assert period(urgency, START + HASTE) == SLOW_PERIOD


@given(lengths, st.just(-math.inf) | lengths.map(lambda ago: START - ago), lengths)
def test_without_urgency_the_expiry_decides(ago: float, asked_fresh: float, rest: float) -> None:
    calm = Urgency(START - ago, START - ago / 2)
    assert next_question(calm, asked_fresh, START + rest, START) == START + rest


@given(st.lists(st.tuples(lengths, st.floats(0.001, SOON - 0.001)), min_size=1, max_size=30))
def test_wavering_keeps_the_periods_and_has_one_haste_in_all(times: list[tuple[float, float]]) -> None:
    asked: list[tuple[float, float]] = []
    """When, and the urgent time spent before."""
    now, spent, urgency = START, 0.0, Urgency()
    for urgent_for, pause in times:
        urgency = follow(urgency, True, now)
        last = asked[-1][0] if asked else -math.inf
        due = max(now, next_question(urgency, last, math.inf, now))
        while due < now + urgent_for:
            asked.append((due, spent + due - now))
            due = next_question(urgency, due, math.inf, due)
        now, spent = now + urgent_for, spent + urgent_for
        urgency = follow(urgency, False, now)
        now += pause
    for (before, position), (after, _) in pairwise(asked):
        least = FAST_PERIOD if position < HASTE - 1e-6 else SLOW_PERIOD
        assert after - before >= least - 1e-6
    hasty = [position for _, position in asked if position < HASTE - 1e-6]
    assert len(hasty) <= HASTE / FAST_PERIOD + len(times), "each return may ask at once"
