"""What only the fast path promises: ordinary sessions without a task, and the others' hand-over to trio."""

from __future__ import annotations

import os
import resource
import socket
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from dbambassador.events import (
    ClientLeft,
    ClientRefused,
    Departure,
    DescriptorsExhausted,
    DialEnded,
    Event,
    Refusal,
    SessionCrashed,
    SessionEnded,
    SessionOpened,
)
from dbambassador.forwarding.opening import arrivals
from dbambassador.forwarding.opening.arrival import PATIENCE
from dbambassador.forwarding.relay.epoll_engine import EpollEngine
from dbambassador.forwarding.sessions.ledger import Stage
from dbambassador.forwarding.sessions.vigil import Vigil
from dbambassador.forwarding.wires.mysql import MysqlWire
from dbambassador.forwarding.wires.postgresql import PostgresqlWire
from dbambassador.forwarding.wires.wire import TcpWire, Wire
from dbambassador.health.evidence import Evidence, Role, Signal
from dbambassador.health.judge import Judge
from dbambassador.protocols.mysql import packet
from dbambassador.protocols.postgresql import error_response
from dbambassador.settings.schema import Balance, SslMode, TargetSessionAttrs, Tls, UnixListen
from dbambassador.transport import dial
from dbambassador.transport.spare import Spare
from dbambassador.transport.tls_files import Encryption
from dbambassador.values import Address, Target
from tests.choices import serving
from tests.forwarding import scene as scenes
from tests.forwarding.mysql_peers import BookServer, converse, introduction
from tests.forwarding.relay.relaying import as_stream, reset
from tests.forwarding.scene import (
    AUTHENTICATION_OK,
    DATABASE,
    GREETING,
    GSSENC_REQUEST,
    SSL_REQUEST,
    STARTUP,
    WELCOME,
    Conversation,
    Scene,
    Server,
    exactly,
    greet,
    server_of,
    stay_silent,
    until,
    until_closed,
    welcome_in_clear,
)
from tests.transport.tls_peer import SERVER

scene = partial(scenes.scene, "epoll")

KEEPALIVE = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
KEY_REQUEST = (16).to_bytes(4, "big") + (80877102).to_bytes(4, "big")


E = TypeVar("E", bound=Event)


def told(stage: Scene, kind: type[E]) -> list[E]:
    return [event for event in stage.events if isinstance(event, kind)]


def choose_when(stage: Scene, server: Server, seen: Callable[[Evidence], bool]) -> None:
    """Has another server chosen at the first evidence of a kind, as a judge does: at once."""
    epoch = stage.choices.value.epoch + 1

    def observe(evidence: Evidence) -> None:
        stage.evidence.append(evidence)
        if seen(evidence) and stage.choices.value.epoch < epoch:
            stage.choices.publish(serving(epoch, Target(server.address, "db.test")))

    stage.observe = observe  # type: ignore[method-assign]


async def echo(stream: trio.SocketStream) -> None:
    while data := await stream.receive_some(4096):
        await stream.send_all(data)


@contextmanager
def held_up(stage: Scene) -> Iterator[None]:
    """Within it, the engine's thread does nothing."""
    assert isinstance(stage.engine, EpollEngine)
    go_on = threading.Event()

    def wait() -> None:
        go_on.wait(10)

    stage.engine.loop.post(wait)
    try:
        yield
    finally:
        go_on.set()


# Ordinary sessions

ENCRYPTION = Encryption(Tls(mode=SslMode.REQUIRE))


async def echo_in_tls(stream: trio.SocketStream) -> None:
    encrypted = trio.SSLStream(stream, SERVER, server_side=True, https_compatible=True)
    while data := await encrypted.receive_some():
        await encrypted.send_all(data)


async def welcome_in_tls(stream: trio.SocketStream) -> None:
    assert await exactly(stream, len(SSL_REQUEST)) == SSL_REQUEST
    await stream.send_all(b"S")
    encrypted = trio.SSLStream(stream, SERVER, server_side=True, https_compatible=True)
    assert await encrypted.receive_some() == STARTUP
    await encrypted.send_all(WELCOME)
    assert not await encrypted.receive_some()


SPOKEN: dict[str, tuple[Wire, Conversation, bytes, bytes]] = {
    "tcp": (TcpWire(), echo, b"ping", b"ping"),
    "mysql": (MysqlWire(), greet, b"", GREETING),
    "postgresql": (PostgresqlWire(), welcome_in_clear, STARTUP, WELCOME),
    "tcp in TLS": (TcpWire(ENCRYPTION), echo_in_tls, b"ping", b"ping"),
    "postgresql in TLS": (PostgresqlWire(ENCRYPTION), welcome_in_tls, STARTUP, WELCOME),
}


