"""Watches a PostgreSQL server's startup reply on its way to the client: cancel key and role.

The reply after authentication is ParameterStatus…, BackendKeyData, ReadyForQuery. Everything before
AuthenticationOk passes at once, since the client must answer it; what comes after can be held back until the
role is known, so that a standby's reply can be replaced by an error while the client has seen no success.
`in_hot_standby` and `default_transaction_read_only` are reported since PostgreSQL 14, in no certain order;
older servers report neither and are taken as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

from dbambassador.protocols.postgresql import read_error

MAX_STARTUP_REPLY = 64 * 1024
"""A startup reply is about 400 bytes; past this the tap gives up and lets everything through."""

_AUTHENTICATION_OK = b"\0\0\0\0"
_AUTHENTICATION_SASL = b"\0\0\0\x0a"
_EXPECTED = frozenset(b"RSNvKEZ")


@dataclass(frozen=True, slots=True)
class Passage:
    """What the tap makes of some bytes from the server."""

    forward: bytes = b""
    done: bool = False
    """The startup is over, or is none that we understand: the tap must see nothing more."""
    key: bytes | None = None
    """Process id and secret that a cancel request will carry."""
    standby: bool | None = None
    """Whether the server is a hot standby; None: it did not say."""
    read_only: bool | None = None
    """Whether transactions of this session are read-only by default; None: it did not say."""
    welcome: bool = False
    """`forward` holds everything from AuthenticationOk on, and the caller may replace it."""
    error: str | None = None
    """SQLSTATE of the error that ended the startup."""


class StartupTap:
    """A machine for one connection: `feed` it the server's bytes in order until a passage is `done`."""

    def __init__(self, *, hold_back: bool, bind_channels: bool = True) -> None:
        """
        Args:
          hold_back: keep what follows AuthenticationOk until the welcome is complete.
          bind_channels: the client may have SCRAM bind to its TLS. Where only the server's side is encrypted,
            libpq refuses to go on when that is so much as offered.
        """
        self._hold_back = hold_back
        self._bind_channels = bind_channels
        self._buffer = b""
        self._held: list[bytes] = []
        self._holding = False
        self._seen = 0
        self._key: bytes | None = None
        self._standby: bool | None = None
        self._read_only: bool | None = None
        self._error: str | None = None

    def feed(self, data: bytes) -> Passage:
        self._seen += len(data)
        self._buffer += data
        forward: list[bytes] = []
        while (message := self._next_message()) is not None:
            over = self._observe(message)
            if not self._bind_channels:
                message = without_channel_binding(message)
            (self._held if self._holding else forward).append(message)
            if over:
                return self._finish(forward)
        if self._seen > MAX_STARTUP_REPLY or self._lost:
            return self._finish(forward)
        return Passage(b"".join(forward))

    @property
    def _lost(self) -> bool:
        """The next message is none of a startup, so neither would its length be."""
        buffer = self._buffer
        return bool(buffer) and (
            buffer[0] not in _EXPECTED or (len(buffer) >= 5 and int.from_bytes(buffer[1:5], "big") < 4)
        )

    def _next_message(self) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < 5 or self._lost:
            return None
        end = 1 + int.from_bytes(buffer[1:5], "big")
        if len(buffer) < end:
            return None
        self._buffer = buffer[end:]
        return buffer[:end]

    def _observe(self, message: bytes) -> bool:
        """Learns from one message; true when it ends the startup."""
        kind, body = message[:1], message[5:]
        if kind == b"R" and body == _AUTHENTICATION_OK:
            self._holding = self._hold_back
        elif kind == b"S" and body.startswith(b"in_hot_standby\0"):
            self._standby = body == b"in_hot_standby\0on\0"
        elif kind == b"S" and body.startswith(b"default_transaction_read_only\0"):
            self._read_only = body == b"default_transaction_read_only\0on\0"
        elif kind == b"K":
            self._key = body
        elif kind == b"E":
            self._error = read_error(body).sqlstate
        return kind in (b"E", b"Z")

    def _finish(self, forward: list[bytes]) -> Passage:
        rest, self._buffer = self._buffer, b""
        everything = b"".join([*forward, *self._held, rest])
        return Passage(
            everything,
            True,
            key=self._key,
            standby=self._standby,
            read_only=self._read_only,
            welcome=self._holding and self._error is None,
            error=self._error,
        )


def without_channel_binding(message: bytes) -> bytes:
    """An AuthenticationSASL without the mechanisms that bind to TLS; any other message as it is.

    https://www.postgresql.org/docs/current/sasl-authentication.html
    """
    if message[:1] != b"R" or message[5:9] != _AUTHENTICATION_SASL:
        return message
    mechanisms = [name for name in message[9:].split(b"\0") if name and not name.endswith(b"-PLUS")]
    body = _AUTHENTICATION_SASL + b"".join(name + b"\0" for name in mechanisms) + b"\0"
    return b"R" + (4 + len(body)).to_bytes(4, "big") + body
