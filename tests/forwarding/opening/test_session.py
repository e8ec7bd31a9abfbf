"""A session from accept to end, over real sockets, with decisions and evidence in the test's hands."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from dbambassador.events import CancelForwarded, ClientRefused, Refusal, SessionOpened
from dbambassador.forwarding.opening import departures
from dbambassador.forwarding.opening.session import MAX_FAILURES
from dbambassador.forwarding.relay.engine import Link
from dbambassador.forwarding.relayed import Relayed
from dbambassador.forwarding.wires.mysql import MysqlWire
from dbambassador.forwarding.wires.postgresql import PostgresqlWire
from dbambassador.forwarding.wires.wire import Hello, Opening, Request, TcpWire
from dbambassador.health import roles
from dbambassador.health.evidence import Evidence, Role, Signal
from dbambassador.protocols.mysql import packet
from dbambassador.protocols.postgresql import error_response
from dbambassador.settings.schema import Balance, TargetSessionAttrs, UnixListen
from dbambassador.transport.dial import KEEPALIVE_COUNT, KEEPALIVE_IDLE, KEEPALIVE_INTERVAL
from dbambassador.values import Address, Choice, PeerProcess, Target
from tests.choices import lost, serving
from tests.forwarding import scene as scenes
from tests.forwarding.relay.relaying import ENGINES
from tests.forwarding.scene import (
    AUTHENTICATION_OK,
    DATABASE,
    GREETING,
    GSSENC_REQUEST,
    KEY,
    SSL_REQUEST,
    STARTUP,
    WELCOME,
    WRITER,
    MakeScene,
    close_at_once,
    exactly,
    greet,
    server_of,
    stay_silent,
    until,
    until_closed,
    welcome_in_clear,
    welcome_of,
)

KEEPALIVE = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)


@pytest.fixture(params=ENGINES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=ENGINES)
def scene(request: pytest.FixtureRequest) -> MakeScene:
    """With each engine; that of epoll has a fast path."""
    return partial(scenes.scene, request.param)


async def test_an_evicted_session_ends_and_dials_nowhere_else(scene: MakeScene) -> None:
    async with scene(MysqlWire()) as stage:
        old, new = await stage.server(greet), await stage.server(greet)
        await stage.choose(old)
        client = await stage.connect()
        assert await exactly(client, len(GREETING)) == GREETING
        await stage.choose(new)
        assert await until_closed(client) == b""
        await wait_all_tasks_blocked(0.01)
        assert (old.accepted, new.accepted) == (1, 0)


async def test_a_session_that_is_cut_at_the_moment_it_opens_is_not_carried() -> None:
    """Trio does not tell a task of a cancellation that met it with something to do."""
    stage: scenes.Scene

    class CutOnce(PostgresqlWire):
        cut = False

        def open(self, hello: Hello, request: Request) -> Opening:
            opened = yield from super().open(hello, request)
            if not self.cut:
                self.cut = True
                stage.ledger.cut_all()
            return opened

    async with scenes.scene("stream", CutOnce()) as stage:
        server = await stage.server(server_of(standby=False))
        await stage.choose(server)
        client = await stage.connect()
        await client.send_all(STARTUP)
        await exactly(client, len(welcome_of(standby=False)))
        assert server.accepted == 2
        assert len(stage.ledger) == 1


async def test_a_client_whose_server_is_silent_moves_on_with_the_next_choice(scene: MakeScene) -> None:
    async with scene(MysqlWire()) as stage:
        old, new = await stage.server(stay_silent), await stage.server(greet)
        await stage.choose(old)
        client = await stage.connect()
        await until(lambda: old.accepted)
        await stage.choose(new)
        assert await exactly(client, len(GREETING)) == GREETING


@pytest.mark.parametrize("said", [0, 5, len(STARTUP)])
async def test_a_client_told_no_encryption_is_never_told_twice(scene: MakeScene, said: int) -> None:
    async def decline(stream: trio.SocketStream) -> None:
        await exactly(stream, 8)
        await stream.send_all(b"N")
        await until_closed(stream)

    async with scene(PostgresqlWire()) as stage:
        old, new = await stage.server(decline), await stage.server(welcome_in_clear)
        await stage.choose(old)
        client = await stage.connect()
        await client.send_all(SSL_REQUEST)
        assert await client.receive_some(10) == b"N"
        if said:
            await client.send_all(STARTUP[:said])
        await wait_all_tasks_blocked(0.01)
        await stage.choose(new)
        if said < len(STARTUP):
            await client.send_all(STARTUP[said:])
        assert await exactly(client, len(WELCOME)) == WELCOME


@pytest.mark.parametrize(
    "requests",
    [[], [SSL_REQUEST], [GSSENC_REQUEST], [SSL_REQUEST, GSSENC_REQUEST], [GSSENC_REQUEST, SSL_REQUEST]],
)
@pytest.mark.parametrize("there", [True, False])
async def test_every_order_of_encryption_requests_byte_by_byte(
    scene: MakeScene, requests: list[bytes], there: bool
) -> None:
    async with scene(PostgresqlWire(), database=WRITER) as stage:
        if there:
            await stage.choose(await stage.server(welcome_in_clear))
        else:
            await stage.publish(Choice(settled=True, why="nowhere"))
        client = await stage.connect()
        for message in [*requests, STARTUP]:
            for byte in message:
                await client.send_all(bytes([byte]))
                await trio.lowlevel.checkpoint()
            if message is not STARTUP:
                assert await client.receive_some(10) == b"N"
        if there:
            assert await exactly(client, len(WELCOME)) == WELCOME
        else:
            assert b"C57P03\0" in await until_closed(client)


async def test_what_is_no_postgresql_server_is_found_out_before_the_client_hears_of_it(
    scene: MakeScene,
) -> None:
    async with scene(PostgresqlWire()) as stage:
        odd, good = await stage.server(greet), await stage.server(welcome_in_clear)
        await stage.choose(odd)
        client = await stage.connect()
        stage.observe = (  # type: ignore[method-assign]
            lambda evidence: (
                stage.nursery.start_soon(stage.choose, good) if evidence.signal is Signal.FALTERED else None
            )
        )
        await client.send_all(SSL_REQUEST)
        assert await client.receive_some(10) == b"N"


async def test_a_server_that_drops_every_session_is_given_up(scene: MakeScene) -> None:
    async with scene(MysqlWire()) as stage:
        server = await stage.server(close_at_once)
        await stage.choose(server)
        client = await stage.connect()
        assert b"drops sessions" in await until_closed(client)
        assert server.accepted == MAX_FAILURES
        assert {evidence.signal for evidence in stage.evidence} == {Signal.FALTERED}


async def test_attempts_on_trial_last_as_long_as_the_hold(scene: MakeScene) -> None:
    async with scene(MysqlWire()) as stage:
        refusing = await stage.server(close_at_once)
        address = refusing.address
        deadline = trio.current_time() + 0.5
        on_trial = serving(0, Target(address, "db.test"), on_trial=True)
        failed = lost(0, held_until=deadline, why="still down")

        def observe(evidence: Evidence) -> None:
            assert evidence.signal is Signal.FALTERED
            stage.choices.publish(failed)

        stage.observe = observe  # type: ignore[method-assign]
        await stage.publish(on_trial)
        client = await stage.connect()

        async def keep_trying() -> None:
            while trio.current_time() < deadline - 0.05:
                await trio.sleep(0.02)
                stage.choices.publish(on_trial)

        stage.nursery.start_soon(keep_trying)
        assert b"still down" in await until_closed(client)
        assert refusing.accepted > MAX_FAILURES
        assert trio.current_time() >= deadline - 0.05


async def test_a_server_that_locked_this_host_out_gets_no_sessions(scene: MakeScene) -> None:
    async def blocked(stream: trio.SocketStream) -> None:
        await stream.send_all(packet(0, b"\xff" + (1129).to_bytes(2, "little") + b"Host is blocked"))
        await stream.aclose()

    async with scene(MysqlWire()) as stage:
        await stage.choose(await stage.server(blocked))
        client = await stage.connect()
        answer = await until_closed(client)
        assert answer[5:7] == (1053).to_bytes(2, "little")
        assert {(each.signal, each.detail) for each in stage.evidence} == {
            (Signal.FALTERED, "Host is blocked")
        }


async def test_a_connection_is_all_that_a_tcp_server_can_prove(scene: MakeScene) -> None:
    async with scene(TcpWire()) as stage:
        server = await stage.server(stay_silent)
        await stage.choose(server)
        client = await stage.connect()
        await client.send_eof()
        await until_closed(client)
        await until(lambda: stage.evidence)
        assert stage.evidence[0].signal is Signal.SERVED


async def test_the_role_and_the_key_are_learnt_from_what_passes_by(scene: MakeScene) -> None:
    async def welcome(stream: trio.SocketStream, role: bytes) -> None:
        await exactly(stream, len(STARTUP))
        parameter = b"in_hot_standby\0" + role + b"\0"
        await stream.send_all(
            AUTHENTICATION_OK
            + b"S"
            + (4 + len(parameter)).to_bytes(4, "big")
            + parameter
            + WELCOME[len(AUTHENTICATION_OK) :]
        )
        await until_closed(stream)

    for text, role in ((b"on", Role.STANDBY), (b"off", Role.PRIMARY)):
        async with scene(PostgresqlWire()) as stage:
            server = await stage.server(partial(welcome, role=text))
            await stage.choose(server)
            client = await stage.connect()
            await client.send_all(STARTUP)
            await exactly(client, len(WELCOME))
            await until(lambda: role in {each.role for each in stage.evidence})  # noqa: B023
            assert stage.ledger.address_of(KEY) == server.address


async def test_a_refused_client_takes_no_other_clients_place(scene: MakeScene) -> None:
    async with scene(PostgresqlWire(), limit=1) as stage:
        await stage.choose(await stage.server(welcome_in_clear))
        first = await stage.connect()
        await first.send_all(STARTUP)
        await exactly(first, len(WELCOME))
        silent = await stage.connect()
        refused = await stage.connect()
        await refused.send_all(STARTUP)
        assert b"C53300\0" in await until_closed(refused)
        await first.aclose()
        await until(lambda: not stage.limit.clients)
        second = await stage.connect()
        await second.send_all(STARTUP)
        assert await exactly(second, len(WELCOME)) == WELCOME
        await silent.aclose()
        reasons = [event.refusal for event in stage.events if isinstance(event, ClientRefused)]
        assert reasons == [Refusal.TOO_MANY]


R = TargetSessionAttrs
FITTING = [
    (R.ANY, True, False, True),
    (R.READ_WRITE, False, False, True),
    (R.READ_WRITE, False, True, False),
    (R.READ_WRITE, True, False, False),
    (R.PRIMARY, False, True, True),
    (R.PRIMARY, True, True, False),
    (R.READ_ONLY, True, False, True),
    (R.READ_ONLY, False, True, True),
    (R.READ_ONLY, False, False, False),
    (R.STANDBY, True, False, True),
    (R.STANDBY, False, True, False),
    (R.PREFER_STANDBY, False, False, True),
]


@pytest.mark.parametrize(("wanted", "standby", "read_only", "fits"), FITTING)
async def test_target_session_attrs_mean_what_they_mean_to_libpq(
    scene: MakeScene, wanted: TargetSessionAttrs, standby: bool, read_only: bool, fits: bool
) -> None:
    database = replace(DATABASE, target_session_attrs=wanted)
    async with scene(PostgresqlWire(), database=database) as stage:
        await stage.choose(await stage.server(server_of(standby, read_only=read_only)))

        def observe(evidence: Evidence) -> None:
            stage.evidence.append(evidence)
            if not roles.fits(evidence.role, wanted):
                stage.choices.publish(lost(9, why="wrong role"))

        stage.observe = observe  # type: ignore[method-assign]
        client = await stage.connect()
        await client.send_all(STARTUP)
        if fits:
            expected = welcome_of(standby, read_only)
            assert await exactly(client, len(expected)) == expected
        else:
            answer = await client.receive_some(4096)
            assert b"C57P03\0" in answer
            assert AUTHENTICATION_OK not in answer


async def test_one_sessions_read_only_default_is_not_held_against_the_server(scene: MakeScene) -> None:
    async with scene(PostgresqlWire(), database=WRITER) as stage:
        await stage.choose(await stage.server(server_of(False, read_only=True)))
        client = await stage.connect()
        await client.send_all(STARTUP)
        assert b"C57P03\0" in await client.receive_some(4096)
        assert {each.role for each in stage.evidence} <= {Role.UNKNOWN, Role.PRIMARY}


async def test_a_session_that_is_refused_by_all_of_its_welcome_is_over(scene: MakeScene) -> None:
    """The client does not wait for more, and what it says reaches nobody."""
    heard: list[bytes] = []
    over = trio.Event()

    async def converse(stream: trio.SocketStream) -> None:
        await exactly(stream, len(STARTUP))
        await stream.send_all(welcome_of(standby=False, read_only=True))
        heard.append(await until_closed(stream))
        over.set()

    async with scene(PostgresqlWire(), database=WRITER) as stage:
        await stage.choose(await stage.server(converse))
        client = await stage.connect()
        await client.send_all(STARTUP)
        assert b"C57P03\0" in await until_closed(client)
        await over.wait()
        assert heard == [b""]
        assert [event.refusal for event in stage.events if isinstance(event, ClientRefused)] == [Refusal.ROLE]


async def test_who_prefers_a_standby_leaves_a_primary_only_if_there_are_others(scene: MakeScene) -> None:
    database = replace(DATABASE, target_session_attrs=R.PREFER_STANDBY, balance=Balance.LEAST_CONNECTIONS)
    async with scene(PostgresqlWire(), database=database) as stage:
        primary, standby = await stage.server(server_of(False)), await stage.server(server_of(True))
        both = [Target(each.address, "db.test") for each in (primary, standby)]
        await stage.publish(serving(1, *both))

        def observe(evidence: Evidence) -> None:
            if evidence.role is Role.PRIMARY:
                stage.choices.publish(serving(1, both[1]))

        stage.observe = observe  # type: ignore[method-assign]
        for _ in range(2):
            client = await stage.connect()
            await client.send_all(STARTUP)
            assert await exactly(client, len(welcome_of(True))) == welcome_of(True)


async def test_hash_goes_by_user_and_database_also_for_clients_that_ask_for_encryption(
    scene: MakeScene,
) -> None:
    database = replace(DATABASE, balance=Balance.HASH)
    async with scene(PostgresqlWire(), database=database) as stage:
        servers = [await stage.server(welcome_in_clear) for _ in range(4)]
        await stage.choose(*servers)
        for _ in range(5):
            client = await stage.connect()
            await client.send_all(SSL_REQUEST)
            assert await exactly(client, 1) == b"N"
            await client.send_all(STARTUP)
            assert await exactly(client, len(WELCOME)) == WELCOME
            await client.aclose()
        assert sorted(each.accepted for each in servers) == [0, 0, 0, 5]


async def test_a_session_takes_the_hosts_other_address_if_the_first_refuses(scene: MakeScene) -> None:
    async with scene(MysqlWire()) as stage:
        server = await stage.server(greet)
        gone = await stage._listener()
        refusing = Address(*gone.socket.getsockname()[:2])
        gone.socket.close()
        host = Target(refusing, "db.test", alternate=server.address)
        await stage.publish(serving(1, host))
        client = await stage.connect()
        assert await exactly(client, len(GREETING)) == GREETING
        assert (stage.ledger.sessions(refusing), stage.ledger.sessions(server.address)) == (0, 1)
        assert (refusing, Signal.FALTERED) in {(each.address, each.signal) for each in stage.evidence}


async def test_of_those_who_wait_for_a_trial_one_tries(scene: MakeScene) -> None:
    async with scene(MysqlWire()) as stage:
        server = await stage.server(stay_silent)
        target = Target(server.address, "db.test")
        tried: list[Address] = []

        def try_out(address: Address) -> bool:
            if tried:
                return False
            tried.append(address)
            stage.choices.publish(
                Choice(1, tenures={address: 1}, settled=True, held_until=trio.current_time() + 60)
            )
            return True

        stage.try_out = try_out  # type: ignore[method-assign]
        for _ in range(5):
            await stage.connect()
        await wait_all_tasks_blocked(0.01)
        await stage.publish(serving(1, target, on_trial=True))
        await until(lambda: server.accepted)
        await wait_all_tasks_blocked(0.01)
        assert server.accepted == 1
        await stage.publish(serving(1, target))
        await until(lambda: server.accepted == 5)


async def test_a_cancel_whose_key_nobody_saw_goes_to_all_servers_with_sessions(scene: MakeScene) -> None:
    request = (16).to_bytes(4, "big") + (80877102).to_bytes(4, "big") + KEY
    got: list[bytes] = []

    async def take(stream: trio.SocketStream) -> None:
        got.append(await exactly(stream, len(request)))

    async with scene(PostgresqlWire()) as stage:
        servers = [await stage.server(take) for _ in range(3)]
        await stage.choose(*servers)
        client = await stage.connect()
        await client.send_all(request)
        assert await until_closed(client) == b""
        assert got == [request] * 3
        assert [each.found for each in stage.events if isinstance(each, CancelForwarded)] == [False]


@pytest.mark.parametrize("why", ["at the limit", "no usable address"])
@pytest.mark.parametrize("passes_tls", [True, False])
async def test_a_cancel_behind_a_request_for_encryption_is_forwarded_even_where_nobody_gets_a_session(
    scene: MakeScene, why: str, passes_tls: bool
) -> None:
    """As libpq 17 sends it by default. The session goes on all the while."""
    request = (16).to_bytes(4, "big") + (80877102).to_bytes(4, "big") + KEY
    got: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        first = await exactly(stream, 16)
        if first == request:
            got.append(first)
            return
        await exactly(stream, len(STARTUP) - len(first))
        await stream.send_all(WELCOME)
        await until_closed(stream)

    async with scene(PostgresqlWire(passes_tls=passes_tls), limit=1) as stage:
        server = await stage.server(serve)
        await stage.choose(server)
        first = await stage.connect()
        await first.send_all(STARTUP)
        await exactly(first, len(WELCOME))
        await until(lambda: stage.ledger.address_of(KEY))
        if why == "no usable address":
            kept = stage.choices.value.tenures
            stage.limit.maximum = 0
            # Who gets TLS from the server, if it has any, cannot be told before the hold is over.
            held_until = trio.current_time() + (0.1 if passes_tls else 60)
            await stage.publish(replace(lost(1, held_until=held_until), tenures=kept))
        client = await stage.connect()
        await client.send_all(SSL_REQUEST)
        assert await exactly(client, 1) == b"N"
        await client.send_all(request)
        assert await until_closed(client) == b""
        assert got == [request]
        assert not [event for event in stage.events if isinstance(event, ClientRefused)]
        assert [each.found for each in stage.events if isinstance(each, CancelForwarded)] == [True]


async def test_a_mysql_server_that_does_not_greet_is_left_by_a_reset(
    scene: MakeScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that hangs finds a closed connection later, and counts it against this host."""
    ends: list[str] = []

    async def note_the_end(stream: trio.SocketStream) -> None:
        try:
            ends.append("closed" if not await stream.receive_some(1) else "data")
        except trio.BrokenResourceError:
            ends.append("reset")

    monkeypatch.setattr(departures, "TIMEOUT", 0.1)
    async with scene(MysqlWire()) as stage:
        old, new = await stage.server(note_the_end), await stage.server(greet)
        await stage.choose(old)
        client = await stage.connect()
        await until(lambda: old.accepted)
        await stage.choose(new)
        assert await exactly(client, len(GREETING)) == GREETING
        await until(lambda: ends)
        assert ends == ["reset"]


