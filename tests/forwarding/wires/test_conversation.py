"""Conversations without sockets: however the bytes come, and whatever they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dbambassador.events import Refusal
from dbambassador.forwarding.wires.conversation import (
    CHUNK,
    Ask,
    Conversation,
    Done,
    Heard,
    Party,
    Pending,
    answer,
    at_once,
    begin,
    silence,
)
from dbambassador.forwarding.wires.mysql import MysqlWire
from dbambassador.forwarding.wires.postgresql import PostgresqlWire
from dbambassador.forwarding.wires.wire import (
    Cancel,
    Denied,
    Hello,
    Left,
    NotOpened,
    Opened,
    Request,
    Seen,
    TcpWire,
    Wire,
)
from dbambassador.health.evidence import Role, Signal
from dbambassador.protocols.mysql import packet
from dbambassador.protocols.postgresql import error_response
from dbambassador.settings.schema import TargetSessionAttrs
from tests.forwarding.scene import (
    AUTHENTICATION_OK,
    GREETING,
    GSSENC_REQUEST,
    KEY,
    SSL_REQUEST,
    STARTUP,
    WELCOME,
    welcome_of,
)

T = TypeVar("T")

WIRES: dict[str, Wire] = {"tcp": TcpWire(), "mysql": MysqlWire(), "postgresql": PostgresqlWire()}
NEGOTIATION = b"v\0\0\0\x0c" + bytes(8)
"""NegotiateProtocolVersion: 3.0, and no option that is unknown."""
CANCEL_REQUEST = (16).to_bytes(4, "big") + (80877102).to_bytes(4, "big") + KEY
MOST_HEARD = 128 * 1024
"""Bytes of one party after which every conversation has made up its mind."""


@dataclass
class Side:
    """A party that says what it has to say in pieces of the given sizes, again and again, and then leaves."""

    words: bytes
    sizes: list[int]
    told: bytes = b""
    """What was said to it."""
    turn: int = 0

    def hear(self, limit: int) -> Heard:
        size = min(limit, self.sizes[self.turn % len(self.sizes)])
        self.turn += 1
        data, self.words = self.words[:size], self.words[size:]
        return Heard(data)


class Dialogue(Side):
    """A client that says its next sentence once it was told something."""

    def __init__(self, sentences: list[bytes], sizes: list[int]) -> None:
        super().__init__(sentences[0], sizes)
        self._sentences = sentences[1:]
        self._answers = 0

    def hear(self, limit: int) -> Heard:
        if not self.words and len(self.told) > self._answers:
            self._answers = len(self.told)
            self.words = self._sentences.pop(0)
        return super().hear(limit)


@dataclass
class Parties:
    client: Side
    server: Side = field(default_factory=lambda: Side(b"", [1]))

    def __getitem__(self, party: Party) -> Side:
        return self.client if party is Party.CLIENT else self.server


def hold(conversation: Conversation[T], parties: Parties, *, steps: int = 1_000_000) -> T | None:
    """Holds a conversation to its end, or until it was given so many answers: then None."""
    said = begin(conversation)
    while isinstance(said, Pending):
        parties[said.ask.party].told += said.ask.say
        if said.ask.told is not None:
            said.ask.told()
        if not steps:
            return None
        steps -= 1
        assert 0 < said.ask.limit <= CHUNK
        said = answer(said, parties[said.ask.party].hear(said.ask.limit))
    return said.result


def request(wanted: TargetSessionAttrs = TargetSessionAttrs.ANY, seen: list[Seen] | None = None) -> Request:
    return Request("db.test", wanted, wanted, (seen if seen is not None else []).append)


def pass_on(opened: Opened, parties: Parties) -> None:
    """Carries what is left, as an engine does."""
    parties.server.told += opened.to_server + parties.client.words
    parties.client.told += opened.to_client
    tap = opened.tap
    while parties.server.words:
        data = parties.server.hear(CHUNK).data
        if tap is None:
            parties.client.told += data
            continue
        tapped = tap(data)
        parties.client.told += tapped.forward
        if tapped.tell is not None:
            tapped.tell()
        if tapped.refuse:
            return
        if tapped.done:
            tap = None


SIZES = st.lists(st.integers(1, 30), min_size=1, max_size=8)
ENCRYPTION = st.lists(st.sampled_from([SSL_REQUEST, GSSENC_REQUEST]), max_size=2, unique=True)


# The same, however it comes


@given(ENCRYPTION, SIZES, SIZES, st.sampled_from([TargetSessionAttrs.ANY, TargetSessionAttrs.READ_WRITE]))
def test_a_postgresql_session_is_opened_however_its_bytes_come(
    requests: list[bytes], client_sizes: list[int], server_sizes: list[int], wanted: TargetSessionAttrs
) -> None:
    no = b"N" * len(requests)
    welcome = welcome_of(standby=False)
    parties = Parties(Dialogue([*requests, STARTUP], client_sizes), Side(no + welcome, server_sizes))
    seen: list[Seen] = []
    wire = PostgresqlWire()
    hello = hold(wire.hello(), parties)
    assert isinstance(hello, Hello)
    assert parties.client.told == b""
    opened = hold(wire.open(hello, request(wanted, seen)), parties)
    assert isinstance(opened, Opened)
    pass_on(opened, parties)
    assert parties.client.told == no + welcome
    assert parties.server.told == b"".join(requests) + STARTUP
    told = [*seen, *([opened.seen] if opened.seen else [])]
    assert [(each.key, each.role, each.rejected) for each in told] == [(KEY, Role.PRIMARY, False)]


@pytest.mark.parametrize("said", [False, True])
def test_an_attempt_that_is_cut_short_with_its_no_unsaid_leaves_it_to_the_next(said: bool) -> None:
    """Without the answer to its request for encryption, a client would wait for it, and we for the client."""
    wire, hello = PostgresqlWire(), Hello(SSL_REQUEST)
    cut = begin(wire.open(hello, request()))
    assert isinstance(cut, Pending)
    cut = answer(cut, Heard(b"N"))
    assert isinstance(cut, Pending)
    assert (cut.ask.party, cut.ask.say) == (Party.CLIENT, b"N")
    if said:
        assert cut.ask.told is not None
        cut.ask.told()

    for conversation in (wire.open(hello, request()), wire.last_words(hello, Refusal.NO_TARGET, "")):
        now = begin(conversation)
        assert isinstance(now, Pending)
        if now.ask.party is Party.SERVER:
            now = answer(now, Heard(b"N"))
        assert isinstance(now, Pending)
        assert (now.ask.party, now.ask.say) == (Party.CLIENT, b"" if said else b"N")


@given(SIZES)
def test_a_server_in_the_wrong_role_is_never_heard_by_the_client(sizes: list[int]) -> None:
    parties = Parties(Side(STARTUP, [100]), Side(welcome_of(standby=True), sizes))
    wire, seen = PostgresqlWire(), list[Seen]()
    hello = hold(wire.hello(), parties)
    assert isinstance(hello, Hello)
    opened = hold(wire.open(hello, request(TargetSessionAttrs.READ_WRITE, seen)), parties)
    if isinstance(opened, Opened):  # its role came later
        pass_on(opened, parties)
        assert b"C57P03\0" in parties.client.told
        assert [each.role for each in seen] == [Role.STANDBY]
    else:
        assert isinstance(opened, NotOpened)
        assert opened.signal is Signal.SERVED
        assert opened.seen is not None
        assert opened.seen.role is Role.STANDBY
        assert parties.client.told == b""
    assert AUTHENTICATION_OK not in parties.client.told


@given(SIZES, SIZES)
def test_a_cancel_request_is_one_however_it_comes_and_even_after_a_no(
    client_sizes: list[int], server_sizes: list[int]
) -> None:
    wire = PostgresqlWire()
    expected = Cancel(KEY, CANCEL_REQUEST)
    assert hold(wire.hello(), Parties(Side(CANCEL_REQUEST, client_sizes))) == expected
    parties = Parties(Dialogue([SSL_REQUEST, CANCEL_REQUEST], client_sizes), Side(b"N", server_sizes))
    hello = hold(wire.hello(), parties)
    assert isinstance(hello, Hello)
    assert hold(wire.open(hello, request()), parties) == expected
    assert parties.server.told == SSL_REQUEST
    parties = Parties(Dialogue([SSL_REQUEST, CANCEL_REQUEST], client_sizes))
    assert hold(wire.last_words(Hello(), Refusal.TOO_MANY, ""), parties) == expected
    parties = Parties(Dialogue([SSL_REQUEST, CANCEL_REQUEST], client_sizes))
    assert hold(PostgresqlWire(passes_tls=False).hello(), parties) == expected


@pytest.mark.parametrize("encryption", [SSL_REQUEST, GSSENC_REQUEST])
@pytest.mark.parametrize("passes_tls", [True, False])
def test_what_is_sent_behind_a_request_for_encryption_is_refused_and_not_lost(
    encryption: bytes, passes_tls: bool
) -> None:
    """A client that does not wait for the answer would wait for ever, were the rest dropped."""
    wire, words = PostgresqlWire(passes_tls=passes_tls), encryption + STARTUP
    left = Left("sent data behind its encryption request", garbled=True)
    for hello in (Hello(), Hello(words)):
        parties = Parties(Side(words if not hello.data else b"", [CHUNK]), Side(b"N", [1]))
        for conversation in (wire.open(hello, request()), wire.identify(hello)):
            assert hold(conversation, parties) == left
        assert hold(wire.last_words(hello, Refusal.NO_TARGET, ""), parties) == b""
        assert parties.client.told == parties.server.told == b""
    assert hold(wire.hello(), Parties(Side(words, [CHUNK]))) == left


@pytest.mark.parametrize("again", [SSL_REQUEST, GSSENC_REQUEST])
@pytest.mark.parametrize("how", ["open", "identify", "last words"])
def test_a_client_that_asks_for_the_same_encryption_for_ever_is_left(again: bytes, how: str) -> None:
    wire = PostgresqlWire()
    requests = [SSL_REQUEST, GSSENC_REQUEST, again]
    parties = Parties(Dialogue(requests, [8]), Side(b"NN", [1]))
    hello = hold(wire.hello(), parties)
    assert isinstance(hello, Hello)
    if how == "last words":
        assert hold(wire.last_words(hello, Refusal.NO_TARGET, ""), parties) == b""
    else:
        left = hold(wire.open(hello, request()) if how == "open" else wire.identify(hello), parties)
        kind = "SSLRequest" if again == SSL_REQUEST else "GSSENCRequest"
        assert left == Left(f"sent its {kind} again", garbled=True)
    assert parties.client.told == b"NN"


@given(SIZES, st.binary(max_size=40))
def test_a_mysql_session_is_opened_however_its_greeting_comes(sizes: list[int], more: bytes) -> None:
    parties = Parties(Side(b"", [1]), Side(GREETING + more, sizes))
    wire = MysqlWire()
    assert isinstance(hold(wire.hello(), parties), Hello)
    opened = hold(wire.open(Hello(), request()), parties)
    assert isinstance(opened, Opened)
    pass_on(opened, parties)
    assert parties.client.told == GREETING + more
    assert parties.server.told == b""


NOT_READY: dict[str, tuple[Wire, bytes, bytes]] = {
    "postgresql": (PostgresqlWire(), STARTUP, error_response("57P03", "starting up")),
    "postgresql, which knows no newer protocol": (
        PostgresqlWire(),
        STARTUP,
        NEGOTIATION + error_response("57P03", "starting up"),
    ),
    "mysql": (MysqlWire(), b"", packet(0, b"\xff" + (1053).to_bytes(2, "little") + b"shutdown")),
}


@pytest.mark.parametrize("how", NOT_READY)
@given(sizes=SIZES)
def test_a_server_that_is_not_ready_is_known_however_it_says_so(how: str, sizes: list[int]) -> None:
    wire, said, error = NOT_READY[how]
    parties = Parties(Side(b"", [1]), Side(error, sizes))
    result = hold(wire.open(Hello(said), request()), parties)
    assert isinstance(result, NotOpened)
    assert result.signal is Signal.NOT_READY
    assert parties.client.told == b""


@given(SIZES)
def test_a_server_that_can_start_no_process_says_so_to_the_client_itself(sizes: list[int]) -> None:
    words = b"Ecould not fork new process for connection: Cannot allocate memory\n\0"
    parties = Parties(Side(b"", [1]), Side(words, sizes))
    opened = hold(PostgresqlWire().open(Hello(STARTUP), request(TargetSessionAttrs.READ_WRITE)), parties)
    assert isinstance(opened, Opened)
    assert opened.seen == Seen(rejected=True)
    pass_on(opened, parties)
    assert parties.client.told == words


LEAST_HELLO = 50
"""Bytes of the shortest ClientHello, with its record's header: RFC 5246 (7.4.1.2)."""


