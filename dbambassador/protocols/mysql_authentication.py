"""MySQL's authentication: what a server may say to a client's response, and answers that only end it.

https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_authentication_methods.html
and https://mariadb.com/docs/server/reference/clientserver-protocol/1-connecting/connection
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dbambassador.protocols import mysql

NATIVE = "mysql_native_password"
OLD = "mysql_old_password"
ED25519 = "client_ed25519"
CACHING_SHA2 = "caching_sha2_password"
SHA256 = "sha256_password"
CLEAR = "mysql_clear_password"

CHALLENGE_RESPONSE = frozenset({NATIVE, ED25519, "parsec"})
"""Plugins that never send the password itself."""
TAKING_TURNS = frozenset({NATIVE, ED25519, CACHING_SHA2, SHA256, CLEAR})
"""Plugins known to speak in turns with the client, but for what `more_follows` tells."""

FAST_SUCCESS = b"\3"
"""caching_sha2_password: the cache knew the password. An OK packet follows."""
FULL_AUTHENTICATION = b"\4"
"""caching_sha2_password: it did not; the password itself is wanted."""
KEY_WANTED = {CACHING_SHA2: b"\2", SHA256: b"\1"}
"""What a client that has no TLS says, to get the public key that its password is encrypted with."""

KEYS_STEP = 64
"""Bytes: what RSA encrypts has the length of its key, and those are made in steps of 512 bits."""

MOST_WRONG_ANSWERS = 8
"""More than any server asks for."""


class Kind(Enum):
    """What a server's packet is."""

    OK = "the client is in"
    ERROR = "it is not"
    SWITCH = "the client is to answer another plugin's challenge"
    DATA = "of the present plugin"


@dataclass(frozen=True, slots=True)
class Step:
    """A server's packet during authentication."""

    kind: Kind
    data: bytes = b""
    """The plugin's own; with SWITCH, the challenge."""
    plugin: str = ""
    """With SWITCH."""


def read_step(payload: bytes, *, multi_factor: bool = False) -> Step:
    """What a server says, by its packet's payload.

    Args:
      multi_factor: client and server can do with several factors (CLIENT_MULTI_FACTOR).
    """
    first = payload[:1]
    if first == b"\0":
        return Step(Kind.OK)
    if first == b"\xff":
        return Step(Kind.ERROR)
    if payload == b"\xfe":
        return Step(Kind.SWITCH, plugin=OLD)
    if first == b"\xfe" or (first == b"\2" and multi_factor):
        plugin, _, data = payload[1:].partition(b"\0")
        return Step(Kind.SWITCH, data[: mysql.SALT], plugin.decode("ascii", "replace"))
    # MySQL prefixes all data of plugins; MariaDB only what would be taken for another packet.
    return Step(Kind.DATA, payload[1:] if first == b"\1" else payload)


def more_follows(step: Step, plugin: str) -> bool:
    """The server goes on by itself, without an answer."""
    return step.kind is Kind.DATA and plugin == CACHING_SHA2 and step.data == FAST_SUCCESS


def wrong_answer(plugin: str) -> bytes:
    """What a server takes for a wrong password, and does not count against the client's host.

    An answer that a plugin cannot read is a failed handshake, as is a connection that is closed instead:
    `max_connect_errors` of those block the host. An empty one is none to these plugins, except for the two
    that look at its length first.
    """
    if plugin == ED25519:
        return bytes(64)  # plugin/auth_ed25519/server_ed25519.c: the length of a signature
    return b"" if plugin in (NATIVE, OLD) else b"\0"


def wants_password(step: Step, plugin: str) -> bool:
    """The answer is the password itself, with a final NUL, where the server's connection is encrypted."""
    if plugin == CACHING_SHA2:
        return step == Step(Kind.DATA, FULL_AUTHENTICATION)
    return plugin == SHA256


def may_want_password(step: Step, plugin: str) -> bool:
    """The answer is the password in clear, where the client takes its connection for private, or may be."""
    if step.kind is Kind.SWITCH:
        return step.plugin not in CHALLENGE_RESPONSE
    return wants_password(step, plugin)


def in_clear(answer: bytes) -> bool:
    """It is a password with its final NUL, and was not encrypted by RSA.

    One in 256 of those that were ends in NUL, too. It has the length of a key, and is no text.
    """
    if not answer.endswith(b"\0"):
        return False
    if len(answer) % KEYS_STEP:
        return True
    try:
        answer.decode()
    except UnicodeDecodeError:
        return False
    return True


def unmasked(masked: bytes, salt: bytes) -> bytes:
    """A password with its final NUL, which a client XORed with the challenge before it encrypted them.

    sql-common/client_authentication.cc, xor_string.
    """
    return bytes(byte ^ salt[place % len(salt)] for place, byte in enumerate(masked)) if salt else b""
