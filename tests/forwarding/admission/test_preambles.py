"""Clients that say nothing: the oldest make room, and nobody else."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from dbambassador.events import ClientCrowdedOut, ClientLeft, ClientRefused, Departure, Event, SessionEnded
from dbambassador.forwarding.admission import preambles as module
from dbambassador.forwarding.admission.preambles import (
    GRACE,
    GRACE_AT_LIMIT,
    MOST,
    PERIOD,
    SHARE,
    Hearing,
    Preambles,
)
from dbambassador.forwarding.wires.mysql import MysqlWire
from dbambassador.forwarding.wires.postgresql import PostgresqlWire
from dbambassador.protocols.mysql import TOO_MANY_CONNECTIONS, error_before_greeting
from tests.forwarding import scene as scenes
from tests.forwarding.relay.relaying import ENGINES
from tests.forwarding.scene import (
    GSSENC_REQUEST,
    SSL_REQUEST,
    STARTUP,
    WELCOME,
    MakeScene,
    Scene,
    exactly,
    until,
    until_closed,
    welcome_in_clear,
)
from tests.health.checking import greeting

CLIENT_HELLO = b"\x16\x03\x01\0\x2d" + bytes(45)
"""As short as one can be."""


class Client:
    """A client as the test wants it."""

    def __init__(
        self,
        *,
        silent: bool = True,
        over: bool = False,
        admitted: bool = True,
    ) -> None:
        self.database = "orders"
        self.since = trio.current_time()
        self.admitted = admitted
        self.ended = False
        self._silent = silent
        self._over = over

    def silent(self) -> bool:
        return self._silent

    def over(self) -> bool:
        return self._over

    def end(self) -> None:
        self.ended = True


def crowd(preambles: Preambles, count: int) -> list[Client]:
    clients = [Client() for _ in range(count)]
    for client in clients:
        preambles.add(client)
    return clients


def with_time(test: Callable[[Preambles, list[Event], trio.Nursery], object]) -> None:
    """Runs a test on a clock of its own, which moves while nothing else does."""

    async def run() -> None:
        events: list[Event] = []
        preambles = Preambles(0, events.append)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(preambles.run)
            await test(preambles, events, nursery)  # type: ignore[misc]
            nursery.cancel_scope.cancel()

    trio.run(run, clock=MockClock(autojump_threshold=0))


@given(st.lists(st.sampled_from(["silent", "waits for us", "has spoken"]), max_size=3 * MOST))
def test_the_oldest_silent_ones_go_and_nobody_else(kinds: list[str]) -> None:
    async def run(preambles: Preambles, events: list[Event], _: trio.Nursery) -> None:
        clients = [Client(silent=kind == "silent", over=kind == "has spoken") for kind in kinds]
        for client in clients:
            preambles.add(client)
        await trio.sleep(GRACE + 2 * PERIOD)
        silent = [client for client, kind in zip(clients, kinds, strict=True) if kind == "silent"]
        gone = silent[: max(0, len(silent) - MOST)]
        assert [client for client in clients if client.ended] == gone
        assert events == [ClientCrowdedOut("orders")] * len(gone)

    with_time(run)


def test_however_many_the_young_are_spared() -> None:
    async def run(preambles: Preambles, _: list[Event], __: trio.Nursery) -> None:
        clients = crowd(preambles, 10 * MOST)
        await trio.sleep(GRACE - PERIOD)
        assert not any(client.ended for client in clients)
        for client in clients:
            preambles.discard(client)
        await trio.sleep(2 * PERIOD)
        assert not any(client.ended for client in clients)

    with_time(run)


class Steps(trio.abc.Instrument):
    """Counts what tasks do."""

    def __init__(self) -> None:
        self.steps = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.steps += 1


def test_without_a_crowd_nobody_looks() -> None:
    async def run(preambles: Preambles, _: list[Event], __: trio.Nursery) -> None:
        crowd(preambles, MOST + 1)
        await trio.sleep(GRACE + 2 * PERIOD)
        assert len(preambles) == MOST
        steps = Steps()
        trio.lowlevel.add_instrument(steps)
        await trio.sleep(3600)
        trio.lowlevel.remove_instrument(steps)
        assert steps.steps <= 3

    with_time(run)


async def test_what_a_client_has_said_and_nobody_has_read_is_not_its_silence() -> None:
    ours, theirs = trio.socket.socketpair()
    with ours, theirs:
        hearing = Hearing("orders", trio.SocketStream(ours), admitted=True)
        assert not hearing.silent()  # nobody listens
        with trio.CancelScope() as hearing.listening:
            assert hearing.silent()
            await theirs.send(b"x")
            assert not hearing.silent()
            await ours.recv(1)
            assert hearing.silent()


@pytest.mark.parametrize(("maximum", "most"), [(0, MOST), (1, 1), (7, 1), (40, 40 // SHARE), (10**6, MOST)])
def test_they_are_a_share_of_all_clients_at_most(maximum: int, most: int) -> None:
    async def run(_: Preambles, events: list[Event], nursery: trio.Nursery) -> None:
        preambles = Preambles(maximum, events.append)
        nursery.start_soon(preambles.run)
        clients = crowd(preambles, 2 * MOST)
        await trio.sleep(GRACE + 2 * PERIOD)
        assert sum(not client.ended for client in clients) == most

    with_time(run)


def test_room_is_made_by_the_oldest_silent_one_first_of_those_with_a_place() -> None:
    async def run(preambles: Preambles, events: list[Event], _: trio.Nursery) -> None:
        busy, placeless, first, second = clients = [
            Client(silent=False),
            Client(admitted=False),
            Client(),
            Client(),
        ]
        for client in clients:
            preambles.add(client)
        assert not preambles.make_room()  # who has just come may be about to speak
        await trio.sleep(GRACE_AT_LIMIT)
        ended: list[Client] = []

        def room() -> tuple[bool, Client | None]:
            made = preambles.make_room()
            new = [client for client in clients if client.ended and client not in ended]
            ended.extend(new)
            return made, new[0] if new else None

        assert [room() for _ in range(4)] == [
            (True, first),
            (True, second),
            (False, placeless),
            (False, None),
        ]
        assert not busy.ended
        assert len(events) == 3

    with_time(run)


@pytest.fixture(params=ENGINES)
def scene(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> MakeScene:
    monkeypatch.setattr(module, "MOST", 2)
    monkeypatch.setattr(module, "GRACE", 0.3)
    monkeypatch.setattr(module, "GRACE_AT_LIMIT", 0.05)
    return partial(scenes.scene, request.param)


def crowded_out(stage: Scene) -> int:
    return sum(isinstance(event, ClientCrowdedOut) for event in stage.events)


@pytest.mark.parametrize("said", [b"", STARTUP[:5]])
async def test_a_silent_client_is_closed_and_one_that_speaks_late_is_served(
    scene: MakeScene, said: bytes
) -> None:
    async with scene(PostgresqlWire()) as stage:
        await stage.choose(await stage.server(welcome_in_clear))
        first, second, third = [await stage.connect() for _ in range(3)]
        for client in (first, second, third):
            await client.send_all(said)
        assert await until_closed(first) == b""
        for client in (second, third):
            await client.send_all(STARTUP[len(said) :])
            assert await exactly(client, len(WELCOME)) == WELCOME
        assert crowded_out(stage) == 1
        left = [(event.reason, event.how) for event in stage.events if isinstance(event, ClientLeft)]
        assert left == [(module.CROWDED_OUT, Departure.CROWDED_OUT)]


async def test_one_that_was_told_no_and_says_nothing_more_is_silent_too(scene: MakeScene) -> None:
    """It has a server's connection by then, which is free again."""
    left = 0

    async def decline(stream: trio.SocketStream) -> None:
        nonlocal left
        await exactly(stream, 8)
        await stream.send_all(b"N")
        await until_closed(stream)
        left += 1

    async with scene(PostgresqlWire()) as stage:
        await stage.choose(await stage.server(decline))
        clients = []
        for _ in range(4):
            clients.append(await stage.connect())
            await clients[-1].send_all(SSL_REQUEST)
            assert await exactly(clients[-1], 1) == b"N"
        for client in clients[:2]:
            assert await until_closed(client) == b""
        await until(lambda: left == 2)
        assert len(stage.ledger) == 2