@pytest.mark.parametrize("protocol", SPOKEN)
async def test_an_ordinary_session_needs_no_task(protocol: str) -> None:
    wire, conversation, said, heard = SPOKEN[protocol]
    async with scene(wire) as stage:
        server = await stage.server(conversation)
        await stage.choose(server)
        for number in range(1, 6):
            client = await stage.connect()
            await client.send_all(said)
            assert await exactly(client, len(heard)) == heard
            await until(lambda: len(stage.ledger) == 1)
            (lease,) = stage.ledger
            assert (lease.stage, lease.address, stage.limit.clients) == (Stage.RELAYING, server.address, 1)
            await client.send_eof()
            assert await until_closed(client) == b""
            await until(lambda: not len(stage.ledger))
            assert [len(told(stage, kind)) for kind in (DialEnded, SessionOpened, SessionEnded)] == [
                number
            ] * 3
        assert stage.tasks.spawned == 0
        ended = told(stage, SessionEnded)[0]
        relayed = 0 if wire.__class__ is PostgresqlWire else len(said)  # the startup went before
        assert (ended.how, ended.to_server, ended.to_client) == ("client closed", relayed, len(heard))
        assert {(each.address, each.signal) for each in stage.evidence} == {(server.address, Signal.SERVED)}


@pytest.mark.parametrize("protocol", ["tcp", "mysql", "postgresql"])
async def test_an_ordinary_session_ends_in_order(protocol: str) -> None:
    wire, _, said, heard = SPOKEN[protocol]
    ends: list[str] = []

    async def serve(stream: trio.SocketStream) -> None:
        await exactly(stream, len(said))
        await stream.send_all(heard)
        try:
            ends.append("data" if await stream.receive_some(1) else "closed")
        except trio.BrokenResourceError:
            ends.append("reset")

    async with scene(wire) as stage:
        await stage.choose(await stage.server(serve))
        client = await stage.connect()
        await client.send_all(said)
        await exactly(client, len(heard))
        await client.aclose()
        await until(lambda: ends)
        assert ends == ["closed"]


@pytest.mark.parametrize("protocol", ["tcp", "mysql"])
async def test_a_client_that_broke_before_it_was_accepted_breaks_its_session(protocol: str) -> None:
    wire, _, _, _ = SPOKEN[protocol]
    ends: list[str] = []

    async def serve(stream: trio.SocketStream) -> None:
        if protocol == "mysql":
            await stream.send_all(GREETING)
        try:
            ends.append("data" if await stream.receive_some(1) else "closed")
        except trio.BrokenResourceError:
            ends.append("reset")

    async with scene(wire) as stage:
        await stage.choose(await stage.server(serve))
        with held_up(stage):
            reset(await stage.connect())
        await until(lambda: ends)
        assert ends == ["reset"]
        await until(lambda: told(stage, SessionEnded))
        assert [event.how for event in told(stage, SessionEnded)] == ["client reset"]


async def test_clients_that_came_together_are_all_accepted() -> None:
    async with scene(MysqlWire()) as stage:
        await stage.choose(await stage.server(greet))
        with held_up(stage):
            clients = [await stage.connect() for _ in range(40)]
        for client in clients:
            assert await exactly(client, len(GREETING)) == GREETING
        assert stage.tasks.spawned == 0


@pytest.mark.parametrize("requests", [[SSL_REQUEST], [GSSENC_REQUEST, SSL_REQUEST]])
async def test_declined_encryption_is_ordinary(requests: list[bytes]) -> None:
    async with scene(PostgresqlWire()) as stage:
        await stage.choose(await stage.server(welcome_in_clear))
        client = await stage.connect()
        for request in requests:
            await client.send_all(request)
            assert await exactly(client, 1) == b"N"
        await client.send_all(STARTUP)
        assert await exactly(client, len(WELCOME)) == WELCOME
        assert stage.tasks.spawned == 0


async def test_what_a_server_said_ahead_is_heard_in_its_turn() -> None:
    async def say_it_all(stream: trio.SocketStream) -> None:
        await exactly(stream, 8)
        await stream.send_all(b"N" + WELCOME)
        await until_closed(stream)

    async with scene(PostgresqlWire()) as stage:
        await stage.choose(await stage.server(say_it_all))
        client = await stage.connect()
        await client.send_all(SSL_REQUEST)
        assert await exactly(client, 1) == b"N"
        await client.send_all(STARTUP)
        assert await exactly(client, len(WELCOME)) == WELCOME
        assert stage.tasks.spawned == 0


