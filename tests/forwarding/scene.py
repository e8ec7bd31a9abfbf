"""A database's sessions from accept to end, over real sockets, with decisions and evidence in the test's
hands; on trio's loop alone, and with the fast path of the epoll engine."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Protocol as Interface
from typing import cast

import trio

from dbambassador.events import Event, SessionCrashed
from dbambassador.forwarding import engines
from dbambassador.forwarding.admission.descriptors import Descriptors
from dbambassador.forwarding.admission.hold import Hold
from dbambassador.forwarding.admission.limit import Limit
from dbambassador.forwarding.admission.preambles import Preambles
from dbambassador.forwarding.balance import balancer
from dbambassador.forwarding.listeners import Acceptor, close_listeners, open_listeners
from dbambassador.forwarding.opening.fast_path import FastPath
from dbambassador.forwarding.relay.engine import Engine
from dbambassador.forwarding.relay.epoll_engine import EpollEngine
from dbambassador.forwarding.service import Service
from dbambassador.forwarding.sessions.ledger import Ledger
from dbambassador.forwarding.wires.wire import Wire
from dbambassador.health.evidence import Evidence, Role
from dbambassador.health.judge import Judge
from dbambassador.latest import Latest
from dbambassador.protocols.mysql import packet
from dbambassador.protocols.postgresql import startup_message
from dbambassador.settings.schema import (
    Database,
    HostEndpoint,
    Listen,
    Protocol,
    TargetSessionAttrs,
    TcpListen,
)
from dbambassador.values import Address, Choice, Target
from tests.choices import lost, serving
from tests.forwarding.relay.relaying import ENGINES

SSL_REQUEST = bytes.fromhex("0000000804d2162f")
GSSENC_REQUEST = bytes.fromhex("0000000804d21630")
STARTUP = startup_message({"user": "shop"})
GREETING = packet(0, b"\x0a8.0.0\0" + bytes(60))
AUTHENTICATION_OK = b"R\0\0\0\x08\0\0\0\0"
KEY = bytes.fromhex("00000007") + b"abcd"
WELCOME = AUTHENTICATION_OK + b"K\0\0\0\x0c" + KEY + b"Z\0\0\0\x05I"

DATABASE = Database(
    name="orders",
    protocol=Protocol.TCP,
    listen=(TcpListen("127.0.0.1", 5432),),
    endpoints=(HostEndpoint("db.test", 5432),),
)
ANY_PORT = TcpListen("127.0.0.1", 0)
WRITER = replace(DATABASE, target_session_attrs=TargetSessionAttrs.READ_WRITE)

Conversation = Callable[[trio.SocketStream], Awaitable[None]]


class Server:
    """A database server that says what the test lets it say."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self.listener = listener
        self.address = Address(*listener.socket.getsockname()[:2])
        self.accepted = 0

    async def run(self, conversation: Conversation) -> None:
        async def converse(stream: trio.SocketStream) -> None:
            self.accepted += 1
            try:
                await conversation(stream)
            except trio.BrokenResourceError:
                pass  # the session ended first

        await trio.serve_listeners(converse, [self.listener])


class Tasks(trio.abc.Instrument):
    """Counts the sessions that became tasks of trio's."""

    def __init__(self) -> None:
        self.spawned = 0

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        self.spawned += task.name.endswith(": session")