@pytest.mark.parametrize(
    ("asks", "answer", "more"),
    [
        (SSL_REQUEST, b"S", b""),
        (SSL_REQUEST, b"S", CLIENT_HELLO[:1]),
        (GSSENC_REQUEST, b"G", b""),
        (CLIENT_HELLO[:1], b"", b""),
    ],
)
async def test_one_that_may_begin_tls_and_does_not_is_silent_too(
    scene: MakeScene, asks: bytes, answer: bytes, more: bytes
) -> None:
    async def agree(stream: trio.SocketStream) -> None:
        await exactly(stream, len(asks))
        await stream.send_all(answer)
        await exactly(stream, len(CLIENT_HELLO) - (0 if answer else len(asks)))
        await stream.send_all(b"server hello")
        await until_closed(stream)

    async with scene(PostgresqlWire()) as stage:
        await stage.choose(await stage.server(agree))
        clients = []
        for _ in range(4):
            clients.append(await stage.connect())
            await clients[-1].send_all(asks)
            assert await exactly(clients[-1], len(answer)) == answer
            await clients[-1].send_all(more)
        for client in clients[:2]:
            assert await until_closed(client) == b""
        for client in clients[2:]:
            await client.send_all(CLIENT_HELLO[len(more) if answer else len(asks) :])
            assert await exactly(client, 12) == b"server hello"
        await until(lambda: len(stage.ledger) == 2)
        resting = [await stage.connect() for _ in range(4)]
        for client in resting[:2]:
            assert await until_closed(client) == b""
        assert crowded_out(stage) == 4
        assert len(stage.ledger) == 2
        ended = [event.how for event in stage.events if isinstance(event, SessionEnded)]
        assert ended == ["crowded out"] * 2