async def test_a_server_that_is_never_ready_while_its_check_says_so_is_given_up(scene: MakeScene) -> None:
    async def not_ready(stream: trio.SocketStream) -> None:
        await exactly(stream, len(STARTUP))
        await stream.send_all(error_response("57P03", "not for you"))
        await until_closed(stream)

    async with scene(PostgresqlWire()) as stage:
        server = await stage.server(not_ready)
        await stage.choose(server)
        client = await stage.connect()
        await client.send_all(STARTUP)
        assert b"C57P03\0" in await until_closed(client)
        assert server.accepted == MAX_FAILURES


async def test_encryption_from_the_first_byte_counts_as_served(scene: MakeScene) -> None:
    """And whatever role the server has will not be seen."""
    hello = b"\x16\x03\x01\0\x05hello"

    async def shake_hands(stream: trio.SocketStream) -> None:
        await exactly(stream, len(hello))
        await stream.send_all(b"\x16server hello")
        await until_closed(stream)

    async with scene(PostgresqlWire()) as stage:
        await stage.choose(await stage.server(shake_hands))
        client = await stage.connect()
        await client.send_all(hello)
        assert await exactly(client, 13) == b"\x16server hello"
        await until(lambda: stage.evidence)
        assert [(each.signal, each.role_hidden) for each in stage.evidence] == [(Signal.SERVED, True)]