class Scene:
    """One database's sessions. It stands in for the judge as well."""

    def __init__(self, nursery: trio.Nursery, engine: Engine, wire: Wire, limit: int, database: Database):
        self.nursery = nursery
        self.engine = engine
        self.choices = Latest(Choice(settled=True, held_until=trio.current_time() + 60))
        self.ledger = Ledger()
        self.evidence: list[Evidence] = []
        self.events: list[Event] = []
        self.limit = Limit(limit)
        self.preambles = Preambles(limit, self.events.append)
        self.place: tuple[str, int] | str = ""
        """Where clients connect to."""
        self.fast_path: FastPath | None = None
        self.opened: list[trio.SocketStream | trio.SocketListener] = []
        self.tasks = Tasks()
        self._evicted = Latest(-1)
        """The version of the choices that was evicted by, last."""
        self.service = Service(
            database,
            wire,
            cast(Judge, self),
            self.ledger,
            Hold("orders", self.choices, self.events.append),
            balancer(database.balance, self.ledger.sessions),
            engine,
            self.limit,
            self.preambles,
            Descriptors(self.events.append),
            self.events.append,
        )

    def observe(self, evidence: Evidence) -> None:
        self.evidence.append(evidence)

    def try_out(self, address: Address) -> bool:
        return True

    def role(self, address: Address) -> Role:
        return Role.UNKNOWN

    def name(self, address: Address) -> str:
        return "db.test"

    async def listen(self, listener: trio.SocketListener, sessions: trio.Nursery) -> None:
        """Accepts as a database does, and evicts at every new choice. `sessions` has a session's task, if it
        needs one, and nothing else."""
        self.place = listener.socket.getsockname()
        acceptor = Acceptor(self.service, sessions)
        if isinstance(self.engine, EpollEngine):
            acceptor.fast_path = self.fast_path = engines.fast_path(self.service, acceptor.serve)
            assert self.fast_path is not None
            self.fast_path.add(listener)
        self.nursery.start_soon(acceptor.run, listener)
        self.nursery.start_soon(self._evict)
        self.nursery.start_soon(self.preambles.run)

    async def _evict(self) -> None:
        while True:
            version, choice = self.choices.version, self.choices.value
            if self.fast_path is not None:
                await self.fast_path.withdraw()
            await self.ledger.evict(choice)
            if self.fast_path is not None:
                self.fast_path.offer(choice)
            self._evicted.publish(version)
            await self.choices.newer(version)

    async def close(self, sessions: trio.Nursery) -> None:
        """Accepts nobody any more, and ends all sessions."""
        self.nursery.cancel_scope.cancel()
        if self.fast_path is not None:
            await self.fast_path.close()
        sessions.cancel_scope.cancel()
        self.ledger.cut_all()
        await self.ledger.idle()

    async def server(self, conversation: Conversation) -> Server:
        server = Server(await self._listener())
        self.nursery.start_soon(server.run, conversation)
        return server

    async def publish(self, choice: Choice) -> None:
        """Publishes a choice; on return it was evicted by, and its epoch is admitted."""
        self.choices.publish(choice)
        version = self.choices.version
        while self._evicted.value < version:
            await self._evicted.newer(self._evicted.version)

    async def choose(self, *servers: Server | Address) -> None:
        """Publishes a choice of a new epoch: all of these, or none."""
        addresses = [each.address if isinstance(each, Server) else each for each in servers]
        epoch = self.choices.value.epoch + 1
        if addresses:
            await self.publish(serving(epoch, *(Target(address, "db.test") for address in addresses)))
        else:
            await self.publish(lost(epoch, held_until=trio.current_time() + 60))

    async def connect(self) -> trio.SocketStream:
        if isinstance(self.place, str):
            client = await trio.open_unix_socket(self.place)
        else:
            client = await trio.open_tcp_stream(*self.place)
        self.opened.append(client)
        return client

    async def accepted_by(self, listener: socket.socket) -> socket.socket:
        """Waits for a client of a plain listener that does not block."""
        while True:
            try:
                return listener.accept()[0]
            except BlockingIOError:
                await trio.lowlevel.wait_readable(listener)

    async def _listener(self) -> trio.SocketListener:
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        self.opened.append(listener)
        return listener


class MakeScene(Interface):
    """Sets a scene, of one of the kinds."""

    def __call__(
        self, wire: Wire, *, limit: int = 0, database: Database = DATABASE
    ) -> AbstractAsyncContextManager[Scene]: ...