async def test_a_client_that_waits_for_its_server_is_not_silent(scene: MakeScene) -> None:
    go_on = trio.Event()

    async def take_time(stream: trio.SocketStream) -> None:
        await exactly(stream, len(STARTUP))
        await go_on.wait()
        await stream.send_all(WELCOME)
        await until_closed(stream)

    async with scene(PostgresqlWire()) as stage:
        await stage.choose(await stage.server(take_time))
        clients = [await stage.connect() for _ in range(6)]
        for client in clients:
            await client.send_all(STARTUP)
        await until(lambda: len(stage.preambles) == 6)
        await trio.sleep(module.GRACE + 2 * PERIOD)
        go_on.set()
        for client in clients:
            assert await exactly(client, len(WELCOME)) == WELCOME
        assert not crowded_out(stage)


async def test_who_does_not_answer_a_greeting_is_silent(scene: MakeScene) -> None:
    async def greet_and_hear_a_farewell(stream: trio.SocketStream) -> None:
        await stream.send_all(greeting())
        await stream.receive_some(4096)

    async with scene(MysqlWire()) as stage:
        await stage.choose(await stage.server(greet_and_hear_a_farewell))
        clients = [await stage.connect() for _ in range(4)]
        for client in clients:
            assert await client.receive_some(4096)
        for client in clients[:2]:
            assert await until_closed(client) == b""
        assert crowded_out(stage) == 2
        await until(lambda: len(stage.ledger) == 2)


async def test_who_does_not_leave_a_server_that_is_full_is_silent_and_who_spoke_is_not(
    scene: MakeScene,
) -> None:
    full = error_before_greeting(TOO_MANY_CONNECTIONS, "Too many connections")

    async def refuse(stream: trio.SocketStream) -> None:
        await stream.send_all(full)
        await until_closed(stream)

    async with scene(MysqlWire()) as stage:
        await stage.choose(await stage.server(refuse))
        speaking = []
        for _ in range(3):
            speaking.append(await stage.connect())
            await speaking[-1].send_all(b"nobody asked for this")
            assert await exactly(speaking[-1], len(full)) == full
        silent = [await stage.connect() for _ in range(4)]
        for client in silent:
            assert await exactly(client, len(full)) == full
        for client in silent[:2]:
            assert await until_closed(client) == b""
        await until(lambda: len(stage.ledger) == 5)
        assert crowded_out(stage) == 2
        ended = [event.how for event in stage.events if isinstance(event, SessionEnded)]
        assert ended == ["crowded out"] * 2


async def test_at_the_limit_a_newcomer_takes_a_silent_ones_place(scene: MakeScene) -> None:
    async with scene(PostgresqlWire(), limit=1) as stage:
        await stage.choose(await stage.server(welcome_in_clear))
        silent = await stage.connect()
        await until(lambda: len(stage.preambles))
        await trio.sleep(module.GRACE_AT_LIMIT)
        client = await stage.connect()
        await client.send_all(STARTUP)
        assert await exactly(client, len(WELCOME)) == WELCOME
        assert await until_closed(silent) == b""
        assert not [event for event in stage.events if isinstance(event, ClientRefused)]
