"""What only the epoll loop promises, turned by hand: one batch of events at a time."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack

import pytest
import trio

from dbambassador.forwarding.engine import How, Link, Tap, Tapped
from dbambassador.forwarding.epoll_loop import BURST, READ, EpollLoop
from dbambassador.forwarding.sides import Session
from tests.forwarding.relaying import RESET_ON_CLOSE, as_stream, connected_tcp


class Scene:
    """A loop, its sessions, and their outer ends."""

    def __init__(self, ending: ExitStack) -> None:
        self._ending = ending
        self.ended: list[Session] = []
        self.told: list[Callable[[], None]] = []
        self.loop = EpollLoop(self.ended.extend, lambda session, what: self.told.append(what))
        ending.callback(self.loop.close)

    def session(
        self,
        *,
        tap: Tap | None = None,
        make: Callable[[], tuple[socket.socket, socket.socket]] = connected_tcp,
    ) -> tuple[Session, socket.socket, socket.socket]:
        """An adopted session with its client and its server."""
        (client, inner_client), (server, inner_server) = make(), make()
        for end in (client, server):
            end.setblocking(False)
            self._ending.callback(end.close)
        session = Session(Link(as_stream(inner_client), as_stream(inner_server), tap=tap))
        self._ending.callback(self.finish, session)
        self.loop.adopt(session)
        self.settle()
        return session, client, server

    def settle(self) -> None:
        """Turns until there is nothing to do."""
        descriptor = self.loop.post
        for _ in range(3):
            descriptor(lambda: None)  # so that no turn waits
            self.loop.turn()

    def finish(self, session: Session) -> None:
        self.loop.end(session)
        self.settle()


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    with ExitStack() as ending:
        yield Scene(ending)


def reset(end: socket.socket) -> None:
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    end.close()


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


async def test_descriptors_are_closed_when_the_batch_is_over(scene: Scene) -> None:
    first, first_client, _ = scene.session()
    descriptors = [side.descriptor for side in first.sides]
    while_later_ones_are_served: list[bool] = []

    def tap(data: bytes) -> Tapped:
        while_later_ones_are_served.extend([first.over, *map(is_open, descriptors)])
        return Tapped(data)

    _, _, second_server = scene.session(tap=tap)
    reset(first_client)
    second_server.send(b"in the same batch")
    scene.loop.turn()
    assert while_later_ones_are_served == [True, True, True]
    assert [is_open(descriptor) for descriptor in descriptors] == [False, False]
    assert scene.ended == [first]
    assert first.endings.how is How.CLIENT_RESET


async def test_the_next_owner_of_a_descriptor_gets_its_own_events(scene: Scene) -> None:
    first, first_client, first_server = scene.session()
    numbers = [side.descriptor for side in first.sides]
    next_ones = [connected_tcp(), connected_tcp()]
    first_server.send(b"stale")
    reset(first_client)
    scene.loop.turn()

    def next_one() -> tuple[socket.socket, socket.socket]:
        outer, inner = next_ones.pop()
        with inner:
            return outer, socket.socket(fileno=os.dup2(inner.fileno(), numbers.pop(), inheritable=False))

    second, client, server = scene.session(make=next_one)
    client.send(b"fresh")
    scene.loop.turn()
    assert server.recv(100) == b"fresh"
    assert not second.over


async def test_the_work_for_one_event_is_bounded(scene: Scene) -> None:
    def wide() -> tuple[socket.socket, socket.socket]:
        ends = socket.socketpair()
        for end in ends:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        return ends

    session, client, server = scene.session(make=wide)
    size = client.send(bytes(3 * BURST * READ))
    if size < 2 * BURST * READ:
        pytest.skip("this system does not let sockets hold that much: net.core.wmem_max")
    scene.loop.turn()
    after_one = session.traffic.to_server
    assert 0 < after_one <= BURST * READ
    while session.traffic.to_server < size:  # no new event tells of the rest
        before = session.traffic.to_server
        scene.loop.turn()
        assert before < session.traffic.to_server <= before + BURST * READ
    received = 0
    while received < size:
        received += len(server.recv(1 << 20))


async def test_no_memory_stays_with_a_message(scene: Scene) -> None:
    _, client, server = scene.session()

    def converse(times: int) -> None:
        for _ in range(times):
            client.send(b"question")
            scene.loop.turn()
            server.send(server.recv(100))
            scene.loop.turn()
            client.recv(100)

    converse(100)
    before = sys.getallocatedblocks()
    converse(2000)
    assert sys.getallocatedblocks() - before < 200


async def test_what_is_kept_of_a_blocked_direction_is_one_read_at_most(scene: Scene) -> None:
    session, client, _ = scene.session()
    scene.loop.post(lambda: None)
    while session.server.rest is None:
        try:
            while True:
                client.send(bytes(1 << 16))
        except BlockingIOError:
            scene.settle()
    assert len(session.server.rest) <= READ
    assert not session.client.listening


async def test_what_a_tap_tells_is_told_before_its_bytes_are_sent(scene: Scene) -> None:
    def tap(data: bytes) -> Tapped:
        return Tapped(data, done=True, tell=lambda: None)

    session, client, server = scene.session(tap=tap)
    told_before: list[int] = []

    class Watched:
        """The client's socket, that notes how much had been told by then."""

        def send(self, data: memoryview) -> int:
            told_before.append(len(scene.told))
            return original.send(data)

    original = session.client.socket
    session.client.socket = Watched()  # type: ignore[assignment]
    server.send(b"welcome")
    scene.loop.turn()
    session.client.socket = original
    assert client.recv(100) == b"welcome"
    assert told_before == [1]


async def test_a_socket_that_cannot_be_registered_fails_its_session_alone(scene: Scene) -> None:
    _, client, server = scene.session()
    ends = [*connected_tcp(), *connected_tcp()]
    bad = Session(Link(as_stream(ends[1]), as_stream(ends[3])))
    bad.server.descriptor = 99_999
    scene.loop.adopt(bad)
    scene.settle()
    assert scene.ended == [bad]
    assert isinstance(bad.failure, OSError)
    client.send(b"unharmed")
    scene.loop.turn()
    assert server.recv(100) == b"unharmed"
    for end in ends:
        end.close()
    await trio.lowlevel.checkpoint()