@asynccontextmanager
async def scene(
    kind: str,
    wire: Wire,
    *,
    limit: int = 0,
    database: Database = DATABASE,
    listen: Listen = ANY_PORT,
) -> AsyncIterator[Scene]:
    """One database's sessions with an engine of this kind."""
    before = descriptors()
    with trio.fail_after(30):
        async with ENGINES[kind]() as engine, trio.open_nursery() as sessions, trio.open_nursery() as nursery:
            stage = Scene(nursery, engine, wire, limit, database)
            listeners = await open_listeners(replace(database, listen=(listen,)), stage.events.append)
            await stage.listen(next(iter(listeners.values())), sessions)
            trio.lowlevel.add_instrument(stage.tasks)
            try:
                yield stage
            finally:
                trio.lowlevel.remove_instrument(stage.tasks)
                with trio.move_on_after(5, shield=True):
                    await stage.close(sessions)
                close_listeners(listeners.values())
                for each in stage.opened:
                    each.socket.close()
    assert not [event for event in stage.events if isinstance(event, SessionCrashed)]
    assert len(stage.ledger) == stage.limit.clients == len(stage.preambles) == 0
    assert stage.limit.arrived == stage.limit.taken_over
    assert descriptors() == before
    if isinstance(engine, EpollEngine) and engine.crash is None:
        assert not engine.loop._handlers


def descriptors() -> list[str]:
    """Those that this process has open."""
    return os.listdir("/proc/self/fd")


async def until(reached: Callable[[], object]) -> None:
    """Waits for what is to happen; the scene's deadline bounds it."""
    while not reached():  # noqa: ASYNC110 - what happens in another thread has no event
        await trio.sleep(0.002)


async def until_closed(stream: trio.SocketStream) -> bytes:
    """What still comes, up to an end or a reset."""
    data = b""
    try:
        while chunk := await stream.receive_some(4096):
            data += chunk
    except trio.BrokenResourceError:
        pass
    return data


async def exactly(stream: trio.SocketStream, count: int, *, or_end: bool = False) -> bytes:
    """So many bytes. `or_end`: or none, where the stream has ended."""
    data = b""
    while len(data) < count:
        chunk = await stream.receive_some(count - len(data))
        if or_end and not chunk and not data:
            break
        assert chunk, f"it ended after {data!r}"
        data += chunk
    return data


async def greet(stream: trio.SocketStream) -> None:
    await stream.send_all(GREETING)
    await until_closed(stream)


async def stay_silent(stream: trio.SocketStream) -> None:
    await until_closed(stream)


async def close_at_once(stream: trio.SocketStream) -> None:
    await stream.aclose()


async def welcome_in_clear(stream: trio.SocketStream) -> None:
    """A PostgreSQL server without TLS."""
    while (await exactly(stream, 8)) in (SSL_REQUEST, GSSENC_REQUEST):
        await stream.send_all(b"N")
    await exactly(stream, len(STARTUP) - 8)
    await stream.send_all(WELCOME)
    await until_closed(stream)


def parameter(name: str, value: str) -> bytes:
    body = f"{name}\0{value}\0".encode()
    return b"S" + (4 + len(body)).to_bytes(4, "big") + body


def welcome_of(standby: bool, read_only: bool = False) -> bytes:
    return (
        AUTHENTICATION_OK
        + parameter("default_transaction_read_only", "on" if read_only else "off")
        + parameter("in_hot_standby", "on" if standby else "off")
        + WELCOME[len(AUTHENTICATION_OK) :]
    )


def server_of(standby: bool, *, read_only: bool = False) -> Conversation:
    """A PostgreSQL server that reports its role."""

    async def converse(stream: trio.SocketStream) -> None:
        await exactly(stream, len(STARTUP))
        await stream.send_all(welcome_of(standby, read_only))
        await until_closed(stream)

    return converse