async def test_encryption_is_ordinary_and_its_role_hidden() -> None:
    async def encrypt(stream: trio.SocketStream) -> None:
        assert await exactly(stream, 8) == SSL_REQUEST
        await stream.send_all(b"S")
        await echo(stream)

    async with scene(PostgresqlWire()) as stage:
        await stage.choose(await stage.server(encrypt))
        client = await stage.connect()
        await client.send_all(SSL_REQUEST)
        assert await exactly(client, 1) == b"S"
        await client.send_all(b"\x16 hello")
        assert await exactly(client, 7) == b"\x16 hello"
        await until(lambda: stage.evidence)
        assert [(each.signal, each.role_hidden) for each in stage.evidence] == [(Signal.SERVED, True)]
        assert stage.tasks.spawned == 0


async def test_clients_of_a_unix_socket_as_well(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with scene(MysqlWire(), listen=UnixListen(str(path))) as stage:
        await stage.choose(await stage.server(greet))
        for _ in range(3):
            client = await stage.connect()
            assert await exactly(client, len(GREETING)) == GREETING
        assert stage.tasks.spawned == 0
    assert not path.exists()


@pytest.mark.parametrize("protocol", SPOKEN)
async def test_both_legs_are_tuned(protocol: str) -> None:
    wire, conversation, said, heard = SPOKEN[protocol]
    async with scene(wire) as stage:
        await stage.choose(await stage.server(conversation))
        client = await stage.connect()
        await client.send_all(said)
        await exactly(client, len(heard))
        await until(lambda: len(stage.ledger))
        assert isinstance(stage.engine, EpollEngine)
        sides = list(stage.engine.loop._sides.values())
        assert len(sides) == 2
        for side in sides:
            assert side.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert side.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            set_to = [side.socket.getsockopt(socket.IPPROTO_TCP, option) for option in KEEPALIVE]
            assert set_to == [dial.KEEPALIVE_IDLE, dial.KEEPALIVE_INTERVAL, dial.KEEPALIVE_COUNT]
            assert side.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0
            assert not any(side.socket.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))


@pytest.mark.parametrize("together", [False, True])
async def test_turns_are_taken_exactly(together: bool) -> None:
    database = replace(DATABASE, balance=Balance.ROUND_ROBIN)
    async with scene(MysqlWire(), database=database) as stage:
        order: list[int] = []

        async def greet_as(number: int, stream: trio.SocketStream) -> None:
            order.append(number)
            await greet(stream)

        servers = [await stage.server(partial(greet_as, number)) for number in range(3)]
        await stage.choose(*servers)

        async def begin() -> None:
            client = await stage.connect()
            await exactly(client, len(GREETING))

        async with trio.open_nursery() as nursery:
            for _ in range(30):
                if together:
                    nursery.start_soon(begin)
                else:
                    await begin()
        assert Counter(order) == {0: 10, 1: 10, 2: 10}
        if not together:
            assert all(len(set(order[i : i + 3])) == 3 for i in range(28))
        assert stage.tasks.spawned == 0


@pytest.mark.parametrize(
    "database",
    [
        replace(DATABASE, balance=Balance.HASH),
        replace(DATABASE, balance=Balance.LEAST_CONNECTIONS),
        replace(DATABASE, target_session_attrs=TargetSessionAttrs.PREFER_STANDBY),
    ],
)
async def test_sessions_that_need_a_decision_of_their_own_are_trios(database: object) -> None:
    async with scene(MysqlWire(), database=database) as stage:  # type: ignore[arg-type]
        await stage.choose(await stage.server(greet), await stage.server(greet))
        client = await stage.connect()
        assert await exactly(client, len(GREETING)) == GREETING
        assert stage.tasks.spawned == 1


async def test_a_target_on_trial_is_trios() -> None:
    async with scene(MysqlWire()) as stage:
        server = await stage.server(greet)
        await stage.publish(serving(1, Target(server.address, "db.test"), on_trial=True))
        client = await stage.connect()
        assert await exactly(client, len(GREETING)) == GREETING
        assert stage.tasks.spawned == 1


# Cancel requests


