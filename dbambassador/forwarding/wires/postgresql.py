"""PostgreSQL: the client speaks first, may ask for encryption, and reads errors only after its startup."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from dbambassador.events import Refusal
from dbambassador.forwarding.relay.engine import Tapped
from dbambassador.forwarding.wires import wire
from dbambassador.forwarding.wires.conversation import Ask, Conversation, Party
from dbambassador.forwarding.wires.encrypted import handshake, secured
from dbambassador.forwarding.wires.wire import (
    Cancel,
    Denied,
    Greeting,
    Hello,
    Left,
    NotOpened,
    Opened,
    Request,
    Seen,
)
from dbambassador.health.evidence import Role, Signal
from dbambassador.health.roles import fits, session_fits, told_by_session
from dbambassador.protocols.malformed import Malformed
from dbambassador.protocols.postgresql import (
    CANNOT_CONNECT_NOW,
    ENCRYPTION_REQUEST,
    TOO_MANY_CONNECTIONS,
    Kind,
    Opening,
    error_response,
    read_error,
    read_opening,
    read_reply,
    startup_parameters,
    why_not_encrypted,
)
from dbambassador.protocols.postgresql_tap import StartupTap
from dbambassador.settings.schema import TargetSessionAttrs
from dbambassador.transport.tls_failures import NO_TLS, TlsFailed, no_tls
from dbambassador.transport.tls_files import ALPN, FOREIGN_TLS, Encryption

_ENCRYPTION = (Kind.SSL, Kind.GSSENC)
_ANSWERS = (b"S", b"G", b"N", b"E")
"""First bytes of a server's answer to a request for encryption."""
_LEAST_HELLO = 50
"""Bytes of the shortest ClientHello, with its record's header (RFC 5246, 7.4.1.2; RFC 8446, 5.1). No first
token of GSSAPI is as short."""
_SQLSTATES = {Refusal.TOO_MANY: TOO_MANY_CONNECTIONS, Refusal.NO_DESCRIPTORS: TOO_MANY_CONNECTIONS}


class PostgresqlWire:
    """Replaces the welcome of a server in the wrong role by an error: the client has seen none of it yet."""

    opaque = False
    resets_unopened = False

    def __init__(self, encryption: Encryption | None = None, *, passes_tls: bool = True) -> None:
        """
        Args:
          encryption: the server's side is encrypted here, and the client's is not.
          passes_tls: otherwise, a client may have TLS with the server.
        """
        self.encryption = encryption
        self._passes_tls = passes_tls and encryption is None

    def hello(self) -> Greeting:
        hello = Hello()
        # Where clients have no encryption with a server, they need not wait for one to be told so: what comes
        # next may be a cancel request.
        opening = yield from (_opening_of(hello) if self._passes_tls else _startup_of(hello))
        return hello if isinstance(opening, Opening) else opening

    def open(self, hello: Hello, request: Request) -> wire.Opening:
        return self._pass_on(hello, request) if self._passes_tls else self._open_plain(hello, request)

    def _open_plain(self, hello: Hello, request: Request) -> wire.Opening:
        """The client's side is plain, and the server's as the settings have it."""
        opening = yield from _startup_of(hello)
        if not isinstance(opening, Opening):
            return opening
        if opening.kind is Kind.DIRECT_TLS:
            return Left("it began TLS, which it does not get here: see sslmode", Refusal.NO_TLS)
        if self.encryption is None:
            return (yield from _start(hello, request))
        return (yield from _start_encrypted(self.encryption, hello, request))

    def _pass_on(self, hello: Hello, request: Request) -> wire.Opening:
        """The client has whatever encryption it agrees on with the server."""
        refused: set[Kind] = set()
        opening = yield from _opening_of(hello)
        while isinstance(opening, Opening) and opening.kind in _ENCRYPTION:
            answered = yield Ask(Party.SERVER, opening.packet, 1)
            answer = answered.data
            if not answer:
                return NotOpened(Signal.FALTERED, answered.reason)
            if answer not in _ANSWERS:
                return NotOpened(
                    Signal.FALTERED, f"not a PostgreSQL server (its answer begins with {answer!r})"
                )
            if answer != b"N":  # encrypted from here on, or an error of a server that knows no encryption
                if answer == b"E":
                    return Opened(to_client=answer)
                return Opened(to_client=answer, seen=Seen(encrypted=True), owed=_LEAST_HELLO)
            opening = yield from _tell_no(hello, opening.kind, refused)
        if not isinstance(opening, Opening):
            return opening
        if opening.kind is Kind.DIRECT_TLS:
            return Opened(to_server=opening.packet, tap=partial(_encrypted, request), owed=_LEAST_HELLO)
        return (yield from _start(hello, request))

    def identify(self, hello: Hello) -> Conversation[bytes | Cancel | Left]:
        """User and database. A client that asks for encryption is told that there is none, for encrypted it
        would not tell them."""
        opening = yield from _startup_of(hello)
        if not isinstance(opening, Opening):
            return opening
        if opening.kind is Kind.DIRECT_TLS:
            return b""
        try:
            parameters = startup_parameters(opening.packet)
        except Malformed as malformed:
            return Left(str(malformed), garbled=True)
        return parameters.get("user", b"") + b"\0" + parameters.get("database", b"")

    def last_words(self, hello: Hello, refusal: Refusal, why: str) -> Conversation[bytes | Cancel]:
        # An error in place of the answer to a request for encryption would lose its SQLSTATE, and libpq would
        # not try its next host.
        opening = yield from _startup_of(hello, None)
        if isinstance(opening, Cancel):
            return opening
        if isinstance(opening, Left) or opening.kind is not Kind.STARTUP:
            return b""
        sqlstate = _SQLSTATES.get(refusal, CANNOT_CONNECT_NOW)
        return error_response(sqlstate, f"dbambassador: {refusal.value}", why)


