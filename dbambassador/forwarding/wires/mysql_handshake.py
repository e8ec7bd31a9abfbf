"""MySQL's connection phase, from the greeting to the server's verdict.

It comes to an end at the server whatever becomes of the client: a connection that is closed in between is one
of the `max_connect_errors` that block this host, with everybody behind it. Access denied is none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from dbambassador.events import Refusal
from dbambassador.forwarding.wires.conversation import Ask, Conversation, Party
from dbambassador.forwarding.wires.encrypted import handshake, secured
from dbambassador.forwarding.wires.wire import Denied, Hello, Left, NotOpened, Opened, Opening, Seen
from dbambassador.health.evidence import Signal
from dbambassador.health.peer import PROBE_USER
from dbambassador.protocols import mysql, mysql_response
from dbambassador.protocols import mysql_authentication as authentication
from dbambassador.protocols.malformed import Malformed
from dbambassador.protocols.mysql_authentication import Kind, Step
from dbambassador.transport.tls import TlsEnd

ANSWER_WITHIN = 8.0
"""Seconds for each answer of a client. The server has 10 (connect_timeout); who runs into those counts."""
VERDICT_WITHIN = 60.0
"""Seconds for each answer of a server to a client's: it may ask a directory, or somebody's telephone."""
END_WITHIN = 3.0
"""Seconds for each answer of a server to whom only the end of the handshake is due."""
MOST_STEPS = 64
"""Packets of a server until it has decided. Each of three factors may have a plugin of its own, and one that
asks questions, as PAM's, has a few; a server that goes on and on would be listened to for ever."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A party that says nothing more, or nothing that can be understood."""

    reason: str
    garbled: bool = False


FOREIGN_KEY = Lost("the password is encrypted with a key that is not the ambassador's", garbled=True)


class Line:
    """The packets of one party. Each line has its own numbers: one may be told what the other is not."""

    def __init__(
        self, party: Party, heard: bytes = b"", sequence: int = 0, hello: Hello | None = None
    ) -> None:
        """`hello`: the client's, to be kept up to date."""
        self._party = party
        self._hello = hello
        self.heard = heard
        """What was heard and not taken yet."""
        self.unsaid = b""
        """What is to be said when something is to be heard, or by whoever comes after us."""
        self.sequence = sequence
        """The next packet's."""

    def say(self, payload: bytes) -> None:
        self.unsaid += mysql.packet(self.sequence, payload)
        self.sequence += 1

    def ask(self, find: Callable[[], bytes], within: float) -> Conversation[bytes | Lost]:
        """Says a payload that takes a while to find, and hears the next one."""
        said, sequence = self.unsaid, self.sequence
        self.unsaid, self.sequence = b"", sequence + 1

        def found() -> bytes:
            return mysql.packet(sequence, find())

        heard = yield Ask(self._party, said, find=found, told=self._note_question, within=within)
        if not heard.data:
            return Lost(heard.reason)
        self.heard += heard.data
        return (yield from self.hear(within))

    def hear(self, within: float) -> Conversation[bytes | Lost]:
        """The next packet's payload."""
        seconds: float | None = within
        while True:
            try:
                packet = mysql.read_answer(self.heard)
            except Malformed as malformed:
                return Lost(str(malformed), garbled=True)
            if packet is not None:
                self.heard = packet.rest
                self.sequence = packet.sequence + 1
                self._note(asked=False)
                return packet.payload
            said, self.unsaid = self.unsaid, b""
            heard = yield Ask(self._party, said, told=self._note_question, within=seconds)
            if not heard.data:
                return Lost(heard.reason)
            self.heard += heard.data
            self._note(asked=True)
            seconds = None  # for the rest of it there is only what is left

    def _note_question(self) -> None:
        self._note(asked=True)

    def _note(self, *, asked: bool) -> None:
        if self._hello is not None:
            self._hello.data, self._hello.exchanged, self._hello.asked = self.heard, self.sequence, asked


