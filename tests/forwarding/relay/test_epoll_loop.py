"""What only the epoll loop promises, turned by hand: one batch of events at a time."""

from __future__ import annotations

import os
import select
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from time import monotonic

import pytest

from dbambassador.forwarding.relay.engine import How, Link, Tap, Tapped
from dbambassador.forwarding.relay.epoll_loop import BURST, OLDEST, READ, Command, EpollLoop
from dbambassador.forwarding.relay.sides import WAKES, Session
from tests.forwarding.relay.relaying import RESET_ON_CLOSE, Ends, MakePair, tcp_pair, unix_pair


class Scene:
    """A loop, its sessions, and their outer ends."""

    def __init__(self, ending: ExitStack) -> None:
        self._ending = ending
        self.ended: list[Session] = []
        self.outcomes: list[How | Exception] = []
        self.news: list[int] = []
        """The sizes of the batches in which trio got its news."""
        self.loop = EpollLoop(self._inform)
        ending.callback(self.loop.close)

    def _inform(self, news: list[Command]) -> None:
        self.news.append(len(news))
        for call in news:
            call()

    def make(self, *, tap: Tap | None = None, make: MakePair = tcp_pair) -> tuple[Session, Ends]:
        """A session that the loop has not got, with its client and its server."""
        (client, inner_client), (server, inner_server) = make(), make()
        for end in (client, server):
            self._ending.callback(end.close)

        def over(outcome: How | Exception) -> None:
            self.ended.append(session)
            self.outcomes.append(outcome)

        session = Session(Link(inner_client, inner_server, tap=tap), over)
        self._ending.callback(self.finish, session)
        return session, (client, server)

    def session(
        self, *, tap: Tap | None = None, make: MakePair = tcp_pair
    ) -> tuple[Session, socket.socket, socket.socket]:
        """An adopted session with its client and its server."""
        session, (client, server) = self.make(tap=tap, make=make)
        self.loop.adopt(session)
        self.settle()
        return session, client, server

    def turn(self) -> None:
        """One turn that does not wait."""
        self.loop.post(lambda: None)
        self.loop.turn()

    def settle(self) -> None:
        """Turns until there is nothing to do, and all is told."""
        for _ in range(3):
            self.turn()
        told: list[None] = []
        self.loop.tell(lambda: told.append(None))
        while not told:
            self.loop.turn()

    def finish(self, session: Session) -> None:
        self.loop.end(session)
        self.settle()


@pytest.fixture
def scene() -> Iterator[Scene]:
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


def test_descriptors_are_closed_when_the_batch_is_over(scene: Scene) -> None:
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
    scene.settle()
    assert scene.ended == [first]
    assert scene.outcomes == [How.CLIENT_RESET]


def test_the_next_owner_of_a_descriptor_gets_its_own_events(scene: Scene) -> None:
    first, first_client, first_server = scene.session()
    numbers = [side.descriptor for side in first.sides]
    next_ones = [tcp_pair(), tcp_pair()]
    first_server.send(b"stale")
    reset(first_client)
    scene.loop.turn()

    def next_one() -> Ends:
        outer, inner = next_ones.pop()
        with inner:
            taken = socket.socket(fileno=os.dup2(inner.fileno(), numbers.pop(), inheritable=False))
        taken.setblocking(False)
        return outer, taken

    second, client, server = scene.session(make=next_one)
    client.send(b"fresh")
    scene.loop.turn()
    assert server.recv(100) == b"fresh"
    assert not second.over


def test_the_work_for_one_event_is_bounded(scene: Scene) -> None:
    def wide() -> Ends:
        ends = unix_pair()
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


def test_no_memory_stays_with_a_message(scene: Scene) -> None:
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


def test_what_is_kept_of_a_blocked_direction_is_one_read_at_most(scene: Scene) -> None:
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


def test_what_a_tap_tells_is_told_before_its_bytes_are_sent(scene: Scene) -> None:
    def tap(data: bytes) -> Tapped:
        return Tapped(data, done=True, tell=lambda: None)

    session, client, server = scene.session(tap=tap)
    told_before: list[int] = []

    def send(data: memoryview) -> int:
        """The client's, that notes how much had been told by then."""
        told_before.append(len(scene.loop._news))
        return session.client.socket.send(data)

    session.client.send = send  # type: ignore[assignment]
    server.send(b"welcome")
    scene.loop.turn()
    assert client.recv(100) == b"welcome"
    assert told_before == [1]