@pytest.mark.parametrize("ordinary", [True, False])
async def test_the_opening_tells_who_came_over_a_unix_socket(
    kind: str, tmp_path: Path, ordinary: bool
) -> None:
    """Whichever way its session goes."""
    database = replace(DATABASE, balance=None if ordinary else Balance.LEAST_CONNECTIONS)
    listen = UnixListen(str(tmp_path / "socket"))
    async with scenes.scene(kind, MysqlWire(), database=database, listen=listen) as stage:
        await stage.choose(await stage.server(greet))
        client = await stage.connect()
        assert await exactly(client, len(GREETING)) == GREETING
        await until(lambda: len(stage.ledger))
        opened = [event for event in stage.events if isinstance(event, SessionOpened)]
        assert [event.client for event in opened] == [PeerProcess(os.getpid(), os.getuid(), os.getgid())]


async def test_the_opening_tells_nobody_who_came_over_tcp(scene: MakeScene) -> None:
    async with scene(MysqlWire()) as stage:
        await stage.choose(await stage.server(greet))
        client = await stage.connect()
        assert await exactly(client, len(GREETING)) == GREETING
        await until(lambda: [event for event in stage.events if isinstance(event, SessionOpened)])
        opened = [event for event in stage.events if isinstance(event, SessionOpened)]
        assert [event.client for event in opened] == [None]