async def test_a_cancel_right_after_its_key_reaches_its_server_alone() -> None:
    numbers = count(1)
    cancelled: list[tuple[int, bytes]] = []

    async def serve(server: int, stream: trio.SocketStream) -> None:
        first = await exactly(stream, 16)
        if first.startswith(KEY_REQUEST):
            cancelled.append((server, first[8:]))
            return
        await exactly(stream, len(STARTUP) - 16)
        key = bytes([0, 0, 0, server]) + next(numbers).to_bytes(4, "big")
        await stream.send_all(AUTHENTICATION_OK + b"K\0\0\0\x0c" + key + b"Z\0\0\0\x05I")
        await until_closed(stream)

    async with scene(PostgresqlWire()) as stage:
        await stage.choose(*[await stage.server(partial(serve, number)) for number in (1, 2)])
        keys = []
        for _ in range(40):
            client, canceller = await stage.connect(), await stage.connect()
            await client.send_all(STARTUP)
            key = (await exactly(client, len(WELCOME)))[len(AUTHENTICATION_OK) + 5 :][:8]
            await canceller.send_all(KEY_REQUEST + key)
            assert await until_closed(canceller) == b""
            keys.append((key[3], key))
        assert cancelled == keys


# Hand-over: the client and the server pause, in turn, wherever they can


PAUSES = [
    "client: connected",
    "client: half a request",
    "server: asked for encryption",
    "client: told no",
    "client: half a startup",
    "server: got the startup",
    "server: half a message",
]


@pytest.mark.parametrize("pause", PAUSES)
async def test_after_some_patience_trio_goes_on_where_it_stands(pause: str) -> None:
    async with scene(PostgresqlWire()) as stage:

        async def at(point: str) -> None:
            if point == pause:
                began = trio.current_time()
                await until(lambda: stage.tasks.spawned)
                assert trio.current_time() - began < 5 * PATIENCE

        async def serve(stream: trio.SocketStream) -> None:
            assert await exactly(stream, 8) == SSL_REQUEST
            await at("server: asked for encryption")
            await stream.send_all(b"N")
            assert await exactly(stream, len(STARTUP)) == STARTUP
            await at("server: got the startup")
            await stream.send_all(WELCOME[:3])
            await at("server: half a message")
            await stream.send_all(WELCOME[3:])
            assert await until_closed(stream) == b"query"

        server = await stage.server(serve)
        await stage.choose(server)
        client = await stage.connect()
        await at("client: connected")
        await client.send_all(SSL_REQUEST[:5])
        await at("client: half a request")
        await client.send_all(SSL_REQUEST[5:])
        assert await exactly(client, 1) == b"N"
        await at("client: told no")
        await client.send_all(STARTUP[:7])
        await at("client: half a startup")
        await client.send_all(STARTUP[7:])
        assert await exactly(client, len(WELCOME)) == WELCOME
        await client.send_all(b"query")
        await client.send_eof()
        assert await until_closed(client) == b""
        assert (server.accepted, stage.tasks.spawned) == (1, 1)
        assert [event.outcome for event in told(stage, DialEnded)] == ["connected"]


async def test_a_silent_mysql_server_is_waited_for() -> None:
    async with scene(MysqlWire()) as stage:

        async def greet_late(stream: trio.SocketStream) -> None:
            await until(lambda: stage.tasks.spawned)
            await until(lambda: [lease.stage for lease in stage.ledger] == [Stage.OPENING])
            await greet(stream)

        server = await stage.server(greet_late)
        await stage.choose(server)
        client = await stage.connect()
        assert await exactly(client, len(GREETING)) == GREETING
        assert server.accepted == 1


class Deaf:
    """An address whose kernel drops wishes for a connection: its backlog is full."""

    def __init__(self, ending: ExitStack) -> None:
        self.listener = ending.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        self.address = Address(*self.listener.getsockname())
        ending.enter_context(socket.create_connection(self.listener.getsockname()))

    def hear(self) -> None:
        """Makes room: the kernel's next SYN, a second after the first, is answered."""
        self.listener.accept()[0].close()
        self.listener.setblocking(False)


@pytest.fixture
def deaf() -> Iterator[Deaf]:
    with ExitStack() as ending:
        yield Deaf(ending)


async def test_a_dial_under_way_is_gone_on_with(deaf: Deaf) -> None:
    async with scene(MysqlWire()) as stage:
        await stage.choose(deaf.address)
        client = await stage.connect()
        began = trio.current_time()
        await until(lambda: stage.tasks.spawned)
        await until(lambda: [lease.stage for lease in stage.ledger] == [Stage.DIALLING])
        deaf.hear()
        server = as_stream(await stage.accepted_by(deaf.listener))
        # The first dial's second SYN: a new dial would have come at once.
        assert trio.current_time() - began > 0.9
        await server.send_all(GREETING)
        assert await exactly(client, len(GREETING)) == GREETING
        await server.aclose()


SENDS = ["the request", "the no", "the startup"]


