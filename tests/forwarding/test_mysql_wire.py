"""MySQL's connection phase without sockets: whatever the client does, the server sees it end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from dbambassador.events import Refusal
from dbambassador.forwarding.wires.conversation import (
    CHUNK,
    Conversation,
    Heard,
    Party,
    Pending,
    answer,
    begin,
)
from dbambassador.forwarding.wires.mysql import MysqlWire
from dbambassador.forwarding.wires.mysql_handshake import ANSWER_WITHIN, MOST_STEPS
from dbambassador.forwarding.wires.wire import Denied, Hello, Left, NotOpened, Opened, Request, Seen
from dbambassador.health.evidence import Signal
from dbambassador.health.peer import PROBE_USER
from dbambassador.protocols import mysql
from dbambassador.protocols.mysql_authentication import (
    CACHING_SHA2,
    CLEAR,
    ED25519,
    KEY_WANTED,
    NATIVE,
    SHA256,
    TAKING_TURNS,
    unmasked,
)
from dbambassador.settings.schema import SslMode, TargetSessionAttrs, Tls
from dbambassador.transport.password_key import PasswordKey
from dbambassador.transport.tls_files import Encryption
from tests.forwarding.mysql_peers import (
    ANSWER,
    OK,
    PASSWORD,
    SSL_REQUEST,
    USER,
    BookClient,
    BookServer,
    EncryptedServer,
    introduction,
)
from tests.transport.tls_peer import CA, SERVER, server_context

SIZES = st.lists(st.integers(1, 30), min_size=1, max_size=8)
PLUGINS = [NATIVE, ED25519, CACHING_SHA2]
RIGHT = {NATIVE: ANSWER, ED25519: b"s" * 64, CACHING_SHA2: ANSWER}


class Book(Protocol):
    def hear(self, data: bytes) -> bytes: ...


@dataclass
class Voice:
    """A party that says what the book says, in pieces, and leaves when it has nothing to say."""

    book: Book
    words: bytes = b""
    sizes: list[int] = field(default_factory=lambda: [CHUNK])
    turn: int = 0

    def tell(self, data: bytes) -> None:
        if data:
            self.words += self.book.hear(data)

    def hear(self, limit: int) -> Heard:
        size = min(limit, self.sizes[self.turn % len(self.sizes)])
        self.turn += 1
        data, self.words = self.words[:size], self.words[size:]
        return Heard(data)


@dataclass
class Meeting:
    """A session's opening between a client and a server by the book."""

    client: BookClient
    server: BookServer
    wire: MysqlWire = field(default_factory=MysqlWire)
    exposed: bool = False
    encrypted: EncryptedServer | None = None
    sizes: tuple[list[int], list[int]] = field(default_factory=lambda: ([CHUNK], [CHUNK]))
    hello: Hello = field(default_factory=Hello)

    def hold(self) -> object:
        """Holds the conversation to its end, and passes on what it leaves, as an engine does."""
        server = self.encrypted or self.server
        voices = {
            Party.CLIENT: Voice(self.client, b"", self.sizes[0]),
            Party.SERVER: Voice(server, self.server.begin(), self.sizes[1]),
        }
        any_role = TargetSessionAttrs.ANY
        request = Request("db.test", any_role, any_role, lambda _: None, exposed=self.exposed)
        said = begin(self.wire.open(self.hello, request))
        while isinstance(said, Pending):
            voice, ask = voices[said.ask.party], said.ask
            say = ask.say + (ask.find() if ask.find is not None else b"")
            voice.tell(say)
            if say and ask.told is not None:
                ask.told()
            said = answer(said, voice.hear(ask.limit))
        if isinstance(said.result, Opened) and said.result.tls is None:
            voices[Party.CLIENT].tell(said.result.to_client + voices[Party.SERVER].words)
            voices[Party.SERVER].tell(said.result.to_server + voices[Party.CLIENT].words)
        return said.result


def told(wire: MysqlWire, hello: Hello, refusal: Refusal) -> bytes:
    """A refused client's last words."""
    conversation: Conversation[bytes] = wire.last_words(hello, refusal, "why")
    said = begin(conversation)
    assert not isinstance(said, Pending)
    return said.result


# In


