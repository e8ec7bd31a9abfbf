"""Watches a PostgreSQL server's startup reply on its way to the client: cancel key and role.

The reply after authentication is ParameterStatus…, BackendKeyData, ReadyForQuery. Everything before
AuthenticationOk passes at once, since the client must answer it; what comes after can be held back until the
role is known, so that a standby's reply can be replaced by an error while the client has seen no success.
`in_hot_standby` and `default_transaction_read_only` are reported since PostgreSQL 14, in no certain order;
older servers report neither and are taken as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from dbambassador.protocols.postgresql import read_error

MAX_STARTUP_REPLY = 64 * 1024
"""A startup reply is about 400 bytes; past this the tap gives up and lets everything through."""

_AUTHENTICATION_OK = b"\0\0\0\0"
_AUTHENTICATION_SASL = b"\0\0\0\x0a"
_TYPE_AND_LENGTH = Struct("!cI")
_EXPECTED = frozenset({b"R", b"S", b"N", b"v", b"K", b"E", b"Z"})
_LAST = frozenset({b"E", b"Z"})
_STANDBY = b"in_hot_standby\0"
_READ_ONLY = b"default_transaction_read_only\0"


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
        self._kept = b""
        """What has not passed: a welcome that is held back, and the beginning of a message."""
        self._read = 0
        """Bytes of that whose messages were read."""
        self._holding = False
        self._seen = 0
        self._key: bytes | None = None
        self._standby: bool | None = None
        self._read_only: bool | None = None
        self._error: str | None = None

    def feed(self, data: bytes) -> Passage:
        self._seen += len(data)
        reply, at = self._kept + data, self._read
        held_from = 0 if self._holding else None
        while at + 5 <= len(reply):
            kind, length = _TYPE_AND_LENGTH.unpack_from(reply, at)
            end = at + 1 + length
            if kind not in _EXPECTED or length < 4 or end > len(reply):
                break
            if kind == b"R" and reply[at + 5 : end] == _AUTHENTICATION_OK:
                self._holding = self._hold_back
                held_from = at if self._hold_back else None
            elif kind == b"R" and not self._bind_channels:
                offer = without_channel_binding(reply[at:end])
                reply = reply[:at] + offer + reply[end:]
                end = at + len(offer)
            elif self._observe(kind, reply, at + 5, end):
                return self._finish(reply)
            at = end
        if self._seen > MAX_STARTUP_REPLY or _is_lost(reply[at : at + 5]):
            return self._finish(reply)
        passing = at if held_from is None else held_from
        self._kept, self._read = reply[passing:], at - passing
        return Passage(reply[:passing])

    def _observe(self, kind: bytes, reply: bytes, start: int, end: int) -> bool:
        """Learns from the message whose body is there; true when it ends the startup."""
        if kind == b"S":  # nearly all are: some fifteen
            if reply.startswith(_STANDBY, start):
                self._standby = reply[start:end] == _STANDBY + b"on\0"
            elif reply.startswith(_READ_ONLY, start):
                self._read_only = reply[start:end] == _READ_ONLY + b"on\0"
        elif kind == b"K":
            self._key = reply[start:end]
        elif kind == b"E":
            self._error = read_error(reply[start:end]).sqlstate
        return kind in _LAST

    def _finish(self, everything: bytes) -> Passage:
        self._kept = b""
        return Passage(
            everything,
            True,
            key=self._key,
            standby=self._standby,
            read_only=self._read_only,
            welcome=self._holding and self._error is None,
            error=self._error,
        )


def _is_lost(beginning: bytes) -> bool:
    """What begins so is no message of a startup, so neither would its length be one."""
    if not beginning:
        return False
    return beginning[:1] not in _EXPECTED or (
        len(beginning) == 5 and int.from_bytes(beginning[1:], "big") < 4
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