class Key(Protocol):
    """For clients without TLS to encrypt their password with, on its way to us."""

    def pem(self) -> bytes:
        """The public half. It may take a while."""
        ...

    def decrypt(self, encrypted: bytes) -> bytes | None:
        """None: it was not encrypted with that."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """What a session has to keep to."""

    passes_tls: bool = True
    """A client may have TLS with the server."""
    exposed: bool = False
    """No password may go to the server in clear."""
    tls: TlsEnd | None = None
    """The server's side is to be encrypted here."""
    key: Key | None = None
    """With `tls`."""


class Handshake:
    """One session's connection phase after the server's greeting."""

    def __init__(self, hello: Hello, first: mysql.Packet, greeting: mysql.Greeting) -> None:
        """
        Args:
          first: the packet that the greeting came in.
        """
        self._first = first.payload
        self._greeting = greeting
        self._plugin = greeting.plugin
        """Whose answer the server waits for."""
        self._salt = greeting.salt
        self._multi_factor = False
        self._introduced = False
        """The server has a response to its greeting."""
        self._client = Line(Party.CLIENT, hello=hello)
        self._server = Line(Party.SERVER, first.rest, sequence=first.sequence + 1)

    def run(self, terms: Terms) -> Opening:
        """Leads client and server through it."""
        greeting = self._first if terms.passes_tls else mysql.without_tls(self._first)
        response = yield from self._ask_client(greeting)
        if isinstance(response, Lost):
            return (yield from self._leave(response))
        if terms.passes_tls and self._greeting.tls and mysql_response.wants_tls(response):
            return (yield from self._pass_tls_on(response))
        try:
            if mysql_response.wants_tls(response):
                raise Malformed("asked for TLS, which it was not offered")
            read = mysql_response.read_response(response)
        except Malformed as malformed:
            return (yield from self._leave(Lost(str(malformed), garbled=True)))
        self._plugin = read.plugin
        if terms.exposed and read.plugin not in authentication.CHALLENGE_RESPONSE:
            yield from self.end()  # its answer is the password itself, or the next one may be
            return Denied(why_exposed(read.plugin))
        both = read.capabilities & self._greeting.capabilities
        self._multi_factor = bool(both & mysql.CLIENT_MULTI_FACTOR)
        if terms.tls is not None:
            return (yield from self._authenticate_in_tls(response, terms.tls, terms))
        self._introduce(response)
        return (yield from self._authenticate(terms))

    def end(self) -> Conversation[None]:
        """Ends the handshake at the server, without its client."""
        if self._introduced:
            self._server.say(authentication.wrong_answer(self._plugin))
        else:
            self._introduce(mysql.without_password(PROBE_USER, self._greeting.plugin))
        for _ in range(authentication.MOST_WRONG_ANSWERS):
            payload = yield from self._server.hear(END_WITHIN)
            step = authentication.read_step(payload) if isinstance(payload, bytes) else None
            if step is None or step.kind is Kind.ERROR:
                return
            if step.kind is Kind.OK:
                yield Ask(Party.SERVER, mysql.QUIT, within=END_WITHIN)
                return
            if step.kind is Kind.SWITCH:
                self._plugin = step.plugin
            if not authentication.more_follows(step, self._plugin):
                self._server.say(authentication.wrong_answer(self._plugin))

    def _authenticate_in_tls(self, response: bytes, tls: TlsEnd, terms: Terms) -> Opening:
        self._server.say(mysql_response.ssl_request(response))
        request, self._server.unsaid = self._server.unsaid, b""
        failure = yield from handshake(tls, request, Party.SERVER.value)
        if failure:
            return NotOpened(Signal.FALTERED, failure)
        self._introduce(mysql_response.with_tls(response))
        opened = yield from secured(self._authenticate(terms), tls)
        return replace(opened, tls=tls) if isinstance(opened, Opened) else opened

    def _authenticate(self, terms: Terms) -> Opening:
        for _ in range(MOST_STEPS):
            payload = yield from self._server.hear(VERDICT_WITHIN)
            if isinstance(payload, Lost):
                return NotOpened(Signal.FALTERED, f"{payload.reason} during authentication")
            step = authentication.read_step(payload, multi_factor=self._multi_factor)
            if step.kind is Kind.SWITCH:
                self._plugin, self._salt = step.plugin, step.data
            if terms.exposed and authentication.may_want_password(step, self._plugin):
                yield from self.end()
                return Denied(why_exposed(self._plugin))
            if step.kind in (Kind.OK, Kind.ERROR):
                self._client.say(payload)
                return self._opened(Seen(rejected=True) if step.kind is Kind.ERROR else None)
            if authentication.more_follows(step, self._plugin):
                self._client.say(payload)
                continue
            in_turns = terms.tls is not None or self._plugin in authentication.TAKING_TURNS
            if step.kind is Kind.DATA and not in_turns:
                self._client.say(payload)
                return self._opened()
            answer = yield from self._ask_client(payload)
            if terms.key is not None and isinstance(answer, bytes):
                answer = yield from self._in_clear(step, answer, terms.key)
            if isinstance(answer, Lost):
                return (yield from self._leave(answer))
            self._server.say(answer)
        return NotOpened(Signal.FALTERED, f"not decided after {MOST_STEPS} packets of authentication")

    def _in_clear(self, step: Step, answer: bytes, key: Key) -> Conversation[bytes | Lost]:
        """The password, for a server that wants it in clear since its connection is encrypted.

        The client's is not, and so it asks for a key to encrypt its password with."""
        if not authentication.wants_password(step, self._plugin):
            return answer
        if answer != authentication.KEY_WANTED[self._plugin]:
            return answer if authentication.in_clear(answer) else FOREIGN_KEY
        encrypted = yield from self._client.ask(lambda: b"\1" + key.pem(), ANSWER_WITHIN)
        if isinstance(encrypted, Lost):
            return encrypted
        password = authentication.unmasked(key.decrypt(encrypted) or b"", self._salt)
        return password if password.endswith(b"\0") else FOREIGN_KEY

    def _pass_tls_on(self, ssl_request: bytes) -> Opening:
        """The client's own TLS, end to end. A client that leaves before it has begun leaves no trace."""
        if not self._client.heard:
            heard = yield Ask(Party.CLIENT, within=ANSWER_WITHIN)
            if not heard.data:
                return (yield from self._leave(Lost(heard.reason)))
            self._client.heard = heard.data
        self._server.say(ssl_request)
        return self._opened(Seen(encrypted=True))

    def _ask_client(self, payload: bytes) -> Conversation[bytes | Lost]:
        self._client.say(payload)
        return (yield from self._client.hear(ANSWER_WITHIN))

    def _introduce(self, response: bytes) -> None:
        self._introduced = True
        self._server.say(response)

    def _leave(self, lost: Lost) -> Conversation[Left | Denied]:
        yield from self.end()
        if lost.garbled:
            return Denied(lost.reason, Refusal.GARBLED)
        return Left(lost.reason)

    def _opened(self, seen: Seen | None = None) -> Opened:
        """From here on bytes flow as they are."""
        client, server = self._client, self._server
        return Opened(server.unsaid + client.heard, client.unsaid + server.heard, seen=seen)


def error_in_turn(hello: Hello, code: int, text: str) -> Conversation[bytes]:
    """An error for a client whose server has greeted, once it can understand it. Empty: it has left.

    It begins with the hello as it is now: a departing conversation may still be noting things in it.
    """
    line = Line(Party.CLIENT, hello.data, hello.exchanged)
    if hello.asked:
        answer = yield from line.hear(ANSWER_WITHIN)
        if isinstance(answer, Lost) and not answer.garbled:
            return b""
    return mysql.error_in_handshake(line.sequence, code, text)


def why_exposed(plugin: str) -> str:
    return (
        f"the server's {plugin or 'authentication plugin'} would make this client send its "
        "password in clear over the network, since it takes a unix socket to be private; "
        "sslmode would encrypt it, and allow_cleartext_passwords let it go"
    )