@pytest.mark.parametrize("plugin", PLUGINS)
@pytest.mark.parametrize("offered", [NATIVE, CACHING_SHA2])
@given(client=SIZES, server=SIZES, cached=st.booleans())
def test_a_client_gets_in_however_the_bytes_come(
    plugin: str, offered: str, client: list[int], server: list[int], cached: bool
) -> None:
    answers = [PASSWORD] if plugin == CACHING_SHA2 and not cached else []
    if offered != plugin:
        answers.insert(0, RIGHT[plugin])
    meeting = Meeting(
        BookClient([introduction(offered), *answers]),
        BookServer(plugin, default=offered, cached=cached),
        sizes=(client, server),
    )
    opened = meeting.hold()
    assert isinstance(opened, Opened)
    assert meeting.server.verdict == "in"
    assert meeting.server.introduced == [USER]
    assert meeting.client.over


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_what_either_side_says_beyond_the_verdict_goes_on(behind_ok: bytes, ahead: bytes) -> None:
    class Eager(BookServer):
        def _judge(self, right: bool) -> list[bytes]:
            self.more = behind_ok
            return super()._judge(right)

        def hear(self, data: bytes) -> bytes:
            self.more = b""
            return super().hear(data) + self.more

    class Ahead(BookClient):
        def hear(self, data: bytes) -> bytes:
            said = super().hear(data) if not self.over else b""
            return said + ahead if said else b""

    meeting = Meeting(Ahead([introduction()]), Eager())
    client, server = meeting.client, meeting.server
    opened = meeting.hold()
    assert isinstance(opened, Opened)
    assert opened.to_client.endswith(behind_ok)
    assert opened.to_server == ahead
    assert (server.verdict, client.told[-1][:1]) == ("in", b"\0")


def test_a_denied_client_is_told_by_its_server() -> None:
    meeting = Meeting(BookClient([introduction(ED25519), bytes(20)]), BookServer(NATIVE))
    opened = meeting.hold()
    assert isinstance(opened, Opened)
    assert opened.seen == Seen(rejected=True)
    assert meeting.client.told[-1].startswith(b"\xff\x15\x04")


def test_a_plugin_that_is_not_known_to_speak_in_turns_is_left_to_the_two() -> None:
    class Dialog(BookServer):
        def _challenged(self, answer: bytes) -> list[bytes]:
            return [b"\4Password: "]

    assert "dialog" not in TAKING_TURNS
    meeting = Meeting(BookClient([introduction(NATIVE), b"an answer"]), Dialog("dialog"))
    opened = meeting.hold()
    assert isinstance(opened, Opened)
    assert opened.to_client.endswith(b"Password: ")


@pytest.mark.parametrize("said", [b"\1\3", b"\1\4", b"\xfe" + CACHING_SHA2.encode() + b"\0" + bytes(20)])
def test_a_server_that_never_decides_is_not_heard_for_ever(said: bytes) -> None:
    class Undecided(BookServer):
        """Says the same on and on, asked or not."""

        def _answer(self, payload: bytes) -> list[bytes]:
            return [said] * (2 * MOST_STEPS)

    meeting = Meeting(BookClient([introduction(CACHING_SHA2), *[ANSWER] * 1000]), Undecided(CACHING_SHA2))
    result = meeting.hold()
    assert isinstance(result, NotOpened)
    assert result.detail == f"not decided after {MOST_STEPS} packets of authentication"
    assert len(meeting.client.told) <= 1 + MOST_STEPS


def test_a_server_from_before_4_1_is_left_to_itself() -> None:
    first = b"\x0a3.23.58\0" + bytes(60)

    class Old(BookServer):
        def begin(self) -> bytes:
            return mysql.packet(0, first)

    opened = Meeting(BookClient([]), Old()).hold()
    assert opened == Opened(to_client=mysql.packet(0, first))


# Out