def _start_encrypted(
    encryption: Encryption, hello: Hello, request: Request
) -> Conversation[Opened | NotOpened | Denied]:
    try:
        tls = encryption.begin(request.host)
    except TlsFailed as failed:
        return NotOpened(Signal.FALTERED, str(failed))
    if not encryption.direct:
        # One byte and no more: what follows must be encrypted (CVE-2021-23222).
        answered = yield Ask(Party.SERVER, ENCRYPTION_REQUEST, 1)
        if answered.data == b"N":
            return NotOpened(Signal.FALTERED, no_tls(NO_TLS))
        if answered.data != b"S":
            return NotOpened(Signal.FALTERED, why_not_encrypted(answered.data) or answered.reason)
    failure = yield from handshake(tls)
    if not failure and encryption.direct and tls.alpn != ALPN:
        failure = FOREIGN_TLS
    if failure:
        return NotOpened(Signal.FALTERED, failure)
    opened = yield from secured(_start(hello, request, encrypted=True), tls)
    return replace(opened, tls=tls) if isinstance(opened, Opened) else opened


def _start(
    hello: Hello, request: Request, *, encrypted: bool = False
) -> Conversation[Opened | NotOpened | Denied]:
    """Sends the startup packet and reads the server's first message.

    Args:
      encrypted: the server's side is, unlike the client's.
    """
    data = b""
    heard = yield Ask(Party.SERVER, hello.data)
    while heard.data:
        data += heard.data
        try:
            reply = read_reply(data)
        except Malformed as malformed:
            return NotOpened(Signal.FALTERED, str(malformed))
        if reply is not None:
            return _welcome(data, reply, request, encrypted)
        heard = yield Ask(Party.SERVER)
    return NotOpened(Signal.FALTERED, heard.reason)


def _welcome(
    data: bytes, reply: tuple[bytes, bytes], request: Request, encrypted: bool
) -> Opened | NotOpened | Denied:
    kind, body = reply
    if kind == b"E":
        error = read_error(body)
        if error.sqlstate == CANNOT_CONNECT_NOW:
            return NotOpened(Signal.NOT_READY, error.message)
        return Opened(to_client=data, seen=Seen(rejected=True))
    tap = _Tap(request, encrypted)
    first, seen = tap.look(data)
    tap.wanted = request.at_last
    if first.refuse and tap.only_this_session:
        return Denied(_why_not_this_session(request.wanted), Refusal.ROLE, seen)
    if first.refuse:
        return NotOpened(Signal.SERVED, "in another role", seen)
    return Opened(to_client=first.forward, tap=None if first.done else tap, seen=seen)