def test_a_socket_that_cannot_be_registered_fails_its_session_alone(scene: Scene) -> None:
    _, client, server = scene.session()
    bad, outer = scene.make()
    bad.server.descriptor = 99_999
    scene.loop.adopt(bad)
    scene.settle()
    assert scene.ended == [bad]
    assert isinstance(scene.outcomes[0], OSError)
    for end in outer:
        with pytest.raises(ConnectionResetError):
            end.recv(1)
    client.send(b"unharmed")
    scene.loop.turn()
    assert server.recv(100) == b"unharmed"


# Watching


def test_a_watched_descriptor_wakes_its_handler_until_it_is_unwatched(scene: Scene) -> None:
    outer, inner = unix_pair()
    woken: list[int] = []
    with outer, inner:
        scene.loop.watch(inner.fileno(), select.EPOLLIN, woken.append)
        assert scene.loop.watches(inner.fileno())
        outer.send(b"x")
        scene.turn()
        assert woken == [select.EPOLLIN]
        scene.loop.unwatch(inner.fileno())
        assert not scene.loop.watches(inner.fileno())
        outer.send(b"y")
        scene.turn()
        assert len(woken) == 1


def test_a_session_of_watched_sockets_is_told_of_what_came_before(scene: Scene) -> None:
    session, (client, server) = scene.make()
    for side in session.sides:
        scene.loop.watch(side.descriptor, WAKES, lambda events: None)
    client.send(b"asked")
    server.send(b"answered")
    scene.turn()  # the edges are used up
    scene.loop.adopt(session)
    scene.turn()
    assert server.recv(100) == b"asked"
    assert client.recv(100) == b"answered"
    assert not any(map(scene.loop.watches, [side.descriptor for side in session.sides]))


def test_alarms_sound_in_their_order_and_not_before(scene: Scene) -> None:
    now = monotonic()
    sounded: list[str] = []
    scene.loop.alarm(now + 0.03, lambda: sounded.append("late"))
    scene.loop.alarm(now + 0.01, lambda: sounded.append("early"))
    scene.turn()
    assert sounded == []
    scene.loop.turn()
    assert sounded == ["early"]
    assert monotonic() >= now + 0.01
    scene.loop.turn()
    assert sounded == ["early", "late"]


# News


def test_news_are_told_together_once_it_is_quiet(scene: Scene) -> None:
    told: list[int] = []
    for number in range(3):
        scene.loop.tell(partial(told.append, number))
    scene.turn()
    assert told == []
    scene.loop.turn()
    assert told == [0, 1, 2]
    assert scene.news == [3]


def test_urgent_news_are_told_in_the_same_turn_after_all_others(scene: Scene) -> None:
    told: list[str] = []

    def happen() -> None:
        scene.loop.tell(lambda: told.append("first"))
        scene.loop.tell(lambda: told.append("urgent"), urgent=True)
        scene.loop.tell(lambda: told.append("last"))

    scene.loop.post(happen)
    scene.loop.turn()
    assert told == ["first", "urgent", "last"]


def test_news_of_a_busy_loop_do_not_wait_for_ever(scene: Scene) -> None:
    told: list[float] = []
    scene.loop.tell(lambda: told.append(monotonic()))
    began = monotonic()
    while not told and monotonic() < began + 1:
        scene.turn()  # never quiet
    assert told
    assert told[0] - began >= OLDEST / 2


def test_what_a_client_does_about_a_message_is_told_after_what_its_tap_told(scene: Scene) -> None:
    told: list[str] = []

    def tap(data: bytes) -> Tapped:
        return Tapped(data, done=True, tell=lambda: told.append("key"))

    _, client, server = scene.session(tap=tap)
    server.send(b"welcome")
    scene.turn()
    assert client.recv(100) == b"welcome"
    scene.loop.tell(lambda: told.append("cancel"), urgent=True)
    scene.turn()
    assert told == ["key", "cancel"]


# Abandoning


def test_what_is_abandoned_ends_with_the_crash_and_is_told_of(scene: Scene) -> None:
    first, client, _ = scene.session()
    second, _ = scene.make()
    cleaned: list[None] = []
    crash = ValueError("a bug")
    scene.loop.at_crash.append(lambda: cleaned.append(None))
    scene.loop.tell(lambda: cleaned.append(None))
    scene.loop.post(lambda: scene.loop.adopt(second))  # never obeyed
    scene.loop.abandon(crash)
    assert {*scene.ended} == {first, second}
    assert scene.outcomes == [crash, crash]
    assert len(cleaned) == 2
    with pytest.raises(ConnectionResetError):
        client.recv(1)
