"""The schedule of questions, on a clock that jumps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from dbambassador.discovery.refresher import (
    FAST_PERIOD,
    HASTE,
    JITTER,
    SLOW_PERIOD,
    Refresher,
    next_question,
)
from dbambassador.discovery.resolver import Resolver
from dbambassador.events import Event, TargetsChanged
from dbambassador.settings.schema import Database, Endpoint, HostEndpoint, Protocol
from dbambassador.values import Address, Target, Targets

DATABASE = Database(
    name="orders",
    protocol=Protocol.POSTGRESQL,
    listen=(),
    endpoints=(HostEndpoint("orders.db.test", 5432),),
)


class Oracle:
    """Stands in for a resolver: an answer that the test sets, good for `ttl` seconds, after `delay`."""

    def __init__(self) -> None:
        self.hosts: list[str] = ["10.0.0.1"]
        self.failure = ""
        self.ttl = 10.0
        self.delay = 0.0
        self.asked: list[tuple[float, bool]] = []

    async def resolve(self, endpoints: Sequence[Endpoint], *, fresh: bool = False) -> Targets:
        assert endpoints == DATABASE.endpoints
        asked_at = trio.current_time()
        self.asked.append((asked_at, fresh))
        await trio.sleep(self.delay)
        return Targets(
            targets=tuple(Target(Address(host, 5432), "orders.db.test") for host in self.hosts),
            asked_at=asked_at,
            expires_at=trio.current_time() + self.ttl,
            failure=self.failure,
        )

    def times(self, since: float) -> list[float]:
        return [round(at - since, 3) for at, _ in self.asked if at >= since]


class Running:
    def __init__(self, nursery: trio.Nursery) -> None:
        self.oracle = Oracle()
        self.changes: list[TargetsChanged] = []
        self.refresher = Refresher(DATABASE, cast(Resolver, self.oracle), self._note)
        nursery.start_soon(self.refresher.run)

    def _note(self, event: Event) -> None:
        assert isinstance(event, TargetsChanged)
        self.changes.append(event)


@pytest.fixture
async def running(nursery: trio.Nursery) -> Running:
    return Running(nursery)


async def test_asks_at_once_and_then_when_the_answer_expires(
    running: Running, autojump_clock: MockClock
) -> None:
    began = trio.current_time()
    assert running.refresher.targets.version == 0
    await trio.sleep(60)
    times = running.oracle.times(began)
    assert times[0] == 0
    gaps = [after - before for before, after in pairwise(times)]
    assert 5 <= len(gaps) <= 6
    assert all(10 <= gap <= 10 * (1 + JITTER) + 0.001 for gap in gaps)
    assert len(set(gaps)) > 1, "no jitter"
    assert not any(fresh for _, fresh in running.oracle.asked)


async def test_urgent_asks_at_once_then_fast_then_slowly_past_the_cache(
    running: Running, autojump_clock: MockClock
) -> None:
    await trio.sleep(3.3)
    urgent = trio.current_time()
    running.refresher.seek(True)
    await trio.sleep(8.1)
    fast = [round(FAST_PERIOD * n, 3) for n in range(round(HASTE / FAST_PERIOD))]
    times = running.oracle.times(urgent)
    assert times[: len(fast)] == fast
    assert set(times[len(fast) :]) <= {5.0, 5.2, 6.0, 6.2, 7.0, 7.2, 8.0}
    assert len(times) == pytest.approx(len(fast) + 4, abs=1)
    assert all(fresh for at, fresh in running.oracle.asked if at >= urgent)


async def test_saying_the_same_again_changes_nothing(running: Running, autojump_clock: MockClock) -> None:
    await trio.sleep(1)
    urgent = trio.current_time()
    for _ in range(100):
        running.refresher.seek(True)
        await trio.sleep(0.1)
    assert len(running.oracle.times(urgent)) == pytest.approx(30, abs=1)


async def test_no_longer_urgent_waits_for_the_expiry(running: Running, autojump_clock: MockClock) -> None:
    await trio.sleep(1)
    running.refresher.seek(True)
    await trio.sleep(0.5)
    running.refresher.seek(False)
    calm = trio.current_time()
    await trio.sleep(9.5)
    assert running.oracle.times(calm) == []
    await trio.sleep(1.5)
    assert len(running.oracle.times(calm)) == 1
    assert running.oracle.asked[-1][1] is False


async def test_wavering_never_asks_more_often_than_the_fast_period(
    running: Running, autojump_clock: MockClock
) -> None:
    await trio.sleep(1)
    began = trio.current_time()
    for _ in range(100):
        running.refresher.seek(True)
        await trio.sleep(0.01)
        running.refresher.seek(False)
        await trio.sleep(0.01)
    times = running.oracle.times(began)
    assert times[0] == 0
    assert all(after - before > FAST_PERIOD - 0.001 for before, after in pairwise(times))
    assert len(times) >= 6


async def test_urgency_during_a_slow_lookup_is_followed_by_a_fresh_one(
    running: Running, autojump_clock: MockClock
) -> None:
    await trio.sleep(0.5)
    running.oracle.delay = 2
    await trio.sleep(11)
    assert len(running.oracle.asked) == 2
    running.refresher.seek(True)
    await trio.sleep(2)
    assert running.oracle.asked[2][0] == pytest.approx(running.oracle.asked[1][0] + 2)
    assert [fresh for _, fresh in running.oracle.asked] == [False, False, True]


async def test_an_answer_that_has_expired_already_is_no_tight_loop(
    running: Running, autojump_clock: MockClock
) -> None:
    running.oracle.ttl = -5
    await trio.sleep(10)
    assert 40 <= len(running.oracle.asked) <= 51


async def test_every_answer_is_published_but_only_changes_are_told(
    running: Running, autojump_clock: MockClock
) -> None:
    await trio.sleep(35)
    assert running.refresher.targets.version >= 3
    assert len(running.changes) == 1
    running.oracle.hosts = ["10.0.0.1", "10.0.0.2"]
    await trio.sleep(12)
    running.oracle.hosts, running.oracle.failure = [], "gone"
    await trio.sleep(12)
    running.oracle.failure = "gone for another reason"
    await trio.sleep(24)
    assert [(len(change.targets.targets), change.targets.failure) for change in running.changes] == [
        (1, ""),
        (2, ""),
        (0, "gone"),
        (0, "gone for another reason"),
    ]
    assert all(change.database == "orders" for change in running.changes)


times = st.floats(0, 1000)


@given(st.none() | times, st.just(float("-inf")) | times, times)
def test_when_to_ask_next(urgent_since: float | None, asked_fresh: float, expiry: float) -> None:
    due = next_question(urgent_since, asked_fresh, expiry)
    if urgent_since is None:
        assert due == expiry
    else:
        assert due >= max(urgent_since, asked_fresh + FAST_PERIOD)
        assert due <= max(urgent_since + FAST_PERIOD, asked_fresh + SLOW_PERIOD)