@pytest.mark.parametrize("which", SENDS)
@pytest.mark.parametrize("taken", [0, 3])
async def test_what_a_socket_does_not_take_at_once_is_said_once(
    monkeypatch: pytest.MonkeyPatch, which: str, taken: int
) -> None:
    sends = count()
    real = socket.socket.send

    def send(self: socket.socket, data: bytes, flags: int = 0) -> int:
        if threading.current_thread().name != "relay" or next(sends) != SENDS.index(which):
            return real(self, data, flags)
        if taken:
            return real(self, data[:taken], flags)
        raise BlockingIOError

    async with scene(PostgresqlWire()) as stage:
        await stage.choose(await stage.server(welcome_in_clear))
        monkeypatch.setattr(socket.socket, "send", send, raising=False)
        client = await stage.connect()
        await client.send_all(SSL_REQUEST)
        assert await client.receive_some(10) == b"N"
        await client.send_all(STARTUP)
        assert await exactly(client, len(WELCOME)) == WELCOME
        assert stage.tasks.spawned == (0 if which == "the no" and taken else 1)


# What is not ordinary


async def test_at_the_limit_clients_are_told_in_their_own_words() -> None:
    async with scene(PostgresqlWire(), limit=2) as stage:
        await stage.choose(await stage.server(welcome_in_clear))
        clients = [await stage.connect() for _ in range(2)]
        for client in clients:
            await client.send_all(STARTUP)
            await exactly(client, len(WELCOME))
        refused = await stage.connect()
        await refused.send_all(STARTUP)
        assert b"C53300\0" in await until_closed(refused)
        await clients[0].aclose()
        await until(lambda: stage.limit.clients == 1)
        after = await stage.connect()
        await after.send_all(STARTUP)
        assert await exactly(after, len(WELCOME)) == WELCOME
        assert stage.tasks.spawned == 1
        assert [each.refusal for each in told(stage, ClientRefused)] == [Refusal.TOO_MANY]


async def test_the_limit_holds_in_a_rush() -> None:
    limit, together, most = 5, 0, 0

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal together, most
        together += 1
        most = max(most, together)
        try:
            await welcome_in_clear(stream)
        finally:
            together -= 1

    async with scene(PostgresqlWire(), limit=limit) as stage:
        await stage.choose(await stage.server(serve))
        answers: Counter[str] = Counter()

        async def come() -> None:
            client = await stage.connect()
            await client.send_all(STARTUP)
            answer = await client.receive_some(4096)
            answers["served" if answer.startswith(AUTHENTICATION_OK) else "refused"] += 1
            assert answer.startswith(AUTHENTICATION_OK) or b"C53300\0" in answer
            await client.aclose()

        async def keep_coming() -> None:
            for _ in range(25):
                await come()

        async with trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(keep_coming)
        assert answers.total() == 300
        assert answers["served"] >= 25
        assert most <= limit


async def test_on_its_way_to_trio_a_client_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[bool] = []
    async with scene(MysqlWire(), limit=1) as stage:
        await stage.choose(await stage.server(stay_silent))
        path = stage.fast_path
        assert path is not None
        go_on = path._go_on

        def note(*client: Any) -> None:
            go_on(*client)
            reached.append(stage.limit.reached)

        monkeypatch.setattr(path, "_go_on", note)
        await stage.connect()
        await until(lambda: stage.tasks.spawned)
        assert reached == [True]