@pytest.mark.parametrize("ordinary", [True, False])
async def test_both_legs_are_kept_alive_and_neither_ends_for_unacknowledged_data(
    kind: str, ordinary: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that does not read for a while has a full window: TCP_USER_TIMEOUT would end its session."""
    legs: list[socket.socket] = []
    link = Relayed.link

    def note(self: Relayed, client: socket.socket, server: socket.socket, *rest: Any) -> Link:
        legs.extend((client, server))
        return link(self, client, server, *rest)

    monkeypatch.setattr(Relayed, "link", note)
    database = replace(DATABASE, balance=None if ordinary else Balance.LEAST_CONNECTIONS)
    async with scenes.scene(kind, MysqlWire(), database=database) as stage:
        await stage.choose(await stage.server(greet))
        client = await stage.connect()
        assert await exactly(client, len(GREETING)) == GREETING
        await until(lambda: len(legs) == 2)  # the engine answers first
        assert (stage.tasks.spawned == 0) == (ordinary and kind == "epoll")
        for leg in legs:
            assert leg.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            set_to = [leg.getsockopt(socket.IPPROTO_TCP, option) for option in KEEPALIVE]
            assert set_to == [KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT]
            assert leg.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0


async def test_who_prefers_a_standby_keeps_the_primary_that_it_logged_in_to(scene: MakeScene) -> None:
    question = b"R\0\0\0\x08\0\0\0\x03"

    async def ask_for_the_password(stream: trio.SocketStream) -> None:
        await exactly(stream, len(STARTUP))
        await stream.send_all(question)
        await exactly(stream, 1)
        await stream.send_all(welcome_of(False))
        await until_closed(stream)

    database = replace(DATABASE, target_session_attrs=R.PREFER_STANDBY)
    async with scene(PostgresqlWire(), database=database) as stage:
        servers = [await stage.server(ask_for_the_password) for _ in range(2)]
        await stage.choose(*servers)
        client = await stage.connect()
        await client.send_all(STARTUP)
        assert await exactly(client, len(question)) == question
        await client.send_all(b"x")
        assert await exactly(client, len(welcome_of(False))) == welcome_of(False)