@given(SIZES)
def test_the_bytes_of_an_encrypted_session_are_not_read(sizes: list[int]) -> None:
    parties = Parties(Side(SSL_REQUEST, sizes), Side(b"S\x16\x03\x01", sizes))
    wire = PostgresqlWire()
    hello = hold(wire.hello(), parties)
    assert isinstance(hello, Hello)
    opened = hold(wire.open(hello, request()), parties)
    assert opened == Opened(to_client=b"S", seen=Seen(encrypted=True), owed=LEAST_HELLO)
    assert parties.server.words == b"\x16\x03\x01"


@given(ENCRYPTION, SIZES, SIZES, st.integers(0, 60))
@example([SSL_REQUEST], [8], [1], 1)
@example([SSL_REQUEST], [8], [1], 2)
def test_an_attempt_may_be_cut_short_anywhere_and_another_begun(
    requests: list[bytes], client_sizes: list[int], server_sizes: list[int], steps: int
) -> None:
    """The client is told each thing once, and each server what the client still wants of it."""
    wire = PostgresqlWire()
    parties = Parties(Dialogue([*requests, STARTUP], client_sizes))
    no = b"N" * len(requests)
    parties.server = Side(no, server_sizes)  # silent from then on, and given up
    hello = hold(wire.hello(), parties)
    assert isinstance(hello, Hello)
    hold(wire.open(hello, request()), parties, steps=steps)
    left = len(requests) - len(parties.client.told)
    parties.server = Side(b"N" * left + WELCOME, server_sizes)
    opened = hold(wire.open(hello, request()), parties)
    assert isinstance(opened, Opened)
    pass_on(opened, parties)
    assert parties.client.told == no + WELCOME
    assert parties.server.told == b"".join(requests[len(requests) - left :]) + STARTUP