@contextmanager
def few_descriptors(left: int) -> Iterator[None]:
    """Within it, this process can open only so many more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open(os.devnull) as null:
        fillers = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, scenes.descriptors())) + 20, hard))
        try:
            while True:
                try:
                    fillers.append(os.dup(null.fileno()))
                except OSError:
                    break
            for _ in range(left):
                os.close(fillers.pop())
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for filler in fillers:
                os.close(filler)


@pytest.fixture
def nothing_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """No descriptor is set aside for the next dial."""
    monkeypatch.setattr(Spare, "make", lambda self, family: None)


@pytest.mark.usefixtures("nothing_prepared")
async def test_without_descriptors_clients_wait_and_then_all_is_as_before() -> None:
    async with scene(MysqlWire()) as stage:
        await stage.choose(await stage.server(greet))
        client = trio.socket.socket()
        with few_descriptors(0):
            await client.connect(stage.place)
            await until(lambda: told(stage, DescriptorsExhausted))
        stream = trio.SocketStream(client)
        stage.opened.append(stream)
        assert await exactly(stream, len(GREETING)) == GREETING
        spawned = stage.tasks.spawned
        assert spawned == 1
        for _ in range(5):
            later = await stage.connect()
            assert await exactly(later, len(GREETING)) == GREETING
        assert stage.tasks.spawned == spawned


async def test_with_a_descriptor_set_aside_the_last_client_is_served() -> None:
    async with scene(MysqlWire()) as stage:
        await stage.choose(await stage.server(greet))
        first = await stage.connect()  # from now on there is one
        assert await exactly(first, len(GREETING)) == GREETING
        await stage.engine.settle()
        client = trio.socket.socket()
        stream = trio.SocketStream(client)
        stage.opened.append(stream)
        with few_descriptors(1 + 1):  # for the test's server, too
            await client.connect(stage.place)
            assert await exactly(stream, len(GREETING)) == GREETING


@pytest.mark.usefixtures("nothing_prepared")
async def test_a_client_for_whose_server_no_descriptor_is_left_is_told() -> None:
    async with scene(MysqlWire()) as stage:
        await stage.choose(await stage.server(greet))
        client = trio.socket.socket()
        stream = trio.SocketStream(client)
        stage.opened.append(stream)
        with few_descriptors(1):
            await client.connect(stage.place)
            answer = await until_closed(stream)
        assert answer[5:7] == (1040).to_bytes(2, "little")
        assert stage.evidence == []


async def test_an_address_that_refuses_is_told_of_and_another_tried() -> None:
    async with scene(MysqlWire()) as stage:
        good = await stage.server(greet)
        with socket.create_server(("127.0.0.1", 0)) as gone:
            refusing = Address(*gone.getsockname())

        await stage.choose(refusing)
        choose_when(stage, good, lambda evidence: evidence.signal is Signal.FALTERED)
        client = await stage.connect()
        assert await exactly(client, len(GREETING)) == GREETING
        assert (stage.evidence[0].address, stage.evidence[0].signal) == (refusing, Signal.FALTERED)
        assert told(stage, DialEnded)[0].outcome == "refused"


async def test_a_refusal_that_comes_late_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The descriptor of the failed dial is the next session's: watched anew, and carried."""
    looks = count()
    progress = dial.progress

    def late(connection: socket.socket, address: Address) -> object:
        if threading.current_thread().name == "relay" and next(looks) == 0:
            return None
        return progress(connection, address)

    async with scene(MysqlWire()) as stage:
        good = await stage.server(greet)
        with socket.create_server(("127.0.0.1", 0)) as gone:
            refusing = Address(*gone.getsockname())
        await stage.choose(refusing)
        choose_when(stage, good, lambda evidence: evidence.signal is Signal.FALTERED)
        monkeypatch.setattr(dial, "progress", late)
        client = await stage.connect()
        assert await exactly(client, len(GREETING)) == GREETING
        for _ in range(5):
            later = await stage.connect()
            assert await exactly(later, len(GREETING)) == GREETING
        assert stage.tasks.spawned == 1


NOT_YET: dict[str, tuple[Wire, bytes, bytes, bytes]] = {
    "57P03": (PostgresqlWire(), STARTUP, error_response("57P03", "starting up"), WELCOME),
    "1053": (MysqlWire(), b"", packet(0, b"\xff" + (1053).to_bytes(2, "little") + b"shutdown"), GREETING),
}


@pytest.mark.parametrize("error", NOT_YET)
async def test_a_server_that_is_not_ready_is_tried_again(error: str) -> None:
    wire, said, not_yet, welcome = NOT_YET[error]
    async with scene(wire) as stage:

        async def serve(stream: trio.SocketStream) -> None:
            assert await exactly(stream, len(said)) == said
            await stream.send_all(not_yet if server.accepted == 1 else welcome)
            await until_closed(stream)

        server = await stage.server(serve)
        await stage.choose(server)
        client = await stage.connect()
        await client.send_all(said)
        assert await exactly(client, len(welcome)) == welcome
        assert stage.evidence[0].signal is Signal.NOT_READY
        assert server.accepted == 2


async def test_a_server_in_the_wrong_role_is_none_of_the_clients() -> None:
    database = replace(DATABASE, target_session_attrs=TargetSessionAttrs.READ_WRITE)
    async with scene(PostgresqlWire(), database=database) as stage:
        standby, primary = await stage.server(server_of(True)), await stage.server(server_of(False))
        await stage.choose(standby)
        choose_when(stage, primary, lambda evidence: evidence.role is Role.STANDBY)
        client = await stage.connect()
        await client.send_all(STARTUP)
        assert (await client.receive_some(4096)).startswith(AUTHENTICATION_OK)
        assert (standby.accepted >= 1, primary.accepted) == (True, 1)


# Clients that leave


async def quietly(client: trio.SocketStream) -> None:
    await client.aclose()


async def abruptly(client: trio.SocketStream) -> None:
    reset(client)


