"""`Latest`: readers see the newest whole value, never the ones in between."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from dbambassador.latest import Latest


async def test_a_slow_reader_sees_the_newest_value_only() -> None:
    latest, seen = Latest(0), []
    go_on = trio.Event()

    async def read() -> None:
        async for value in latest.values():
            seen.append(value)
            if value == 0:
                await go_on.wait()
            if value == 3:
                return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        for value in (1, 2, 3):
            latest.publish(value)
        go_on.set()
    assert seen == [0, 3]


async def test_newer_waits_for_a_later_version_and_every_reader_gets_it() -> None:
    latest, seen = Latest("old"), []
    version = latest.version

    async def read() -> None:
        seen.append(await latest.newer(version))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(read)
        await wait_all_tasks_blocked()
        assert seen == []
        latest.publish("new")
    assert seen == ["new"] * 3


async def test_publishing_the_same_value_is_news_too() -> None:
    latest = Latest(1)
    latest.publish(1)
    with trio.fail_after(1):
        assert await latest.newer(0) == 1