@given(ENCRYPTION, SIZES, st.sampled_from(list(Refusal)))
def test_last_words_come_once_the_client_can_understand_them(
    requests: list[bytes], sizes: list[int], refusal: Refusal
) -> None:
    parties = Parties(Dialogue([*requests, STARTUP], sizes))
    wire = PostgresqlWire()
    hello = hold(wire.hello(), parties)
    assert isinstance(hello, Hello)
    words = hold(wire.last_words(hello, refusal, "why"), parties)
    assert isinstance(words, bytes)
    assert words.startswith(b"E")
    assert parties.client.told == b"N" * len(requests)
    assert parties.server.told == b""


# Whatever it is


DECLARED: dict[str, tuple[type, ...]] = {
    "hello": (Hello, Cancel, Left),
    "open": (Opened, NotOpened, Cancel, Left, Denied),
    "identify": (bytes, Cancel, Left),
    "last words": (bytes, Cancel),
}
SAID: dict[str, Callable[[Wire], Conversation[object]]] = {
    "hello": lambda wire: wire.hello(),
    "open": lambda wire: wire.open(Hello(), request()),
    "identify": lambda wire: wire.identify(Hello()),
    "last words": lambda wire: wire.last_words(Hello(), Refusal.NO_TARGET, "why"),
}
VALID = [SSL_REQUEST, GSSENC_REQUEST, STARTUP, CANCEL_REQUEST, b"N", b"S", b"\x16\x03", WELCOME, GREETING]


