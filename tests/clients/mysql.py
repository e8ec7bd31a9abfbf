"""The tables of MySQL's and MariaDB's clients."""

from __future__ import annotations

from collections.abc import Mapping

from tests.clients.cases import (
    CA_ONLY,
    CERTIFIED,
    COLD,
    COLD_SOCKET,
    DISABLE,
    FULL,
    KEYLESS,
    NO_SOCKETS,
    NOTHING,
    OTHER_AUTHORITY,
    OTHER_NAME,
    PLAIN,
    REQUIRE,
    SOCKET,
    TLS,
    WRONG_PASSWORD,
    Case,
    Expected,
    Refused,
    Works,
)

DENIED = Refused("Access denied")

WRONG_NAME = Refused("its certificate is not for other.test")
WRONG_AUTHORITY = Refused("its certificate comes from an authority that is not in sslrootcert")
NO_TLS = Refused("SSL is required but the server doesn't support it")
NO_TLS_BUT: Mapping[str, Expected] = {
    "Connector/J": Refused("SSL Connection required, but not provided by server"),
    "MariaDB J": Refused("Trying to connect with ssl, but ssl not enabled in the server"),
    "mysqli": Refused("MySQL server has gone away"),
    "PDO mysql": Refused("MySQL server has gone away"),
    "node mysql2": Refused("Server does not support secure connection"),
    "Go mysql": Refused("TLS requested but server does not support TLS"),
}
NO_KEY: Mapping[str, Expected] = {
    "mysql": Refused("Authentication requires secure connection"),
    "Connector/J": Refused("Public Key Retrieval is not allowed"),
    "MariaDB J": Refused("RSA public key is not available client side"),
}
NO_ED25519: Mapping[str, Expected] = {
    "Connector/J": Refused("BadAuthenticationPlugin"),
    "mysql": Refused("Authentication plugin 'client_ed25519' cannot be loaded"),
    "mysqli": Refused("authentication method unknown to the client [client_ed25519]"),
    "PDO mysql": Refused("authentication method unknown to the client [client_ed25519]"),
    "node mysql2": Refused("unknown plugin client_ed25519"),
    "Go mysql": Refused("this authentication plugin is not supported"),
}
# MySQL 9 did away with it, on both sides.
NO_NATIVE: Mapping[str, Expected] = {
    "mysql": Refused("Authentication plugin 'mysql_native_password' cannot be loaded"),
}
# It looks for `localhost` in the certificate wherever it is given an address.
LOCALHOST: Mapping[str, Expected] = {
    "node mysql2": Refused("Host: localhost. is not in the cert's altnames"),
}
JAVA: Mapping[str, Expected] = dict.fromkeys(("Connector/J", "MariaDB J"), NO_SOCKETS)


def lenient(session: Works) -> dict[str, Expected]:
    """Who is told to want TLS, and does without where there is none: MariaDB's C library."""
    return {**NO_TLS_BUT, **dict.fromkeys(("mariadb", "mysqlclient"), session)}


def asking(*, but: Mapping[str, Expected]) -> dict[str, Expected]:
    """Where nothing is said of TLS: those that ask for it, and get it. `but` goes before."""
    return {**dict.fromkeys(("mariadb", "mysql", "PyMySQL", "Connector/J"), TLS), **but}


