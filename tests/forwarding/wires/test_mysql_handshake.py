"""MySQL handshakes over real sockets: none is left open at a server, on either way to the relay."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import cast

import pytest
import trio
import trio.testing

from dbambassador.events import ClientLeft, ClientRefused, Departure, Refusal, SessionOpened
from dbambassador.forwarding.admission.limit import Limit
from dbambassador.forwarding.opening import departures
from dbambassador.forwarding.service import Service
from dbambassador.forwarding.sessions.vigil import Vigil
from dbambassador.forwarding.wires import mysql_handshake
from dbambassador.forwarding.wires.conversation import Said, begin
from dbambassador.forwarding.wires.mysql import MysqlWire
from dbambassador.forwarding.wires.wire import Hello, Request, Tried
from dbambassador.health.evidence import Signal
from dbambassador.health.judge import Judge
from dbambassador.health.peer import PROBE_USER
from dbambassador.protocols import mysql
from dbambassador.protocols.mysql_authentication import NATIVE
from dbambassador.settings.schema import TargetSessionAttrs
from tests.forwarding import scene as scenes
from tests.forwarding.mysql_peers import ANSWER, USER, BookServer, converse, introduction
from tests.forwarding.relay.relaying import ENGINES, reset
from tests.forwarding.scene import DATABASE, MakeScene, Scene, Server, until, until_closed

OTHER = "client_ed25519"


@pytest.fixture(params=ENGINES)
def scene(request: pytest.FixtureRequest) -> MakeScene:
    return partial(scenes.scene, request.param)


class Servers:
    """A server whose connections are each by the book."""

    def __init__(self, plugin: str = NATIVE) -> None:
        self.books: list[BookServer] = []
        self.greets = trio.Event()
        self.greets.set()
        self.judges = trio.Event()
        self.judges.set()
        self._plugin = plugin

    async def serve(self, stream: trio.SocketStream) -> None:
        book = BookServer(self._plugin)
        self.books.append(book)
        await self.greets.wait()
        said = book.begin()
        while True:
            if said:
                await stream.send_all(said)
            data = await stream.receive_some(4096)
            if not data:
                return
            said = book.hear(bytes(data))
            if book.introduced == [USER]:
                await self.judges.wait()

    async def on(self, stage: Scene) -> Server:
        return await stage.server(self.serve)


@pytest.mark.parametrize("plugin", [NATIVE, OTHER])
async def test_a_client_by_the_book_gets_in(scene: MakeScene, plugin: str) -> None:
    servers = Servers()
    async with scene(MysqlWire()) as stage:
        server = await servers.on(stage)
        await stage.choose(server)
        client = await stage.connect()
        answers = [] if plugin == NATIVE else [ANSWER]
        book = await converse(client, introduction(plugin), *answers)
        assert book.told[-1][:1] == b"\0"
        await client.send_all(b"a command")
        await until(lambda: servers.books[0].after == b"a command")
        assert stage.tasks.spawned == (0 if stage.fast_path else 1)
        await until(lambda: stage.evidence)
        assert {each.signal for each in stage.evidence} == {Signal.SERVED}


async def quietly(client: trio.SocketStream) -> None:
    await client.aclose()


async def abruptly(client: trio.SocketStream) -> None:
    reset(client)


@pytest.mark.parametrize("leave", [quietly, abruptly])
@pytest.mark.parametrize("said", [0, 1, 2])
async def test_a_client_that_leaves_has_its_handshake_finished(
    scene: MakeScene, said: int, leave: scenes.Conversation
) -> None:
    """Before the greeting, after it, and asked for another plugin's answer."""
    servers = Servers()
    async with scene(MysqlWire()) as stage:
        await stage.choose(await servers.on(stage))
        stage.nursery.start_soon(Vigil(stage.ledger, cast(Judge, stage)).run)
        client = await stage.connect()
        if said:
            await converse(client, *[introduction(OTHER)][: said - 1])
        await leave(client)
        await until(lambda: servers.books and servers.books[0].verdict)
        (book,) = servers.books
        assert book.verdict == "denied"
        assert book.introduced == ([USER] if said == 2 else [PROBE_USER])
        await until(lambda: [event for event in stage.events if isinstance(event, ClientLeft)])


async def test_a_client_that_leaves_while_its_server_thinks_has_its_handshake_finished(
    scene: MakeScene,
) -> None:
    """It is the vigil that sees it go: nobody reads its socket."""
    servers = Servers()
    servers.judges = trio.Event()
    async with scene(MysqlWire()) as stage:
        await stage.choose(await servers.on(stage))
        stage.nursery.start_soon(Vigil(stage.ledger, cast(Judge, stage)).run)
        client = await stage.connect()
        await client.send_all(mysql.packet(1, introduction(OTHER)))
        await until(lambda: servers.books and servers.books[0].introduced)
        await client.aclose()
        await until(lambda: [event for event in stage.events if isinstance(event, ClientLeft)])
        assert not len(stage.ledger)
        servers.judges.set()
        await until(lambda: servers.books[0].verdict)
        assert servers.books[0].verdict == "denied"