@pytest.mark.parametrize("plugin", PLUGINS)
@pytest.mark.parametrize("offered", [NATIVE, CACHING_SHA2])
@given(said=st.integers(0, 3), cut=st.integers(0, 30), sizes=SIZES)
def test_a_client_that_leaves_is_no_aborted_handshake(
    plugin: str, offered: str, said: int, cut: int, sizes: list[int]
) -> None:
    """Wherever it leaves, also in the middle of a packet."""
    answers = [introduction(offered), RIGHT[plugin], PASSWORD][:said]

    class Leaver(BookClient):
        def hear(self, data: bytes) -> bytes:
            words = super().hear(data)
            return words if self.script else words[: max(0, len(words) - cut)]

    meeting = Meeting(Leaver(answers), BookServer(plugin, default=offered), sizes=(sizes, sizes))
    result = meeting.hold()
    assert isinstance(result, Left | Opened | Denied)
    assert meeting.server.verdict in ("in", "denied")
    if isinstance(result, Left) and meeting.server.introduced == [PROBE_USER]:
        assert not meeting.server.answers


def test_a_server_that_lets_a_leaver_in_is_bidden_farewell() -> None:
    class Trusting(BookServer):
        def _judge(self, right: bool) -> list[bytes]:
            return super()._judge(True)

    meeting = Meeting(BookClient([]), Trusting())
    assert isinstance(meeting.hold(), Left)
    assert meeting.server.after == mysql.QUIT


def test_a_client_has_less_time_for_an_answer_than_a_server_gives_it() -> None:
    any_role = TargetSessionAttrs.ANY
    said = begin(MysqlWire().open(Hello(), Request("db.test", any_role, any_role, lambda _: None)))
    assert isinstance(said, Pending)
    said = answer(said, Heard(BookServer().begin()))
    assert isinstance(said, Pending)
    assert (said.ask.party, said.ask.within) == (Party.CLIENT, ANSWER_WITHIN)
    assert ANSWER_WITHIN < 10  # connect_timeout, of MySQL and of MariaDB
    said = answer(said, Heard(b"\1"))
    assert isinstance(said, Pending)
    assert (said.ask.party, said.ask.within) == (Party.CLIENT, None)


@pytest.mark.parametrize(
    "said",
    [
        mysql.packet(1, b""),
        mysql.packet(1, bytes(40)),
        mysql.packet(1, introduction()[:34]),
        mysql.packet(1, introduction()[:20]),
        b"GET / HTTP/1.0\r\n\r\n",
    ],
)
def test_what_no_server_would_understand_does_not_reach_it(said: bytes) -> None:
    class Garbler(BookClient):
        def hear(self, data: bytes) -> bytes:
            return said

    meeting = Meeting(Garbler([]), BookServer())
    result = meeting.hold()
    assert isinstance(result, Denied)
    assert result.refusal is Refusal.GARBLED
    assert meeting.server.introduced == [PROBE_USER]
    words = told(meeting.wire, meeting.hello, result.refusal)
    packet = mysql.read_answer(words)
    assert packet is not None
    assert packet.sequence == meeting.hello.exchanged
    assert mysql.read_error(packet.payload).code == mysql.BAD_HANDSHAKE


def test_a_packet_that_never_ends_is_not_waited_for() -> None:
    class Endless(BookClient):
        def hear(self, data: bytes) -> bytes:
            return b"\xff\xff\xff\1" + bytes(20)

    meeting = Meeting(Endless([]), BookServer())
    assert isinstance(meeting.hold(), Denied)
    assert meeting.server.verdict == "denied"


@pytest.mark.parametrize("answered", [0, 1])
def test_a_server_that_breaks_off_is_told_of(answered: int) -> None:
    class Broken(BookServer):
        def _answer(self, payload: bytes) -> list[bytes]:
            return super()._answer(payload) if len(self.introduced) < answered else []

    meeting = Meeting(BookClient([introduction(ED25519), ANSWER]), Broken())
    result = meeting.hold()
    assert isinstance(result, NotOpened)
    assert result.signal is Signal.FALTERED
    packet = mysql.read_answer(told(meeting.wire, meeting.hello, Refusal.BROKEN_OFF))
    assert packet is not None
    assert packet.sequence == meeting.hello.exchanged == 2 + 2 * answered
    assert packet.payload.startswith(b"\xff\x1d\x04#08S01dbambassador: its server broke off (why)")


# Encryption, and what goes without