@pytest.mark.parametrize("leave", [quietly, abruptly])
@pytest.mark.parametrize("said", [b"", SSL_REQUEST[:5], STARTUP[:9], b"GET / HTTP/1.0\r\n\r\n"])
async def test_a_client_that_leaves_before_it_asked(
    said: bytes, leave: Callable[[trio.SocketStream], Awaitable[None]]
) -> None:
    async with scene(PostgresqlWire()) as stage:
        server = await stage.server(welcome_in_clear)
        await stage.choose(server)
        client = await stage.connect()
        if said:
            await client.send_all(said)
        await leave(client)
        await until(lambda: told(stage, ClientLeft))
        (left,) = [event for event in stage.events if isinstance(event, ClientLeft)]
        assert left.how is (Departure.GARBLED if said.startswith(b"GET") else Departure.LEFT)
        assert server.accepted == 0


@pytest.mark.parametrize("leave", [quietly, abruptly])
@pytest.mark.parametrize("where", ["dial", "opening"])
async def test_a_client_that_leaves_while_its_server_is_silent(
    deaf: Deaf, where: str, leave: Callable[[trio.SocketStream], Awaitable[None]]
) -> None:
    async with scene(MysqlWire()) as stage:
        server = await stage.server(stay_silent)
        await stage.choose(deaf.address if where == "dial" else server)
        stage.nursery.start_soon(Vigil(stage.ledger, cast(Judge, stage)).run)
        client = await stage.connect()
        await leave(client)
        await until(lambda: told(stage, ClientLeft))
        assert len(stage.ledger) == 0


# Withdrawal


async def test_the_ledger_knows_every_session_that_followed_a_withdrawn_offer() -> None:
    async with scene(MysqlWire()) as stage:
        await stage.choose(await stage.server(greet))
        for number in range(1, 20):
            client = await stage.connect()
            await exactly(client, len(GREETING))  # trio has not been told, as a rule
            assert stage.fast_path is not None
            await stage.fast_path.withdraw()
            assert len(stage.ledger) == stage.limit.clients == number
            assert stage.service.hold.held == 0
            stage.fast_path.offer(stage.choices.value)


async def test_a_withdrawal_gives_trio_those_under_way(deaf: Deaf) -> None:
    """In whatever state; the next choice serves them all."""
    async with scene(PostgresqlWire()) as stage:
        silent, good = await stage.server(stay_silent), await stage.server(welcome_in_clear)
        first = [b"", SSL_REQUEST[:3], STARTUP[:10], STARTUP]
        for address in (silent.address, deaf.address):
            await stage.choose(address)
            clients = [await stage.connect() for _ in first]
            for client, said in zip(clients, first, strict=True):
                if said:
                    await client.send_all(said)
            await wait_all_tasks_blocked(0.01)
            begun, accepted = stage.tasks.spawned, stage.limit.arrived
            await stage.choose(good)
            assert stage.limit.arrived == accepted == stage.limit.taken_over
            assert stage.tasks.spawned > begun
            assert not any(lease.address == address for lease in stage.ledger)
            for client, said in zip(clients, first, strict=True):
                if SSL_REQUEST.startswith(said[:8]) and said:
                    await client.send_all(SSL_REQUEST[len(said) :])
                    assert await exactly(client, 1) == b"N"
                    await client.send_all(STARTUP)
                else:
                    await client.send_all(STARTUP[len(said) :])
                assert await exactly(client, len(WELCOME)) == WELCOME
        assert {lease.address for lease in stage.ledger} == {good.address}


async def test_without_an_offer_trio_accepts_and_with_one_it_does_not() -> None:
    async with scene(MysqlWire()) as stage:
        await stage.choose(await stage.server(greet))
        assert stage.fast_path is not None
        for number in range(1, 10):
            await stage.fast_path.withdraw()
            client = await stage.connect()
            assert await exactly(client, len(GREETING)) == GREETING
            stage.fast_path.offer(stage.choices.value)
            client = await stage.connect()
            assert await exactly(client, len(GREETING)) == GREETING
            assert stage.tasks.spawned == number


async def test_closing_while_a_choice_changes_is_for_good() -> None:
    """As when the ambassador is told to end in the middle of a failover."""
    async with scene(MysqlWire()) as stage:
        await stage.choose(await stage.server(greet))
        path, engine = stage.fast_path, stage.engine
        assert path is not None
        assert isinstance(engine, EpollEngine)

        async def change() -> None:
            await path.withdraw()
            path.offer(stage.choices.value)

        async with trio.open_nursery() as nursery:
            with held_up(stage):
                nursery.start_soon(change)
                await wait_all_tasks_blocked()
                nursery.start_soon(path.close)
                await wait_all_tasks_blocked()
        await engine.settle()
        assert engine.crash is None
        assert not engine.loop._handlers
        assert engine.loop.at_crash == []  # nobody keeps a database that is served no longer


