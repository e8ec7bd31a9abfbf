"""The schedule of questions, on a clock that jumps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest
import trio
from trio.testing import MockClock

from dbambassador.discovery.pace import FAST_PERIOD, HASTE, SLOW_PERIOD, SOON
from dbambassador.discovery.parts import Gather
from dbambassador.discovery.refresher import JITTER, Refresher
from dbambassador.discovery.resolver import Resolver
from dbambassador.events import Event, TargetsChanged
from dbambassador.settings.schema import Database, Endpoint, HostEndpoint, Protocol, SrvEndpoint
from dbambassador.values import Address, Target, Targets
from tests.discovery.zone import site

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
        self.endpoints: Sequence[Endpoint] = ()
        self.asked: list[tuple[float, float | None]] = []
        """When, and after when the answer was to be."""

    async def resolve(
        self, endpoints: Sequence[Endpoint], *, after: float | None = None, gather: Gather
    ) -> Targets:
        self.endpoints = endpoints
        asked_at = trio.current_time()
        self.asked.append((asked_at, after))
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
    def __init__(self, nursery: trio.Nursery, delay: float = 0.0) -> None:
        """`delay`: of the first answer."""
        self.oracle = Oracle()
        self.oracle.delay = delay
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
    assert all(after is None for _, after in running.oracle.asked)


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
    afters = [after for at, after in running.oracle.asked if at >= urgent]
    assert all(after is not None for after in afters)


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
    assert running.oracle.asked[-1][1] is None


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
    assert [after is None for _, after in running.oracle.asked] == [True, True, False]


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


async def test_trials_that_take_the_urgency_away_again_and_again_do_not_restart_the_haste(
    running: Running, autojump_clock: MockClock
) -> None:
    await trio.sleep(1)
    began = trio.current_time()
    for _ in range(60):
        running.refresher.seek(True)
        await trio.sleep(0.8)
        running.refresher.seek(False)
        await trio.sleep(0.2)
    times = running.oracle.times(began)
    late = [at for at in times if at > 7]
    assert len([at for at in times if at < 7]) >= HASTE / FAST_PERIOD
    assert all(after - before > SLOW_PERIOD - 0.001 for before, after in pairwise(late))
    assert len(late) >= 40


async def test_urgency_after_a_long_pause_is_a_new_haste(running: Running, autojump_clock: MockClock) -> None:
    running.oracle.ttl = 1000
    running.refresher.seek(True)
    await trio.sleep(20)
    running.refresher.seek(False)
    await trio.sleep(SOON)
    again = trio.current_time()
    running.refresher.seek(True)
    await trio.sleep(1.1)
    assert running.oracle.times(again) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]


async def test_an_urgent_answer_is_newer_than_the_last_set_and_as_young_as_the_schedule(
    running: Running, autojump_clock: MockClock
) -> None:
    running.oracle.delay = 0.05
    await trio.sleep(3)
    running.refresher.seek(True)
    await trio.sleep(8.1)
    first, *fresh = [(at, after) for at, after in running.oracle.asked if after is not None]
    assert first[1] == pytest.approx(first[0] - FAST_PERIOD)
    ended = first[0] + running.oracle.delay
    for at, after in fresh:
        assert after == pytest.approx(ended)
        ended = at + running.oracle.delay


async def watch(refresher: Refresher, seen: list[set[str]]) -> None:
    async for targets in refresher.targets.values():
        hosts = {address.host for address in targets.addresses}
        seen.append(hosts)


BOTH = HostEndpoint("a.db.test", 1), HostEndpoint("b.db.test", 2)


async def test_a_question_that_went_past_an_empty_cache_is_a_fresh_one(
    running: Running, autojump_clock: MockClock
) -> None:
    began = trio.current_time()
    running.oracle.delay = 0.01
    await running.refresher.targets.newer(0)
    running.refresher.seek(True)
    await trio.sleep(0.5)
    assert running.oracle.times(began) == [0, 0.2, 0.4]


@pytest.mark.waits
@pytest.mark.parametrize("endpoints", [BOTH, BOTH[::-1], (SrvEndpoint("_pg.db.test"),)])
async def test_a_silent_zone_delays_no_news_of_another_and_loses_nothing(
    tmp_path: Path, endpoints: tuple[Endpoint, ...]
) -> None:
    """Two endpoints, and the hosts of a SRV record, each with one name whose answers stop coming."""
    async with site(tmp_path, a__db__test=["20 A 10.0.0.1"], b__db__test=["20 A 10.0.0.2"]) as place:
        place.zone.records["_pg.db.test"] = ["20 SRV 0 1 1 a.db.test.", "20 SRV 0 1 2 b.db.test."]
        place.write("resolv.conf", "options timeout:1 attempts:1")
        refresher = Refresher(replace(DATABASE, endpoints=endpoints), place.resolver, place.events.append)
        seen: list[set[str]] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, refresher, seen)
            nursery.start_soon(refresher.run)
            await refresher.targets.newer(0)
            silent_since = trio.current_time()
            place.zone.delays["b.db.test"] = 9
            refresher.seek(True)
            await trio.sleep(0.3)
            place.zone.records["a.db.test"] = ["20 A 10.0.0.3"]
            changed = trio.current_time()
            while not any(address.host == "10.0.0.3" for address in refresher.targets.value.addresses):
                await refresher.targets.newer(refresher.targets.version)
            assert trio.current_time() - changed < 0.6
            while "no answer from" not in refresher.targets.value.failure:
                assert refresher.targets.value.asked_at < silent_since, "no answer of b since"
                await refresher.targets.newer(refresher.targets.version)
            assert trio.current_time() - changed < 2
            assert refresher.targets.value.stale
            nursery.cancel_scope.cancel()
        assert seen[0] == set()
        assert all("10.0.0.2" in hosts for hosts in seen[1:]), seen


OTHER = replace(DATABASE, endpoints=(HostEndpoint("other.db.test", 5432),))


async def test_other_endpoints_are_looked_for_at_once(running: Running, autojump_clock: MockClock) -> None:
    await trio.sleep(3)
    running.refresher.adopt(replace(DATABASE, hold=1.0))
    await trio.sleep(1)
    assert len(running.oracle.asked) == 1
    running.refresher.adopt(OTHER)
    now = trio.current_time()
    await trio.sleep(0.1)
    assert running.oracle.times(now) == [0.0]
    assert running.oracle.endpoints == OTHER.endpoints


async def test_what_is_still_being_looked_for_at_former_endpoints_is_not_waited_for(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    running = Running(nursery, delay=5.0)
    await trio.sleep(1)
    running.oracle.delay, running.oracle.hosts = 0.0, ["10.0.0.2"]
    running.refresher.adopt(OTHER)
    await trio.sleep(6)  # the former answer would be there, and this one is still good
    assert running.refresher.targets.version == 1
    assert running.refresher.targets.value.addresses == (Address("10.0.0.2", 5432),)
