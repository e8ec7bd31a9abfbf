"""Parts that come late, on a clock that jumps."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

from dbambassador.discovery.answers import Question
from dbambassador.discovery.parts import PART_DELAY, Part, Parts, all_of
from dbambassador.values import Address, Target, Targets


class Site:
    """A part whose answer takes `delay`, and is good for ten seconds."""

    def __init__(self, name: str, *hosts: str, delay: float = 0.0, priority: int = 0) -> None:
        self.name = name
        self.hosts = list(hosts)
        self.delay = delay
        self.priority = priority
        self.failure = ""
        self.asked = 0

    def part(self, source: object = "configuration") -> Part:
        return Part(self.name, Question(self.name, "A"), self.priority, source, self.look_up)

    async def look_up(self) -> Targets:
        self.asked += 1
        asked_at = trio.current_time()
        await trio.sleep(self.delay)
        targets = tuple(Target(Address(host, 5432), self.name, self.priority) for host in self.hosts)
        return Targets(targets, (), asked_at, trio.current_time() + 10, failure=self.failure)


def shown(found: Sequence[Targets]) -> list[list[str]]:
    return [[address.host for address in each.addresses] for each in found]


async def timed(parts: Parts, *sites: Site) -> tuple[list[list[str]], float]:
    began = trio.current_time()
    found = await parts.gather([site.part() for site in sites])
    return shown(found), round(trio.current_time() - began, 3)


@pytest.fixture
async def parts(nursery: trio.Nursery) -> Parts:
    return Parts(nursery)


async def test_whoever_looks_once_waits_for_every_part(autojump_clock: MockClock) -> None:
    sites = [Site("a", "10.0.0.1"), Site("b", "10.0.0.2", delay=3)]
    assert shown(await all_of([site.part() for site in sites])) == [["10.0.0.1"], ["10.0.0.2"]]
    assert trio.current_time() == 3


async def test_nothing_to_gather(parts: Parts) -> None:
    assert await parts.gather([]) == []


async def test_a_late_part_stays_as_it_was_and_follows(parts: Parts, autojump_clock: MockClock) -> None:
    for late, prompt in ((0, 1), (1, 0)):
        sites = [Site(f"a{late}", "10.0.0.1"), Site(f"b{late}", "10.0.0.2")]
        assert await timed(parts, *sites) == ([["10.0.0.1"], ["10.0.0.2"]], 0)
        sites[late].delay = 1
        for site in sites:
            site.hosts = [f"{site.hosts[0]}0"]
        known = trio.current_time()
        await trio.sleep(5)
        expected = [["10.0.0.10"], ["10.0.0.20"]]
        expected[late] = [expected[late][0][:-1]]
        found = await parts.gather([site.part() for site in sites])
        assert shown(found) == expected
        assert trio.current_time() == known + 5 + PART_DELAY
        assert found[late].asked_at == known, "an answer that was not heard again is no younger"
        assert found[late].expires_at <= trio.current_time()
        assert found[late].steps[0].answer == "no answer after 50 ms"
        assert found[prompt].asked_at == known + 5
        await trio.sleep(1)
        assert await timed(parts, *sites) == ([["10.0.0.10"], ["10.0.0.20"]], 0)
        assert sites[late].asked == 2, "what came meanwhile is no reason to ask again"


async def test_at_first_a_late_part_that_is_preferred_is_waited_for_and_another_is_not(
    parts: Parts, autojump_clock: MockClock
) -> None:
    assert await timed(parts, Site("a", "1.1.1.1", delay=3), Site("b", "2.2.2.2")) == (
        [["1.1.1.1"], ["2.2.2.2"]],
        3,
    )
    assert await timed(parts, Site("c", "3.3.3.3"), Site("d", "4.4.4.4", delay=3)) == (
        [["3.3.3.3"], []],
        PART_DELAY,
    )
    (late,) = (await parts.gather([Site("a", "1.1.1.1").part(), Site("i", delay=1).part()]))[1:]
    assert (late.targets, late.asked_at, late.steps[0].kind) == ((), 0.0, "A"), "not wholly asked yet"
    first = Site("e", "5.5.5.5", priority=7)
    assert await timed(parts, first, Site("f", "6.6.6.6", delay=3, priority=5)) == (
        [["5.5.5.5"], ["6.6.6.6"]],
        3,
    )
    assert await timed(parts, Site("g", delay=1, priority=9), Site("h", "8.8.8.8", priority=2)) == (
        [[], ["8.8.8.8"]],
        PART_DELAY,
    )


async def test_a_part_that_leads_nowhere_is_waited_past_at_first(
    parts: Parts, autojump_clock: MockClock
) -> None:
    sites = Site("a"), Site("b", "10.0.0.2", delay=3)
    assert await timed(parts, *sites) == ([[], ["10.0.0.2"]], 3)
    sites[1].delay = 2
    assert await timed(parts, *sites) == ([[], ["10.0.0.2"]], PART_DELAY)


async def test_a_part_that_failed_is_known_to_fail(parts: Parts, autojump_clock: MockClock) -> None:
    silent, good = Site("a", delay=3), Site("b", "10.0.0.2")
    silent.failure = "no answer"
    assert await timed(parts, silent, good) == ([[], ["10.0.0.2"]], 3)
    found = await parts.gather([silent.part(), good.part()])
    assert [each.failure for each in found] == ["no answer", ""]
    assert trio.current_time() == 3 + PART_DELAY


async def test_while_nothing_new_has_come_it_waits(parts: Parts, autojump_clock: MockClock) -> None:
    sites = Site("a", "10.0.0.1"), Site("b", "10.0.0.2")
    await timed(parts, *sites)
    sites[0].delay, sites[1].delay = 2, 1
    assert await timed(parts, *sites) == ([["10.0.0.1"], ["10.0.0.2"]], 1 + PART_DELAY)


async def test_another_source_is_asked_at_once_and_the_old_one_is_not_heard(
    parts: Parts, autojump_clock: MockClock
) -> None:
    late, good = Site("a", "10.0.0.1"), Site("b", "10.0.0.2")

    async def gather(source: str) -> list[list[str]]:
        return shown(await parts.gather([late.part(source), good.part(source)]))

    await gather("old")
    late.delay = 2
    await gather("old")
    late.delay, late.hosts = 1, ["10.0.0.9"]
    assert await gather("new") == [["10.0.0.1"], ["10.0.0.2"]]
    assert late.asked == 3
    await trio.sleep(1.5)
    assert await gather("new") == [["10.0.0.9"], ["10.0.0.2"]]
    await trio.sleep(2)
    late.delay = 5
    assert await gather("new") == [["10.0.0.9"], ["10.0.0.2"]]


async def test_a_part_named_twice_is_looked_up_once(parts: Parts, autojump_clock: MockClock) -> None:
    site = Site("a", "10.0.0.1")
    assert await timed(parts, site, site) == ([["10.0.0.1"], ["10.0.0.1"]], 0)
    assert site.asked == 1


async def test_what_is_no_longer_named_is_forgotten(parts: Parts, autojump_clock: MockClock) -> None:
    gone, good = Site("gone", "10.0.0.1", delay=1), Site("b", "10.0.0.2")
    await timed(parts, gone, good)
    gone.delay = 4
    await timed(parts, gone, good)
    await trio.sleep(1000)
    gone.hosts, gone.delay = ["10.0.0.3"], 2
    assert await timed(parts, gone, good) == ([["10.0.0.3"], ["10.0.0.2"]], 2)


async def test_whoever_waits_in_vain_leaves_the_part_under_way(
    parts: Parts, autojump_clock: MockClock
) -> None:
    site = Site("a", "10.0.0.1", delay=2)
    with trio.move_on_after(0.5):
        await timed(parts, site)
    await trio.sleep(5)
    assert await timed(parts, site) == ([["10.0.0.1"]], 0)
    assert site.asked == 1


async def test_a_bug_in_one_part_ends_whoever_gathers(autojump_clock: MockClock) -> None:
    async def fail() -> Targets:
        raise ZeroDivisionError

    part = Part("a", Question("a", "A"), 0, "configuration", fail)
    with pytest.raises(ExceptionGroup) as raised:
        async with trio.open_nursery() as nursery:
            await Parts(nursery).gather([part])
    assert [type(error) for error in raised.value.exceptions] == [ZeroDivisionError]