class _Tap:
    """A startup tap that tells its witness and turns a server in the wrong role away."""

    def __init__(self, request: Request, encrypted: bool) -> None:
        self._tap = StartupTap(
            hold_back=request.wanted is not TargetSessionAttrs.ANY, bind_channels=not encrypted
        )
        self._witness = request.witness
        self.wanted = request.wanted
        self.only_this_session = False
        """The server would do for others: the read-only default is this session's own."""

    def __call__(self, data: bytes) -> Tapped:
        tapped, seen = self.look(data)
        if seen is None:
            return tapped
        return Tapped(tapped.forward, tapped.done, tapped.refuse, partial(self._witness, seen))

    def look(self, data: bytes) -> tuple[Tapped, Seen | None]:
        """What becomes of some bytes, and what they told."""
        passage = self._tap.feed(data)
        if not passage.done:
            return Tapped(passage.forward), None
        told, wanted = (passage.standby, passage.read_only), self.wanted
        role = told_by_session(*told, wanted)
        seen = Seen(passage.key, role, rejected=passage.error is not None)
        if passage.welcome and not session_fits(*told, wanted):
            self.only_this_session = fits(role, wanted)
            return Tapped(_refusal_of_role(role, wanted), True, True), seen
        return Tapped(passage.forward, True), seen


def _refusal_of_role(role: Role, wanted: TargetSessionAttrs) -> bytes:
    fit = fits(role, wanted)
    why = _why_not_this_session(wanted) if fit else _why_not(f"it is a {role.value}", wanted)
    return error_response(CANNOT_CONNECT_NOW, f"dbambassador: {Refusal.ROLE.value}", why)


def _why_not_this_session(wanted: TargetSessionAttrs) -> str:
    return _why_not("this session is read-only by default", wanted)


def _why_not(what: str, wanted: TargetSessionAttrs) -> str:
    return f"{what}, and the listener's target_session_attrs is {wanted.value}"


def _encrypted(request: Request, data: bytes) -> Tapped:
    return Tapped(data, done=True, tell=partial(request.witness, Seen(encrypted=True)))


def _opening_of(hello: Hello) -> Conversation[Opening | Cancel | Left]:
    """The packet that the client's hello begins with, once it is whole."""
    while True:
        try:
            opening = read_opening(hello.data)
        except Malformed as malformed:
            return Left(str(malformed), garbled=True)
        if opening is not None:
            return _told_apart(opening)
        heard = yield Ask(Party.CLIENT)
        if not heard.data:
            return Left(heard.reason)
        hello.data += heard.data


def _told_apart(opening: Opening) -> Opening | Cancel | Left:
    if opening.kind is Kind.CANCEL:
        return Cancel(opening.cancel_key, opening.packet)
    if opening.kind in _ENCRYPTION and opening.rest:
        # It would be taken for encrypted: CVE-2021-23214. PostgreSQL refuses it even after an `N`.
        return Left("sent data behind its encryption request", garbled=True)
    return opening


def _startup_of(
    hello: Hello, refusal: Refusal | None = Refusal.NO_TLS
) -> Conversation[Opening | Cancel | Left]:
    """The same, if need be after telling the client that there is no encryption.

    Args:
      refusal: of a client that leaves then.
    """
    refused: set[Kind] = set()
    opening = yield from _opening_of(hello)
    while isinstance(opening, Opening) and opening.kind in _ENCRYPTION:
        opening = yield from _tell_no(hello, opening.kind, refused, refusal)
    return opening


def _tell_no(
    hello: Hello, encryption: Kind, refused: set[Kind], refusal: Refusal | None = None
) -> Conversation[Opening | Cancel | Left]:
    """Refuses an encryption, and reads what the client asks next. Each of the two may be asked for once.

    Args:
      refused: those that were, before.
      refusal: of a client that leaves then, if it was TLS.
    """
    refused.add(encryption)

    def told() -> None:
        hello.data = b""  # not before: if the attempt is cut short, the next one owes the client the answer

    heard = yield Ask(Party.CLIENT, b"N", told=told)
    if not heard.data:
        return Left(heard.reason, refusal if encryption is Kind.SSL else None)
    hello.data = heard.data
    opening = yield from _opening_of(hello)
    if isinstance(opening, Opening) and opening.kind in refused:
        return Left(f"sent its {opening.kind.value} again", garbled=True)
    return opening