@st.composite
def nearly_right(draw: st.DrawFn) -> bytes:
    """Sequences of what is right, with some bytes that are not."""
    data = bytearray(b"".join(draw(st.lists(st.sampled_from(VALID), max_size=4))))
    for place, byte in draw(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=4)):
        if place < len(data):
            data[place] = byte
    return bytes(data)


GARBAGE = st.one_of(st.binary(max_size=200), nearly_right())
WANTED = st.sampled_from(list(TargetSessionAttrs))


@pytest.mark.parametrize("what", SAID)
@pytest.mark.parametrize("protocol", WIRES)
@given(client=GARBAGE, server=GARBAGE, sizes=SIZES)
def test_garbage_ends_in_a_declared_result(
    protocol: str, what: str, client: bytes, server: bytes, sizes: list[int]
) -> None:
    parties = Parties(Side(client, sizes), Side(server, sizes))
    result = hold(SAID[what](WIRES[protocol]), parties)
    assert isinstance(result, DECLARED[what])


@pytest.mark.parametrize("protocol", WIRES)
@given(server=GARBAGE, sizes=SIZES, wanted=WANTED)
def test_a_servers_garbage_ends_in_a_declared_result_and_passes_its_tap(
    protocol: str, server: bytes, sizes: list[int], wanted: TargetSessionAttrs
) -> None:
    parties = Parties(Side(b"", sizes), Side(server, sizes))
    result = hold(WIRES[protocol].open(Hello(STARTUP), request(wanted)), parties)
    assert isinstance(result, DECLARED["open"])
    if isinstance(result, Opened):
        pass_on(result, parties)
        if wanted is TargetSessionAttrs.ANY:
            assert server.startswith(parties.client.told)