@pytest.mark.parametrize("exposed", [False, True])
@pytest.mark.parametrize("default", [NATIVE, CACHING_SHA2, CLEAR])
def test_a_clients_own_tls_is_passed_on_once_it_has_begun(default: str, exposed: bool) -> None:
    """Over a unix socket as well: there are clients that take TLS rather than its word."""
    ssl_request = introduction(capabilities=mysql.CLIENT_SSL)[:32]

    class Encrypting(BookClient):
        def hear(self, data: bytes) -> bytes:
            return mysql.packet(1, ssl_request) + b"\x16\x03\1"

    for sizes in ([CHUNK], [1], [36]):
        server = BookServer(default=default, tls=True)
        meeting = Meeting(Encrypting([]), server, exposed=exposed, sizes=(sizes, [CHUNK]))
        opened = meeting.hold()
        assert isinstance(opened, Opened)
        assert opened.seen == Seen(encrypted=True)
        assert meeting.server.asked_for_tls == ssl_request
        assert opened.to_server.startswith(mysql.packet(1, ssl_request) + b"\x16")


def test_tls_is_not_passed_on_to_a_server_that_has_none() -> None:
    """To that it would be a broken handshake."""
    client = BookClient([introduction(capabilities=mysql.CLIENT_SSL)[:32], b"a ClientHello"])
    meeting = Meeting(client, BookServer(tls=False))
    result = meeting.hold()
    assert isinstance(result, Denied)
    assert result.refusal is Refusal.GARBLED
    assert (meeting.server.introduced, meeting.server.verdict) == ([PROBE_USER], "denied")


def test_a_client_that_leaves_before_its_tls_has_begun_leaves_no_trace() -> None:
    client = BookClient([introduction(capabilities=mysql.CLIENT_SSL)[:32]])
    meeting = Meeting(client, BookServer(tls=True))
    assert isinstance(meeting.hold(), Left)
    assert (meeting.server.introduced, meeting.server.verdict) == ([PROBE_USER], "denied")


def test_with_tls_switched_off_clients_are_not_offered_any() -> None:
    wire = MysqlWire(passes_tls=False)
    meeting = Meeting(BookClient([introduction()]), BookServer(tls=True), wire)
    assert isinstance(meeting.hold(), Opened)
    greeting = mysql.read_greeting(meeting.client.told[0])
    assert isinstance(greeting, mysql.Greeting)
    assert not greeting.tls
    stubborn = BookClient([introduction(capabilities=mysql.CLIENT_SSL)[:32]])
    meeting = Meeting(stubborn, BookServer(tls=True), wire)
    result = meeting.hold()
    assert isinstance(result, Denied)
    assert result.refusal is Refusal.GARBLED
    assert meeting.server.verdict == "denied"


@pytest.mark.parametrize("plugin", [CACHING_SHA2, CLEAR])
@pytest.mark.parametrize("offered", [NATIVE, CACHING_SHA2])
def test_no_password_of_a_unix_socket_goes_over_the_network_in_clear(plugin: str, offered: str) -> None:
    """Neither to a server that asks for it at first, nor to one that asks for an account's plugin."""
    client = BookClient([introduction(offered), PASSWORD, PASSWORD])
    meeting = Meeting(client, BookServer(plugin, default=offered), exposed=True)
    result = meeting.hold()
    assert isinstance(result, Denied)
    assert result.refusal is Refusal.UNSAFE
    assert (plugin if offered == NATIVE else offered) in result.why
    assert meeting.server.verdict == "denied"
    assert PASSWORD not in meeting.server.answers
    packet = mysql.read_answer(told(meeting.wire, meeting.hello, result.refusal))
    assert packet is not None
    assert packet.sequence == meeting.hello.exchanged


@pytest.mark.parametrize("plugin", [CLEAR, SHA256, "dialog"])
def test_nor_does_one_that_a_client_says_unasked(plugin: str) -> None:
    meeting = Meeting(BookClient([introduction(plugin)]), BookServer(), exposed=True)
    result = meeting.hold()
    assert isinstance(result, Denied)
    assert plugin in result.why
    assert (meeting.server.introduced, meeting.server.verdict) == ([PROBE_USER], "denied")


