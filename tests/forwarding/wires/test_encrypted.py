"""Sessions whose server's side is encrypted: their opening without sockets, and their relay with them."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbambassador.events import Refusal
from dbambassador.forwarding.relay.engine import Engine, How, Link
from dbambassador.forwarding.wires.conversation import Ask, Heard, Party, Pending, answer, begin
from dbambassador.forwarding.wires.postgresql import PostgresqlWire
from dbambassador.forwarding.wires.wire import (
    Cancel,
    Hello,
    Left,
    NotOpened,
    Opened,
    Opening,
    Request,
    TcpWire,
)
from dbambassador.health.evidence import Signal
from dbambassador.settings.schema import Negotiation, SslMode, TargetSessionAttrs, Tls
from dbambassador.transport.encrypted_socket import EncryptedSocket
from dbambassador.transport.tls import TlsEnd
from dbambassador.transport.tls_files import Encryption
from tests.forwarding.relay.relaying import (
    ENGINES,
    Relayed,
    as_stream,
    read_all,
    read_rest,
    reset,
    tcp_pair,
)
from tests.forwarding.scene import GSSENC_REQUEST, KEY, SSL_REQUEST, STARTUP, WELCOME
from tests.transport.tls_peer import CA, CLIENT, HOST, OLD_SERVER, SERVER, Server, server_context

CANCEL_REQUEST = (16).to_bytes(4, "big") + (80877102).to_bytes(4, "big") + KEY


@pytest.fixture(scope="session")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    CA.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def encryption(roots: Path) -> Encryption:
    return Encryption(Tls(mode=SslMode.VERIFY_FULL, rootcert=str(roots)))


def request(host: str = HOST) -> Request:
    return Request(host, TargetSessionAttrs.ANY, TargetSessionAttrs.ANY, lambda _: None)


# Openings


class Parties:
    """A client in clear, and a PostgreSQL server that takes TLS; all is said in pieces of these sizes."""

    def __init__(self, client_says: bytes, server_says: bytes, sizes: list[int]) -> None:
        self.client_says = client_says
        self.server_says = server_says
        """In TLS, once it was told something there."""
        self.sizes = sizes
        self.context = SERVER
        self.to_ssl_request = b"S"
        self.client_heard = self.server_heard = self.in_clear = b""
        """`in_clear`: what the server heard before TLS."""
        self._waiting = b""
        self._began = False
        self._server: Server | None = None
        self._turn = 0

    def hear(self, ask: Ask) -> Heard:
        if ask.party is Party.CLIENT:
            self.client_heard += ask.say
            data, self.client_says = self._piece(self.client_says, ask.limit)
        else:
            self._tell(ask.say)
            data, self._waiting = self._piece(self._waiting, ask.limit)
        return Heard(data)

    def _piece(self, data: bytes, limit: int) -> tuple[bytes, bytes]:
        size = min(limit, self.sizes[self._turn % len(self.sizes)])
        self._turn += 1
        return data[:size], data[size:]

    def _tell(self, said: bytes) -> None:
        if not self._began and said == SSL_REQUEST:
            self.in_clear += said
            self._waiting += self.to_ssl_request
            return
        self._began = True
        self._server = self._server or Server(self.context)
        self._waiting += self._server.hear(said)
        told = self._server.read() if self._server.done else b""
        self.server_heard += told
        if told and self.server_says:
            self._server.tls.write(self.server_says)
            self.server_says = b""
            self._waiting += self._server.outgoing.read()


def hold(opening: Opening, parties: Parties) -> Opened | NotOpened | Cancel | Left | object:
    said = begin(opening)
    for _ in range(100_000):
        if not isinstance(said, Pending):
            return said.result
        said = answer(said, parties.hear(said.ask))
    raise AssertionError("it goes on for ever")


SIZES = st.lists(st.integers(1, 3000), min_size=1, max_size=5)
ASKED = st.lists(st.sampled_from([SSL_REQUEST, GSSENC_REQUEST]), max_size=2, unique=True).map(b"".join)


class Asking(Parties):
    """A client that asks for encryption first, and goes on once it was told that there is none."""

    def hear(self, ask: Ask) -> Heard:
        if ask.party is Party.CLIENT and self.client_says[:8] in (SSL_REQUEST, GSSENC_REQUEST):
            self.client_heard += ask.say
            data, self.client_says = self.client_says[:8], self.client_says[8:]
            return Heard(data)
        return super().hear(ask)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=ASKED, sizes=SIZES, old=st.booleans())
def test_a_plain_client_gets_the_welcome_of_an_encrypted_server(
    encryption: Encryption, asked: bytes, sizes: list[int], old: bool
) -> None:
    parties = Asking(asked + STARTUP, WELCOME, sizes)
    parties.context = OLD_SERVER if old else SERVER

    opened = hold(PostgresqlWire(encryption).open(Hello(), request()), parties)

    assert isinstance(opened, Opened)
    assert opened.tls is not None
    assert parties.in_clear == SSL_REQUEST
    assert parties.server_heard == STARTUP
    assert parties.client_heard == b"N" * (len(asked) // 8)
    assert WELCOME.startswith(opened.to_client)
    assert opened.to_server == b""


def sasl(*mechanisms: bytes) -> bytes:
    body = b"\0\0\0\x0a" + b"".join(name + b"\0" for name in mechanisms) + b"\0"
    return b"R" + (4 + len(body)).to_bytes(4, "big") + body


def test_what_binds_to_tls_is_taken_off_the_offer(encryption: Encryption) -> None:
    parties = Parties(STARTUP, sasl(b"SCRAM-SHA-256-PLUS", b"SCRAM-SHA-256"), [1000])

    opened = hold(PostgresqlWire(encryption).open(Hello(), request()), parties)

    assert isinstance(opened, Opened)
    assert opened.to_client == sasl(b"SCRAM-SHA-256")


@pytest.mark.parametrize(
    ("answered", "why"),
    [
        (b"N", "it offers none, and sslmode asks for it"),
        (b"E", "it answers a request for TLS with an error"),
        (b"H", "not a PostgreSQL server"),
        (b"", "closed the connection"),
        (b"SE\0\0\0\x10FATAL", "what it says is no TLS"),
    ],
)
def test_nothing_of_the_session_is_said_to_a_server_without_tls(
    encryption: Encryption, answered: bytes, why: str
) -> None:
    parties = Parties(STARTUP, WELCOME, [1000])
    parties.to_ssl_request = answered

    result = hold(PostgresqlWire(encryption).open(Hello(), request()), parties)

    assert isinstance(result, NotOpened)
    assert result.signal is Signal.FALTERED
    assert why in result.detail
    assert parties.server_heard == b""
    assert STARTUP not in parties.in_clear


def test_nothing_of_the_session_is_said_to_a_server_of_another_name(encryption: Encryption) -> None:
    parties = Parties(STARTUP, WELCOME, [1000])

    result = hold(PostgresqlWire(encryption).open(Hello(), request("other.test")), parties)

    why = "its certificate is not for other.test, but for db.test, 127.0.0.1"
    assert result == NotOpened(Signal.FALTERED, f"no TLS with the server: {why}")
    assert parties.server_heard == b""


def test_a_name_that_no_certificate_can_have_is_no_crash(encryption: Encryption) -> None:
    for wire in (PostgresqlWire(encryption), TcpWire(encryption)):
        result = hold(wire.open(Hello(STARTUP), request("a" * 64)), Parties(b"", b"", [1000]))

        assert isinstance(result, NotOpened)
        assert "no server can be called" in result.detail


def test_of_a_client_that_begins_tls_itself_the_log_says_what_settles_that(encryption: Encryption) -> None:
    for wire in (PostgresqlWire(encryption), PostgresqlWire(passes_tls=False)):
        result = hold(wire.open(Hello(), request()), Parties(b"\x16\x03\x01hello", b"", [1000]))

        assert result == Left("it began TLS, which it does not get here: see sslmode", Refusal.NO_TLS)


def test_a_client_that_leaves_when_told_that_there_is_no_tls_was_refused_that(encryption: Encryption) -> None:
    for wire in (PostgresqlWire(encryption), PostgresqlWire(passes_tls=False)):
        result = hold(wire.open(Hello(), request()), Asking(SSL_REQUEST, b"", [1000]))

        assert result == Left("closed the connection", Refusal.NO_TLS)
    passing = Asking(SSL_REQUEST, b"", [1000])
    passing.to_ssl_request = b"N"
    assert hold(PostgresqlWire().open(Hello(), request()), passing) == Left("closed the connection")


def test_a_cancel_behind_a_request_for_encryption_is_seen(encryption: Encryption) -> None:
    parties = Asking(SSL_REQUEST + CANCEL_REQUEST, b"", [1000])

    result = hold(PostgresqlWire(encryption).open(Hello(), request()), parties)
    assert result == Cancel(KEY, CANCEL_REQUEST)


def test_without_encryption_at_all_nobody_gets_any() -> None:
    said = begin(PostgresqlWire(passes_tls=False).open(Hello(SSL_REQUEST), request()))

    assert isinstance(said, Pending)
    assert (said.ask.party, said.ask.say) == (Party.CLIENT, b"N")
    said = answer(said, Heard(STARTUP))
    assert isinstance(said, Pending)
    assert said.ask == Ask(Party.SERVER, STARTUP)


@pytest.mark.parametrize("speaks", ["postgresql", "http/1.1", ""])
def test_direct_tls_is_postgresqls_own(roots: Path, speaks: str) -> None:
    direct = Encryption(Tls(mode=SslMode.VERIFY_FULL, rootcert=str(roots), negotiation=Negotiation.DIRECT))
    parties = Parties(STARTUP, WELCOME, [1000])
    parties.context = server_context()
    if speaks:
        parties.context.set_alpn_protocols([speaks])

    result = hold(PostgresqlWire(direct).open(Hello(), request()), parties)

    assert parties.in_clear == b""
    if speaks == "postgresql":
        assert isinstance(result, Opened)
    else:
        assert isinstance(result, NotOpened)
        assert parties.server_heard == b""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=SIZES)
def test_of_an_unknown_protocol_tls_is_the_first_thing(encryption: Encryption, sizes: list[int]) -> None:
    wire = TcpWire(encryption)
    assert not wire.opaque

    opened = hold(wire.open(Hello(), request()), Parties(b"", b"", sizes))

    assert isinstance(opened, Opened)
    assert opened.tls is not None


def test_a_server_that_speaks_first_is_heard_even_in_the_breath_of_its_handshake(
    encryption: Encryption,
) -> None:
    """The end of TLS 1.2's handshake is the server's."""

    class Eager(Parties):
        def _tell(self, said: bytes) -> None:
            super()._tell(said)
            if self._server is not None and self._server.done:
                self._server.tls.write(b"220 at your service")
                self._waiting += self._server.outgoing.read()

    parties = Eager(b"", b"", [16384])
    parties.context = OLD_SERVER

    opened = hold(TcpWire(encryption).open(Hello(), request()), parties)

    assert isinstance(opened, Opened)
    assert opened.to_client == b"220 at your service"


# Relays


@pytest.fixture(params=ENGINES)
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    async with ENGINES[request.param]() as made:
        yield made


class Encrypted:
    """A session under relay whose server speaks TLS."""

    def __init__(self, session: Relayed, server: trio.SSLStream[trio.SocketStream]) -> None:
        self.session = session
        self.client = session.client
        self.server = server


@asynccontextmanager
async def relayed(
    engine: Engine, context: ssl.SSLContext = SERVER, to_server: bytes = b""
) -> AsyncIterator[Encrypted]:
    client, inner_client = tcp_pair()
    outer, inner_server = tcp_pair()
    tls = TlsEnd(CLIENT, HOST)
    server = trio.SSLStream(as_stream(outer), context, server_side=True)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.do_handshake)
            plain, heard = trio.socket.from_stdlib_socket(inner_server.dup()), b""
            with plain:
                while not tls.shake_hands(heard):
                    await plain.send(tls.outgoing())
                    heard = await plain.recv(65536)
                await plain.send(tls.outgoing())
        link = Link(
            inner_client,
            EncryptedSocket(inner_server, tls),
            to_server,
            on_server_end=lambda: session.note_server_end(),
        )
        session = Relayed(as_stream(client), server.transport_stream, link)
        async with session.client, session.server:
            session.carried = engine.carry(link, session.over)
            try:
                yield Encrypted(session, server)
            finally:
                session.cut()
                with trio.move_on_after(5, shield=True):
                    await session.ended.wait()


async def test_bytes_read_before_the_hand_over_come_first(engine: Engine) -> None:
    async with relayed(engine, to_server=b"startup ") as pair:
        await pair.client.send_all(b"query")
        said = b""
        while len(said) < 13:
            said += bytes(await pair.server.receive_some())
        assert said == b"startup query"


@pytest.mark.parametrize("context", [SERVER, OLD_SERVER], ids=["1.3", "1.2"])
async def test_megabytes_arrive_unchanged_both_ways_at_once_past_slow_readers(
    engine: Engine, context: ssl.SSLContext
) -> None:
    payload = Random(1).randbytes(4 << 20)

    async def send(stream: trio.abc.SendStream) -> None:
        random, rest = Random(2), memoryview(payload)
        while rest:
            size = random.choice([1, 100, 5000, 200_000])
            await stream.send_all(rest[:size])
            rest = rest[size:]

    async def check(stream: trio.abc.ReceiveStream) -> None:
        random, seen, left = Random(3), sha256(), len(payload)
        while left:
            chunk = await stream.receive_some(random.choice([7, 4096, 65536, 65536]))
            assert chunk
            seen.update(chunk)
            left -= len(chunk)
            if random.random() < 0.02:
                await trio.sleep(0.001)  # slow: this is what is tested
        assert seen.digest() == sha256(payload).digest()

    async with relayed(engine, context) as pair:
        async with trio.open_nursery() as nursery:
            for source, sink in ((pair.client, pair.server), (pair.server, pair.client)):
                nursery.start_soon(send, source)
                nursery.start_soon(check, sink)
        traffic = pair.session.link.traffic
        assert traffic.to_server == traffic.to_client == len(payload)


async def test_single_messages_pass_at_once_each_way(engine: Engine) -> None:
    async with relayed(engine) as pair:
        for number in range(200):
            await pair.client.send_all(b"q%d" % number)
            assert bytes(await pair.server.receive_some()) == b"q%d" % number
            await pair.server.send_all(b"a%d" % number)
            assert bytes(await pair.client.receive_some()) == b"a%d" % number


async def test_a_client_that_has_ended_still_gets_its_answer(engine: Engine) -> None:
    async with relayed(engine) as pair:
        await pair.client.send_all(b"query")
        await pair.client.send_eof()
        assert bytes(await pair.server.receive_some()) == b"query"
        assert await pair.server.receive_some() == b""
        await pair.server.send_all(b"answer")
        assert bytes(await pair.client.receive_some()) == b"answer"
        await pair.server.aclose()
        assert await read_all(pair.client) == b""
        await pair.session.ended.wait()
        assert pair.session.outcome is How.CLIENT_CLOSED


async def test_a_servers_goodbye_is_an_end_and_no_reset(engine: Engine) -> None:
    async with relayed(engine) as pair:
        await pair.server.send_all(b"last words")
        await pair.server.aclose()
        assert await read_all(pair.client) == b"last words"
        await pair.session.server_ended.wait()
        await pair.client.send_eof()
        await pair.session.ended.wait()
        assert pair.session.outcome is How.SERVER_CLOSED


async def test_a_servers_reset_is_a_reset(engine: Engine) -> None:
    async with relayed(engine) as pair:
        reset(pair.server.transport_stream)
        assert (await read_rest(pair.client))[1]
        await pair.session.ended.wait()
        assert pair.session.outcome is How.SERVER_RESET


async def test_nothing_forged_passes_and_the_session_ends(engine: Engine) -> None:
    async with relayed(engine) as pair:
        await pair.server.send_all(b"true")
        assert bytes(await pair.client.receive_some()) == b"true"
        await pair.server.transport_stream.send_all(b"\x17\x03\x03\x00\x20" + bytes(32))
        assert await read_rest(pair.client) == (b"", True)
        await pair.session.ended.wait()
        assert pair.session.outcome is How.SERVER_RESET


async def test_a_cut_ends_both_sides(engine: Engine) -> None:
    async with relayed(engine) as pair:
        pair.session.cut()
        assert (await read_rest(pair.client))[1]
        await pair.session.ended.wait()
        assert pair.session.outcome is How.CUT