# Old choices


def is_connected(stream: trio.SocketStream) -> bool:
    established = 1
    return stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == established


@pytest.mark.parametrize("protocol", ["mysql", "postgresql"])
async def test_of_two_servers_that_take_turns_only_one_ever_has_sessions(protocol: str) -> None:
    wire, conversation, said, heard = {**SPOKEN, "mysql": (MysqlWire(), echo, b".ping", b"ping")}[protocol]
    visits = 50
    sessions: dict[str, set[trio.SocketStream]] = {"A": set(), "B": set()}
    evicted: str | None = None

    async with scene(wire) as stage:

        async def serve(name: str, stream: trio.SocketStream) -> None:
            if protocol == "mysql":  # a handshake that nobody goes on with is no session
                book = BookServer()
                await book.serve(stream)
                if book.verdict != "in" or not await stream.receive_some(1):
                    return
            assert name != evicted or not is_connected(stream)
            sessions[name].add(stream)
            try:
                await conversation(stream)
            finally:
                sessions[name].discard(stream)

        async def take_turns() -> None:
            nonlocal evicted
            while True:
                for name, other in (("A", "B"), ("B", "A")):
                    await stage.choose(servers[name])
                    evicted = other
                    assert not any(map(is_connected, sessions[other]))
                    assert not any(lease.address == servers[other].address for lease in stage.ledger)
                    served = answers.count(True)
                    await trio.sleep(0.005)
                    if protocol == "mysql":  # who is logging in has to begin anew
                        await until(lambda: answers.count(True) > served)  # noqa: B023
                    evicted = None

        async def come() -> None:
            for _ in range(visits):
                served = False
                while not served:
                    served = await is_served()
                    answers.append(served)

        async def is_served() -> bool:
            async with await trio.open_tcp_stream(*stage.place) as client:
                if protocol == "mysql" and not (await converse(client, introduction())).is_in:
                    return False  # its server was left while it logged in
                try:
                    await client.send_all(said)
                    answer = await exactly(client, len(heard), or_end=protocol == "mysql")
                except trio.BrokenResourceError:
                    return False
                assert answer in (heard, b"")
                return bool(answer)

        answers: list[bool] = []
        servers = {name: await stage.server(partial(serve, name)) for name in sessions}
        await stage.choose(servers["A"])
        async with trio.open_nursery() as turns:
            turns.start_soon(take_turns)
            async with trio.open_nursery() as clients:
                for _ in range(20):
                    clients.start_soon(come)
            turns.cancel_scope.cancel()
        assert answers.count(True) == 20 * visits
        assert stage.tasks.spawned < len(answers)


# Failures


async def test_a_failure_stays_in_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scene(MysqlWire()) as stage:
        await stage.choose(await stage.server(greet))
        before = await stage.connect()
        await exactly(before, len(GREETING))
        with monkeypatch.context() as patch:
            patch.setattr(arrivals, "request_of", lambda *_, **__: 1 // 0)
            client = await stage.connect()
            assert await until_closed(client) == b""
        after = await stage.connect()
        assert await exactly(after, len(GREETING)) == GREETING
        assert len(told(stage, SessionCrashed)) == 1
        await until(lambda: stage.limit.clients == 2)
        assert stage.tasks.spawned == 0
        stage.events.clear()


async def test_a_crash_of_the_engine_closes_its_clients_and_those_to_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scene(PostgresqlWire()) as stage:
        await stage.choose(await stage.server(welcome_in_clear))
        relayed, waiting = await stage.connect(), await stage.connect()
        await relayed.send_all(STARTUP)
        await exactly(relayed, len(WELCOME))
        assert isinstance(stage.engine, EpollEngine)
        monkeypatch.setattr(stage.engine.loop, "_obey", lambda: 1 // 0)
        stage.engine.silence()
        assert await until_closed(relayed) == b""
        await waiting.send_all(STARTUP)
        assert await until_closed(waiting) in (b"", WELCOME)
        later = await stage.connect()
        await later.send_all(STARTUP)
        assert await until_closed(later) in (b"", WELCOME)
        assert stage.fast_path is not None
        await stage.fast_path.withdraw()
        await until(lambda: not len(stage.ledger))
        assert len(told(stage, SessionCrashed)) == 3
        stage.events.clear()


async def test_to_accept_on_one_more_listener_takes_no_descriptor() -> None:
    async with scene(MysqlWire()) as stage:
        assert stage.fast_path is not None
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        async with listener:
            with few_descriptors(0):
                stage.fast_path.add(listener)
            stage.fast_path.remove(listener)
            assert listener.socket.getsockname()[1]