@pytest.mark.parametrize("cached", [True, False])
def test_whether_a_client_gets_in_is_no_matter_of_a_cache(cached: bool) -> None:
    """It would get in until the next failover."""
    client = BookClient([introduction(CACHING_SHA2), PASSWORD])
    meeting = Meeting(client, BookServer(CACHING_SHA2, cached=cached), exposed=True)
    assert isinstance(meeting.hold(), Denied)
    assert (meeting.server.introduced, meeting.server.verdict) == ([PROBE_USER], "denied")


def test_a_hash_of_a_password_of_a_unix_socket_may_go_over_the_network() -> None:
    meeting = Meeting(BookClient([introduction()]), BookServer(), exposed=True)
    assert isinstance(meeting.hold(), Opened)
    assert meeting.server.verdict == "in"


# Encryption for clients that have none


@pytest.fixture(scope="module")
def encryption(tmp_path_factory: pytest.TempPathFactory) -> Encryption:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    CA.cert_pem.write_to_path(str(path))
    return Encryption(Tls(mode=SslMode.VERIFY_FULL, rootcert=str(path)))


KEY = PasswordKey()
SALTS = {True: b"12345678123456789012", False: bytes(range(1, 21))}
"""The server's: in its greeting, and with its wish for another plugin."""


def encrypting(encryption: Encryption, client: BookClient, server: BookServer, **more: Any) -> Meeting:
    server.tls = True
    encrypted = EncryptedServer(server, SERVER)
    return Meeting(client, server, MysqlWire(encryption, KEY), encrypted=encrypted, **more)


class WithoutTls(BookClient):
    """Asks for a key to encrypt its password with, as clients without TLS do."""

    def __init__(self, plugin: str, offered: str, password: bytes = PASSWORD, mask: bytes | None = None):
        super().__init__([introduction(offered)])
        self.plugin, self.password = plugin, password
        self.mask = SALTS[plugin == offered] if mask is None else mask
        if plugin != offered:
            self.script.append(ANSWER if plugin == CACHING_SHA2 else KEY_WANTED[plugin])
        if plugin == CACHING_SHA2:
            self.script.append(KEY_WANTED[plugin])
        self.script.append(b"encrypted")

    def hear(self, data: bytes) -> bytes:
        if b"END PUBLIC KEY" in data:
            pem = data[data.index(b"-----BEGIN") :]
            key = serialization.load_pem_public_key(pem)
            assert isinstance(key, rsa.RSAPublicKey)
            masked = unmasked(self.password, self.mask)
            way = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
            self.script[0] = key.encrypt(masked, way)
        return super().hear(data)


@pytest.mark.parametrize("plugin", [*PLUGINS, CLEAR])
@pytest.mark.parametrize("offered", [NATIVE, CACHING_SHA2])
@given(client=SIZES, server=SIZES)
def test_a_client_without_tls_gets_in_at_a_server_with_it(
    encryption: Encryption, plugin: str, offered: str, client: list[int], server: list[int]
) -> None:
    answers = [] if offered == plugin else [{**RIGHT, CLEAR: PASSWORD}[plugin]]
    book = BookServer(plugin, default=offered, cached=True)
    meeting = encrypting(
        encryption, BookClient([introduction(offered), *answers]), book, sizes=(client, server)
    )
    opened = meeting.hold()
    assert isinstance(opened, Opened)
    assert opened.tls is not None
    assert (book.verdict, book.introduced) == ("in", [USER])
    assert opened.to_client.endswith(mysql.packet(opened.to_client[-len(OK) - 1], OK))
    assert meeting.encrypted is not None
    assert len(meeting.encrypted.in_clear) == SSL_REQUEST
    assert USER.encode() not in meeting.encrypted.in_clear
    greeting = mysql.read_greeting(meeting.client.told[0])
    assert isinstance(greeting, mysql.Greeting)
    assert not greeting.tls


@pytest.mark.parametrize(
    ("plugin", "offered"), [(CACHING_SHA2, CACHING_SHA2), (CACHING_SHA2, NATIVE), (SHA256, NATIVE)]
)
@given(client=SIZES, server=SIZES)
@settings(max_examples=20)
def test_a_password_is_encrypted_for_the_ambassador_and_goes_on_in_tls(
    encryption: Encryption, plugin: str, offered: str, client: list[int], server: list[int]
) -> None:
    book = BookServer(plugin, default=offered)
    meeting = encrypting(encryption, WithoutTls(plugin, offered), book, sizes=(client, server))
    assert isinstance(meeting.hold(), Opened)
    assert (book.verdict, book.answers[-1]) == ("in", PASSWORD)


