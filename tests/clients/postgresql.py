"""The table of PostgreSQL's clients.

If nothing is said, all but node's ask for TLS, and all of those but lib/pq can do without.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.clients.cases import (
    BINDING,
    CA_ONLY,
    CERTIFIED,
    DIRECT,
    DISABLE,
    FULL,
    NO_SOCKETS,
    NOTHING,
    OTHER_AUTHORITY,
    OTHER_HOST,
    OTHER_NAME,
    OWN_CERTIFICATE,
    PLAIN,
    REQUIRE,
    SOCKET,
    TLS,
    WRONG_PASSWORD,
    Case,
    Expected,
    NotTried,
    Refused,
)

NO_ENTRY = Refused("no encryption")
NO_TLS = Refused("server does not support SSL")
NO_TLS_BUT: Mapping[str, Expected] = {
    "asyncpg": Refused("rejected SSL upgrade"),
    "pgjdbc": Refused("The server does not support SSL"),
    "node pg": Refused("The server does not support SSL connections"),
    "lib/pq": Refused("SSL is not enabled on the server"),
    "pgx": Refused("server refused TLS connection"),
}
# It insists on TLS unless it is told otherwise, and the ambassador's side is plain.
INSISTS: Mapping[str, Expected] = {"lib/pq": NO_TLS_BUT["lib/pq"]}
WRONG_HOST = Refused("does not match host name")
WRONG_HOST_BUT = {
    "asyncpg": Refused("Hostname mismatch"),
    "pgjdbc": Refused("could not be verified"),
    "node pg": Refused("does not match certificate's altnames"),
    **dict.fromkeys(("lib/pq", "pgx"), Refused("certificate is valid for db.test, not localhost")),
}
WRONG_NAME = Refused("its certificate is not for other.test")
WRONG_AUTHORITY = Refused("its certificate comes from an authority that is not in sslrootcert")
NO_DIRECT_TLS = Refused("no TLS with the server: closed the connection")
# The reason is in the error's hint, which others show.
NO_HINT = {**dict.fromkeys(("node pg", "pgx"), Refused("dbambassador: no usable address")), **INSISTS}
WRONG = Refused("password authentication failed")
NO_CERTIFICATE = Refused("connection requires a valid client certificate")
NO_BINDING = Refused("channel binding required")
NO_CHANNEL_BINDING = NotTried("does not know `channel_binding`")
NO_CHANNEL_BINDING_BUT = dict.fromkeys(("asyncpg", "pgjdbc", "node pg", "lib/pq", "pgx"), NO_CHANNEL_BINDING)

CASES = (
    Case(NOTHING, "default", "scram", TLS, {"node pg": PLAIN}),
    Case(NOTHING, "disable", "scram", PLAIN),
    Case(NOTHING, "require", "scram", TLS),
    Case(NOTHING, "verify-full", "scram", TLS),
    Case(NOTHING, "verify-full", "scram", WRONG_HOST, WRONG_HOST_BUT, detail=OTHER_HOST),
    Case(NOTHING, "require", "scram", TLS, NO_CHANNEL_BINDING_BUT, detail=BINDING),
    Case(NOTHING, "default", "scram", PLAIN, {"pgjdbc": NO_SOCKETS}, detail=SOCKET),
    Case(NOTHING, "default", "scram_tls", TLS, {"node pg": NO_ENTRY}),
    Case(NOTHING, "disable", "scram_tls", NO_ENTRY),
    Case(NOTHING, "default", "md5", TLS, {"node pg": PLAIN}),
    Case(NOTHING, "require", "password", TLS),
    Case(NOTHING, "require", "cert", NO_CERTIFICATE),
    Case(
        NOTHING,
        "require",
        "cert",
        TLS,
        {"pgjdbc": NotTried("wants its key in another form")},
        detail=OWN_CERTIFICATE,
    ),
    Case(DISABLE, "default", "scram", PLAIN, INSISTS),
    Case(DISABLE, "require", "scram", NO_TLS, NO_TLS_BUT),
    Case(DISABLE, "default", "scram_tls", NO_ENTRY, INSISTS),
    Case(REQUIRE, "default", "scram_tls", TLS, INSISTS),
    Case(REQUIRE, "disable", "scram_tls", TLS),
    Case(REQUIRE, "require", "scram_tls", NO_TLS, NO_TLS_BUT),
    Case(REQUIRE, "default", "scram_tls", TLS, {"pgjdbc": NO_SOCKETS}, detail=SOCKET),
    Case(
        REQUIRE,
        "default",
        "scram",
        Refused("channel binding required"),
        NO_CHANNEL_BINDING_BUT,
        detail=BINDING,
    ),
    Case(REQUIRE, "default", "scram_tls", WRONG, INSISTS, detail=WRONG_PASSWORD),
    Case(REQUIRE, "default", "md5", TLS, INSISTS),
    Case(REQUIRE, "default", "password", TLS, INSISTS),
    Case(REQUIRE, "default", "cert", NO_CERTIFICATE, INSISTS),
    Case(CA_ONLY, "default", "scram_tls", TLS, INSISTS),
    Case(FULL, "default", "scram_tls", TLS, INSISTS),
    Case(FULL, "verify-full", "scram_tls", NO_TLS, NO_TLS_BUT),
    Case(OTHER_NAME, "default", "scram", WRONG_NAME, NO_HINT),
    Case(OTHER_AUTHORITY, "default", "scram", WRONG_AUTHORITY, NO_HINT),
    Case(CERTIFIED, "default", "cert", TLS, INSISTS),
    Case(DIRECT, "default", "scram_tls", NO_DIRECT_TLS, NO_HINT, server="PostgreSQL 15"),
    Case(DIRECT, "default", "scram_tls", TLS, INSISTS, server="PostgreSQL 18"),
)