MARIADB_CASES = (
    Case(NOTHING, "default", "native", PLAIN, asking(but=NO_NATIVE)),
    Case(NOTHING, "disable", "native", PLAIN, NO_NATIVE),
    Case(NOTHING, "require", "native", TLS, NO_NATIVE),
    Case(NOTHING, "verify-full", "native", TLS, {**NO_NATIVE, **LOCALHOST}),
    Case(NOTHING, "default", "native", PLAIN, asking(but={**NO_NATIVE, **JAVA}), detail=SOCKET),
    Case(NOTHING, "require", "native_tls", TLS, NO_NATIVE),
    Case(NOTHING, "disable", "native_tls", DENIED, NO_NATIVE),
    Case(NOTHING, "disable", "ed25519", PLAIN, NO_ED25519),
    Case(NOTHING, "require", "ed25519", TLS, NO_ED25519),
    Case(NOTHING, "default", "ed25519", PLAIN, asking(but={**NO_ED25519, **JAVA}), detail=SOCKET),
    Case(DISABLE, "default", "native", PLAIN, NO_NATIVE),
    Case(DISABLE, "require", "native", NO_TLS, lenient(PLAIN)),
    Case(REQUIRE, "default", "native_tls", TLS, NO_NATIVE),
    Case(REQUIRE, "disable", "native_tls", TLS, NO_NATIVE),
    Case(REQUIRE, "require", "native_tls", NO_TLS, lenient(TLS)),
    Case(REQUIRE, "default", "native_tls", TLS, {**NO_NATIVE, **JAVA}, detail=SOCKET),
    Case(REQUIRE, "default", "ed25519", TLS, NO_ED25519),
    Case(REQUIRE, "default", "native_tls", DENIED, NO_NATIVE, detail=WRONG_PASSWORD),
    Case(REQUIRE, "default", "native_x509", DENIED, NO_NATIVE),
    Case(CA_ONLY, "default", "native_tls", TLS, NO_NATIVE),
    Case(FULL, "default", "native_tls", TLS, NO_NATIVE),
    Case(OTHER_NAME, "default", "native", WRONG_NAME),
    Case(OTHER_AUTHORITY, "default", "native", WRONG_AUTHORITY),
    Case(CERTIFIED, "default", "native_x509", TLS, NO_NATIVE),
)

MYSQL_CASES = (
    Case(NOTHING, "default", "sha2", PLAIN, asking(but={})),
    Case(NOTHING, "default", "sha2", PLAIN, asking(but={}), detail=COLD),
    Case(NOTHING, "disable", "sha2", PLAIN),
    Case(NOTHING, "disable", "sha2", PLAIN, detail=COLD),
    Case(
        NOTHING,
        "disable",
        "sha2",
        PLAIN,
        NO_KEY,
        detail=KEYLESS,
    ),
    Case(NOTHING, "require", "sha2", TLS, detail=COLD),
    Case(NOTHING, "verify-full", "sha2", TLS, LOCALHOST, detail=COLD),
    Case(NOTHING, "default", "sha2", PLAIN, asking(but={"mysql": PLAIN, **JAVA}), detail=SOCKET),
    # A unix socket counts as private: the password comes in clear, and the server's side is not.
    Case(NOTHING, "default", "sha2", DENIED, asking(but={"mysql": DENIED, **JAVA}), detail=COLD_SOCKET),
    Case(NOTHING, "require", "sha2_tls", TLS),
    Case(NOTHING, "disable", "sha2_tls", DENIED),
    Case(NOTHING, "disable", "sha256", PLAIN),
    Case(NOTHING, "require", "sha256", TLS),
    # Nor does it get in where a server itself has no TLS, unless it is told --skip-ssl.
    Case(DISABLE, "default", "sha2", PLAIN, {"mariadb": DENIED}, detail=COLD),
    Case(DISABLE, "disable", "sha2", PLAIN, detail=COLD),
    Case(DISABLE, "require", "sha2", NO_TLS, lenient(PLAIN)),
    Case(REQUIRE, "default", "sha2_tls", TLS),
    Case(REQUIRE, "default", "sha2_tls", TLS, detail=COLD),
    Case(REQUIRE, "disable", "sha2_tls", TLS, detail=COLD),
    Case(REQUIRE, "disable", "sha2_tls", TLS, NO_KEY, detail=KEYLESS),
    Case(REQUIRE, "require", "sha2_tls", NO_TLS, lenient(TLS)),
    Case(REQUIRE, "default", "sha2_tls", TLS, JAVA, detail=COLD_SOCKET),
    Case(REQUIRE, "default", "sha256", TLS),
    Case(REQUIRE, "default", "sha2_tls", DENIED, detail=WRONG_PASSWORD),
    Case(REQUIRE, "default", "sha2_x509", DENIED),
    Case(CA_ONLY, "default", "sha2_tls", TLS),
    Case(FULL, "default", "sha2_tls", TLS),
    Case(OTHER_NAME, "default", "sha2", WRONG_NAME),
    Case(OTHER_AUTHORITY, "default", "sha2", WRONG_AUTHORITY),
    Case(CERTIFIED, "default", "sha2_x509", TLS),
)