def test_a_client_that_takes_its_way_to_us_for_safe_sends_its_password_as_it_is(
    encryption: Encryption,
) -> None:
    book = BookServer(CACHING_SHA2, default=CACHING_SHA2)
    meeting = encrypting(encryption, BookClient([introduction(CACHING_SHA2), PASSWORD]), book)
    assert isinstance(meeting.hold(), Opened)
    assert book.verdict == "in"


@pytest.mark.parametrize(
    "client",
    [
        WithoutTls(CACHING_SHA2, NATIVE, mask=b"another challenge!!!"),
        WithoutTls(CACHING_SHA2, NATIVE, password=b"no final NUL"),
        BookClient([introduction(NATIVE), ANSWER, b"\2", bytes(256)]),
        BookClient([introduction(NATIVE), ANSWER, b"\2", b""]),
        BookClient([introduction(NATIVE), ANSWER, b"\2", b"short"]),
        BookClient([introduction(NATIVE), ANSWER, bytes(255) + b"\1"]),
        BookClient([introduction(NATIVE), ANSWER, b"\xff" * 255 + b"\0"]),
    ],
    ids=["another challenge", "no NUL", "zeros", "nothing", "too short", "another key", "another's NUL"],
)
def test_what_is_not_encrypted_for_the_ambassador_goes_nowhere(
    encryption: Encryption, client: BookClient
) -> None:
    book = BookServer(CACHING_SHA2)
    meeting = encrypting(encryption, client, book)
    result = meeting.hold()
    assert isinstance(result, Denied)
    assert result.refusal is Refusal.GARBLED
    assert book.verdict == "denied"
    assert book.answers[-1] == b"\0"


@pytest.mark.parametrize("said", range(4))
@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_client_that_leaves_is_no_aborted_handshake_in_tls_either(
    encryption: Encryption, plugin: str, said: int
) -> None:
    offered = CACHING_SHA2 if plugin == NATIVE else NATIVE
    book = BookServer(plugin, default=offered)
    script = [introduction(offered), RIGHT[plugin], b"\2", b""][:said]
    result = encrypting(encryption, BookClient(script), book).hold()
    assert isinstance(result, Left | Opened)
    assert book.verdict in ("in", "denied")


def test_nothing_but_a_strangers_name_goes_to_a_server_without_tls(encryption: Encryption) -> None:
    book = BookServer()
    meeting = Meeting(BookClient([introduction()]), book, MysqlWire(encryption, KEY))
    result = meeting.hold()
    assert isinstance(result, NotOpened)
    assert result.signal is Signal.FALTERED
    assert "sslmode" in result.detail
    assert (book.introduced, book.verdict) == ([PROBE_USER], "denied")
    assert meeting.hello.exchanged == 0


def test_what_is_said_before_tls_is_not_taken_for_said_in_it(encryption: Encryption) -> None:
    """As CVE-2021-23222 of PostgreSQL: somebody on the way could ask the client for something."""
    asked = b"\xfemysql_clear_password\0"

    class Prompted(BookServer):
        def begin(self) -> bytes:
            return super().begin() + mysql.packet(2, asked)

    book = Prompted()
    meeting = encrypting(encryption, BookClient([introduction(), PASSWORD]), book)
    result = meeting.hold()
    assert isinstance(result, NotOpened)
    assert (meeting.client.told, book.introduced) == ([], [])


def test_nothing_goes_to_a_server_whose_certificate_is_somebody_elses(encryption: Encryption) -> None:
    book = BookServer(tls=True)
    other = server_context(CA.issue_cert("elsewhere.test"))
    encrypted = EncryptedServer(book, other)
    meeting = Meeting(BookClient([introduction()]), book, MysqlWire(encryption, KEY), encrypted=encrypted)
    result = meeting.hold()
    assert isinstance(result, NotOpened)
    assert "its certificate is not for db.test" in result.detail
    assert book.introduced == []
    assert meeting.hello.exchanged == 2
