"""Idle sessions: whoever is overdue is told, never early and once; and real ones are cut in time."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from dbambassador.events import SessionEnded
from dbambassador.forwarding.sessions.idleness import SPARE, Idleness
from dbambassador.forwarding.sessions.vigil import PERIOD, Vigil
from dbambassador.forwarding.wires.mysql import MysqlWire
from dbambassador.forwarding.wires.wire import TcpWire
from tests.forwarding import scene as scenes
from tests.forwarding.relay.relaying import ENGINES
from tests.forwarding.scene import GREETING, MakeScene, Scene, exactly, greet, until

TIMEOUT = 5.0
LATE = 2 * PERIOD + 0.5
"""Seconds: a look to see that it is idle, a look to see that it is overdue; and a loaded machine."""
STEPS = st.lists(st.tuples(st.floats(0, 3), st.sets(st.integers(0, 5)), st.sets(st.integers(0, 5))))


@given(STEPS)
def test_who_is_overdue_is_told_once_and_never_early(
    steps: list[tuple[float, set[int], set[int]]],
) -> None:
    idleness: Idleness[int] = Idleness(TIMEOUT)
    last: dict[int, float] = {}
    now = 0.0
    for passed, moved, ended in steps:
        now += passed
        last |= dict.fromkeys(moved, now)
        idleness.moved(moved, now)
        due = {each for each, since in last.items() if now >= since + TIMEOUT}
        assert sorted(idleness.overdue(now)) == sorted(due)
        last = {each: since for each, since in last.items() if each not in due | ended}
        idleness = _without(idleness, ended)


def _without(idleness: Idleness[int], ended: set[int]) -> Idleness[int]:
    """Forgets them, as if there were so many."""
    idleness._since.update(dict.fromkeys(range(-2 * SPARE, 0), 0.0))
    idleness.forget_ended(0, lambda each: each >= 0 and each not in ended)
    return idleness


def test_what_is_off_knows_nobody() -> None:
    idleness: Idleness[int] = Idleness(0.0)
    idleness.moved(range(5000), 0.0)
    assert len(idleness) == 0
    assert idleness.overdue(1e9) == []


def test_ended_sessions_are_forgotten_long_before_their_time() -> None:
    idleness: Idleness[int] = Idleness(3600.0)
    for second in range(5000):
        idleness.moved([second], float(second % 60))
        idleness.forget_ended(10, lambda each, now=second: each > now - 10)  # type: ignore[misc]
        assert len(idleness) <= 2 * 10 + SPARE


def test_a_look_at_resting_sessions_asks_for_none_but_the_oldest() -> None:
    class Resting(int):
        """Notes who is looked up."""

        looked_up = 0

        def __hash__(self) -> int:
            Resting.looked_up += 1
            return int(self)

    idleness: Idleness[Resting] = Idleness(60.0)
    idleness.moved([Resting(number) for number in range(5000)], 0.0)
    Resting.looked_up = 0
    for look in range(200):
        assert idleness.overdue(look * PERIOD) == []
        idleness.forget_ended(5000, lambda _: True)
    assert Resting.looked_up <= 200 * 3


@pytest.fixture(params=ENGINES)
def scene(request: pytest.FixtureRequest) -> MakeScene:
    return partial(scenes.scene, request.param)


def watch(stage: Scene, timeout: float) -> None:
    stage.nursery.start_soon(Vigil(stage.ledger, stage, timeout).run)  # type: ignore[arg-type]


def ended(stage: Scene) -> list[SessionEnded]:
    return [event for event in stage.events if isinstance(event, SessionEnded)]


async def test_an_idle_session_is_cut_and_one_that_either_side_speaks_in_is_not(scene: MakeScene) -> None:
    timeout = 1.0

    async def speak_or_listen(stream: trio.SocketStream) -> None:
        if await exactly(stream, 1) == b"?":
            await speak(stream)
        await scenes.until_closed(stream)

    async def speak(stream: trio.SocketStream) -> None:
        while True:
            await stream.send_all(b"x")
            await trio.sleep(timeout / 4)

    async with scene(TcpWire()) as stage:
        await stage.choose(await stage.server(speak_or_listen))
        watch(stage, timeout)
        idle, heard, speaking = [await stage.connect() for _ in range(3)]
        await heard.send_all(b"?")
        await speaking.send_all(b"!")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(speak, speaking)
            await idle.send_all(b"!")
            began = trio.current_time()
            with pytest.raises(trio.BrokenResourceError):
                await idle.receive_some(1)
            assert timeout <= trio.current_time() - began <= timeout + LATE
            for _ in range(8):
                assert await heard.receive_some(1)
            await until(lambda: ended(stage))
            nursery.cancel_scope.cancel()
        assert len(stage.ledger) == 2
        assert [event.how for event in ended(stage)] == ["idle"]


async def test_a_session_that_waits_for_its_server_is_not_idle_before_it_began(scene: MakeScene) -> None:
    async def greet_late(stream: trio.SocketStream) -> None:
        await trio.sleep(1.6)
        await greet(stream)

    async with scene(MysqlWire()) as stage:
        await stage.choose(await stage.server(greet_late))
        watch(stage, 1.0)
        client = await stage.connect()
        assert await exactly(client, len(GREETING)) == GREETING
        began = trio.current_time()
        with pytest.raises(trio.BrokenResourceError):
            await client.receive_some(1)
        assert trio.current_time() - began >= 0.7