class Endless(Side):
    """A party that never stops."""

    heard = 0

    def hear(self, limit: int) -> Heard:
        size = min(limit, self.sizes[0])
        self.heard += size
        assert self.heard <= MOST_HEARD
        return Heard((self.words * (size // len(self.words) + 1))[:size])


@pytest.mark.parametrize("protocol", ["mysql", "postgresql"])
@given(words=st.binary(min_size=1, max_size=12), size=st.sampled_from([1000, CHUNK]))
def test_a_server_that_never_stops_is_not_heard_for_ever(protocol: str, words: bytes, size: int) -> None:
    parties = Parties(Side(b"", [1]), Endless(words, [size]))
    assert hold(WIRES[protocol].open(Hello(STARTUP), request()), parties) is not None


@given(words=st.binary(min_size=1, max_size=12), size=st.sampled_from([1000, CHUNK]))
def test_a_client_that_never_stops_is_not_heard_for_ever(words: bytes, size: int) -> None:
    assert hold(PostgresqlWire().hello(), Parties(Endless(words, [size]))) is not None


# The conversation itself


def test_a_conversation_waits_for_each_answer_in_its_turn() -> None:
    def ask_both() -> Conversation[bytes]:
        one = yield Ask(Party.CLIENT, b"one?")
        other = yield Ask(Party.SERVER, b"other?", 5)
        return one.data + other.data

    said = begin(ask_both())
    assert isinstance(said, Pending)
    assert said.ask == Ask(Party.CLIENT, b"one?", CHUNK)
    said = answer(said, Heard(b"1"))
    assert isinstance(said, Pending)
    assert said.ask == Ask(Party.SERVER, b"other?", 5)
    assert answer(said, Heard(b"2")) == Done(b"12")


def test_a_conversation_that_needs_nobody_is_over_at_once() -> None:
    assert begin(at_once(7)) == Done(7)


def test_silence_tells_for_how_long() -> None:
    assert silence(Party.CLIENT, 60) == Heard(b"", "said nothing for 60 s")
    assert silence(Party.SERVER, 10) == Heard(b"", "no answer in 10 s")