@pytest.mark.parametrize("said", [0, 1])
async def test_a_client_that_says_nothing_is_let_go_before_its_server_does(
    scene: MakeScene, said: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql_handshake, "ANSWER_WITHIN", 0.15)
    servers = Servers()
    async with scene(MysqlWire()) as stage:
        await stage.choose(await servers.on(stage))
        client = await stage.connect()
        await converse(client, *[introduction(OTHER)][:said])
        assert await until_closed(client) == b""
        assert servers.books[0].verdict == "denied"
        (left,) = [event for event in stage.events if isinstance(event, ClientLeft)]
        assert (left.reason, left.how) == ("said nothing for 0.15 s", Departure.TIMED_OUT)


@pytest.mark.parametrize("cut", [0, 3, 40])
async def test_another_choice_finishes_handshakes_and_holds_nobody_up(scene: MakeScene, cut: int) -> None:
    """The client has seen a greeting: no other server's would do. It is told in its turn."""
    old, new = Servers(), Servers()
    async with scene(MysqlWire()) as stage:
        await stage.choose(await old.on(stage))
        client = await stage.connect()
        await converse(client)
        await client.send_all(mysql.packet(1, introduction())[:cut])
        await stage.choose(await new.on(stage))
        assert not len(stage.ledger)
        await client.send_all(mysql.packet(1, introduction())[cut:])
        packet = mysql.read_answer(await until_closed(client))
        assert packet is not None
        assert packet.sequence == 2
        assert mysql.read_error(packet.payload) == mysql.ServerError(
            1053, "dbambassador: its server broke off (another server was chosen)"
        )
        await until(lambda: old.books[0].verdict)
        assert (old.books[0].introduced, old.books[0].verdict) == ([PROBE_USER], "denied")
        assert not new.books
        (refused,) = [event for event in stage.events if isinstance(event, ClientRefused)]
        assert refused.refusal is Refusal.BROKEN_OFF


async def test_a_client_that_has_seen_no_greeting_gets_the_next_servers(scene: MakeScene) -> None:
    old, new = Servers(), Servers()
    old.greets = trio.Event()
    async with scene(MysqlWire()) as stage:
        await stage.choose(await old.on(stage))
        client = await stage.connect()
        await until(lambda: old.books)
        await stage.choose(await new.on(stage))
        assert (await converse(client, introduction())).told[-1][:1] == b"\0"
        old.greets.set()
        await until(lambda: old.books[0].verdict)
        assert (old.books[0].introduced, old.books[0].verdict) == ([PROBE_USER], "denied")


async def test_a_server_that_breaks_off_is_told_of_and_none_other_tried(scene: MakeScene) -> None:
    async def break_off(stream: trio.SocketStream) -> None:
        await stream.send_all(BookServer().begin())
        await stream.receive_some(4096)
        await stream.aclose()

    async with scene(MysqlWire()) as stage:
        server = await stage.server(break_off)
        await stage.choose(server)
        client = await stage.connect()
        book = await converse(client, introduction())
        assert mysql.read_error(book.told[-1]).code == mysql.SERVER_SHUTDOWN
        assert server.accepted == 1
        assert [each.signal for each in stage.evidence] == [Signal.FALTERED]
        assert not [event for event in stage.events if isinstance(event, SessionOpened)]


async def test_the_end_of_everything_else_does_not_end_a_departure() -> None:
    book = BookServer()
    far, near = trio.socket.socketpair()

    async def end() -> None:
        sessions.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await trio.testing.wait_all_tasks_blocked()
            await book.serve(trio.SocketStream(far))

    with far:
        async with trio.open_nursery() as sessions:
            departing(sessions).begin(opening(), near)
            sessions.start_soon(end)
    assert (book.introduced, book.verdict) == ([PROBE_USER], "denied")


async def test_departures_are_clients_to_the_limit_until_they_have_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(departures, "TIMEOUT", 0.1)
    limit = Limit(2)
    pairs = [trio.socket.socketpair() for _ in range(2)]
    async with trio.open_nursery() as sessions:
        leaving = departing(sessions, limit)
        for near, _ in pairs:
            assert not limit.reached
            leaving.begin(opening(), near)
        assert limit.reached
    assert limit.connected == 0
    assert all(near.fileno() < 0 for near, _ in pairs)
    for _, far in pairs:
        far.close()


def departing(nursery: trio.Nursery, limit: Limit | None = None) -> departures.Departures:
    service = SimpleNamespace(database=DATABASE, limit=limit or Limit(0))
    return departures.Departures(cast(Service, service), nursery)


def opening() -> Said[Tried]:
    any_role = TargetSessionAttrs.ANY
    return begin(MysqlWire().open(Hello(), Request("db.test", any_role, any_role, lambda _: None)))


async def test_a_hung_server_is_not_waited_for_longer_than_a_moment(
    scene: MakeScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(departures, "TIMEOUT", 0.1)
    ended = trio.Event()

    async def hang(stream: trio.SocketStream) -> None:
        await until_closed(stream)
        ended.set()

    async with scene(MysqlWire()) as stage:
        await stage.choose(await stage.server(hang))
        stage.nursery.start_soon(Vigil(stage.ledger, cast(Judge, stage)).run)
        client = await stage.connect()
        await client.aclose()
        await ended.wait()
