"""What is tried, and what is expected of each client: the table that docs/clients.md is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Works:
    """The client writes and reads."""

    encrypted: bool
    """The server's side of the session, as the server says."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The client does not get a session."""

    words: str
    """Part of the client's message, or of the number or SQLSTATE before it."""


@dataclass(frozen=True, slots=True)
class NotTried:
    """This client cannot be asked that."""

    why: str


Expected: TypeAlias = Works | Refused | NotTried

TLS, PLAIN = Works(encrypted=True), Works(encrypted=False)


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """What an environment file says of the way to the server."""

    settings: Mapping[str, str] = field(default_factory=dict)
    """`{ca}` and other files stand for their paths."""
    host: str = "db.test"
    """The server's certificate is for `db.test` and 127.0.0.1; the client dials that address."""
    told: str = ""
    """What the page says of it, besides `sslmode`."""


VERIFY = {"sslmode": "verify-full", "sslrootcert": "{ca}"}

NOTHING = Way(told="no `sslmode`")
DISABLE = Way({"sslmode": "disable"})
REQUIRE = Way({"sslmode": "require"})
CA_ONLY = Way({**VERIFY, "sslmode": "verify-ca"}, "other.test", "a host that is not in the certificate")
FULL = Way(VERIFY)
OTHER_NAME = Way(VERIFY, "other.test", "a host that is not in the certificate")
OTHER_AUTHORITY = Way({**VERIFY, "sslrootcert": "{other}"}, told="an authority that did not sign it")
CERTIFIED = Way({**VERIFY, "sslcert": "{sslcert}", "sslkey": "{sslkey}"}, told="`sslcert`, `sslkey`")
DIRECT = Way({**VERIFY, "sslnegotiation": "direct"}, told="`sslnegotiation: direct`")

WAYS = (NOTHING, DISABLE, REQUIRE, CA_ONLY, FULL, OTHER_NAME, OTHER_AUTHORITY, CERTIFIED, DIRECT)


@dataclass(frozen=True, slots=True)
class Case:
    """One row: every client is asked the same."""

    way: Way
    tls: str
    """The client's wish: `default`, `disable`, `require`, `verify-full`."""
    login: str
    """One of the stage's accounts."""
    expected: Expected
    but: Mapping[str, Expected] = field(default_factory=dict)
    """By client, where it is not as expected of all others."""
    detail: str = ""
    """What else is asked: one of the constants below."""
    server: str = ""
    """If not all of the table's."""

    def of(self, client: str) -> Expected:
        """What is expected of one client."""
        return self.but.get(client, self.expected)


SOCKET = "over a unix socket"
COLD = "cold cache"
KEYLESS = "cold cache, without leave to ask for a key"
BINDING = "`channel_binding=require`"
OWN_CERTIFICATE = "with a certificate of its own"
COLD_SOCKET = "cold cache, over a unix socket"
WRONG_PASSWORD = "with a wrong password"
OTHER_HOST = "to `localhost`, which is not in the certificate"

NO_SOCKETS = NotTried("knows no unix sockets")
