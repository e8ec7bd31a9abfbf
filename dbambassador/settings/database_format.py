"""The keys of a database, described once as those of `format`, with the bounds of their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dbambassador.settings.addresses import ENDPOINT_FORMS, LISTEN_FORMS
from dbambassador.settings.reading import Key, section_schema
from dbambassador.settings.schema import Balance, Negotiation, Protocol, SslMode, TargetSessionAttrs

LONGEST_HOLD = 600.0
"""Seconds. Clients of databases give up long before; a longer hold only hides an outage from them."""
DEFAULT_HOLD = "5s"

SHORTEST_INTERVAL, LONGEST_INTERVAL = 0.1, 600.0
"""Seconds. PostgreSQL forks a process for each check: ten a second from each ambassador are load enough. An
address that nobody looked at for more than ten minutes cannot be called well."""
SHORTEST_RECHECK, LONGEST_RECHECK = 0.05, 60.0
"""Seconds, of an address in doubt or down. More than twenty checks a second hinder a server that is starting;
with more than a minute between them, clients wait for our next look rather than for the server."""
MOST_CHECKS = 100
"""In a row, for rise and fall. At the default intervals these take minutes already."""
LONGEST_NAME = 128
"""Characters, of a user or a database: MariaDB has the longest (column `User` of mysql.global_priv)."""
LONGEST_PATH = 1024
"""Characters of a URL's path; those of health endpoints are short."""

SHORTEST_IDLE, LONGEST_IDLE = 1.0, 86400.0
"""Seconds. Sessions are looked at four times a second. Whoever lets idle ones live for more than a day does
not need their end."""
UNIX_SOCKET_MODE = r"0?(?=[0-7]*[2367])[0-7]{3}"
"""Octal, and somebody may write: that is what connecting takes (unix(7))."""
HIGHEST_GROUP = 2**32 - 2
"""The next number is chown(2)'s word for "as it is"."""
LONGEST_GROUP = 256
"""Characters: LOGIN_NAME_MAX of Linux; useradd allows 32, directories allow more."""

DURATION_FORM = "as 5s, 200ms or 1m"
HOLD_EXPECTED = f"a duration from 0s to 10m, {DURATION_FORM}"
IDLE_EXPECTED = f"a duration from 1s to 1440m, or 0s for never, {DURATION_FORM}"
MODE_EXPECTED = 'an octal mode as text, as "0660"'
GROUP_EXPECTED = f"the name of a group or its number, at most {HIGHEST_GROUP}"
INTERVAL_EXPECTED = f"a duration from 100ms to 10m, {DURATION_FORM}"
RECHECK_EXPECTED = f"a duration from 50ms to 1m, {DURATION_FORM}"
CHECKS_EXPECTED = f"a whole number from 1 to {MOST_CHECKS}"
PORT_EXPECTED = "a port from 1 to 65535"
PATH_EXPECTED = f"a path that begins with /, without spaces and of at most {LONGEST_PATH} characters"

LOGIN_KEYS = frozenset({"user", "password_file", "database"})
PASSIVE_EXCLUDES = LOGIN_KEYS | {"http", "interval", "fast_interval", "rise"}
"""What is about checks. Without them `fall` counts sessions, and `down_interval` is the time until the next
one tries."""

ENDPOINT_ALTERNATIVES = {"endpoint": frozenset({"endpoints"}), "endpoints": frozenset({"endpoint"})}
CHECK_ALTERNATIVES = {
    "user": frozenset({"http", "passive"}),
    "http": LOGIN_KEYS | {"passive"},
    "passive": PASSIVE_EXCLUDES,
}

TEXT: Mapping[str, Any] = {"type": "string", "minLength": 1}
NAME: Mapping[str, Any] = {**TEXT, "maxLength": LONGEST_NAME}
FILE: Mapping[str, Any] = {"type": "string", "pattern": "^/.*[^/]$"}
PORT: Mapping[str, Any] = {"type": "integer", "minimum": 1, "maximum": 65535}
CHECKS: Mapping[str, Any] = {"type": "integer", "minimum": 1, "maximum": MOST_CHECKS, "default": 1}
DURATION: Mapping[str, Any] = {"type": "string", "pattern": r"^[0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m)$"}


def alternatives(path: tuple[str, ...]) -> Mapping[str, frozenset[str]]:
    """In the mapping under these keys: each key that, in an environment, replaces others of the defaults."""
    match path:
        case ("databases", _):
            return ENDPOINT_ALTERNATIVES
        case ("databases", _, "check"):
            return CHECK_ALTERNATIVES
        case _:
            return {}


ENDPOINT_KEYS = (
    Key(
        name="host",
        description="Host name or IP address; may hold ${fact}.",
        schema=TEXT,
        required="a host name or IP address",
    ),
    Key(name="port", description="TCP port.", schema=PORT, required=PORT_EXPECTED),
    Key(
        name="weight",
        description="Its share of new sessions, as in SRV records. Different weights need `balance`.",
        schema={"type": "integer", "minimum": 1, "maximum": 65535, "default": 1},
    ),
    Key(
        name="zone",
        description=(
            "Where it is, in the words of cloud.availability_zone. Where sessions are shared, endpoints in "
            "the ambassador's own zone come first."
        ),
        schema=TEXT,
    ),
)

HTTP_KEYS = (
    Key(name="port", description="Of the same host.", schema=PORT, required=PORT_EXPECTED),
    Key(
        name="path",
        description="As /primary or /replica of Patroni.",
        schema={"type": "string", "pattern": f"^/[!-~]{{0,{LONGEST_PATH - 1}}}$", "default": "/"},
    ),
)

CHECK_KEYS = (
    Key(
        name="user",
        description="Logs in to learn the server's role. Needs protocol postgresql or mysql.",
        schema=NAME,
    ),
    Key(
        name="password_file",
        description="Absolute path of a file with the user's password, read anew for each check.",
        schema=FILE,
    ),
    Key(
        name="database",
        description="Where the user logs in. Left out: `postgres` for PostgreSQL, none for MySQL.",
        schema=NAME,
    ),
    Key(
        name="http",
        description=(
            "Instead of `user`: a health endpoint beside the database. 2xx means that this address has the "
            "role that target_session_attrs asks for."
        ),
        schema=section_schema(HTTP_KEYS),
    ),
    Key(
        name="interval",
        description="Between checks of an address that is well, 100ms to 10m; HAProxy's inter.",
        schema={**DURATION, "default": "30s"},
    ),
    Key(
        name="fast_interval",
        description=(
            "Between checks of an address in doubt, for the first five seconds, 50ms to 1m; HAProxy's "
            "fastinter. Left out: no more than `interval`."
        ),
        schema={**DURATION, "default": "200ms"},
    ),
    Key(
        name="down_interval",
        description=(
            "Between checks after that, 50ms to 1m; HAProxy's downinter. Left out: no more than `interval`. "
            "With `passive`: until a session tries a failed address again."
        ),
        schema={**DURATION, "default": "1s"},
    ),
    Key(
        name="rise",
        description="Good checks in a row that bring a failed address back.",
        schema=CHECKS,
    ),
    Key(
        name="fall",
        description=(
            "Failed checks in a row that end an address's sessions; the first one already stops new ones. "
            "With `passive`: sessions in a row that could not be opened."
        ),
        schema=CHECKS,
    ),
    Key(
        name="passive",
        description="The same as `check: passive`, where `fall` or `down_interval` is given as well.",
        schema={"const": True},
    ),
    Key(name="password", refusal="write it to a file and name that: password_file: /PATH", secret=True),
)

DATABASE_KEYS = (
    Key(
        name="protocol",
        description="What the database speaks. `tcp` forwards bytes and knows nothing of them.",
        schema={"enum": [protocol.value for protocol in Protocol]},
        required="postgresql, mysql or tcp",
    ),
    Key(
        name="listen",
        description=f"Where the application expects it: {LISTEN_FORMS}. localhost is 127.0.0.1 and ::1.",
        schema={
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "pattern": r"^(unix:/.*[^/]|(localhost|\[.+\]|[0-9.]+):[0-9]{1,5})$"},
        },
        required=f"a list of {LISTEN_FORMS}",
    ),
    Key(
        name="endpoint",
        description=f"Where the database really is: {ENDPOINT_FORMS}; may hold ${{fact}}.",
        schema={"type": "string", "pattern": r"^(srv:_.+\._tcp\..+|.+:[0-9]{1,5})$"},
    ),
    Key(
        name="endpoints",
        description="Instead of `endpoint`: several, tried in this order unless `balance` shares among them.",
        schema={"type": "array", "minItems": 1, "items": section_schema(ENDPOINT_KEYS, required=True)},
    ),
    Key(
        name="target_session_attrs",
        description=(
            "As in libpq: which role a session may land on. With mysql and tcp, all but `any` need a check "
            "that tells the role."
        ),
        schema={"enum": [role.value for role in TargetSessionAttrs], "default": TargetSessionAttrs.ANY.value},
    ),
    Key(
        name="balance",
        description=(
            "How new sessions are shared among usable addresses; hash needs protocol postgresql. Left out: "
            "round-robin with read-only, standby and prefer-standby, else one address at a time has all."
        ),
        schema={"enum": [balance.value for balance in Balance]},
    ),
    Key(
        name="hold",
        description="How long clients wait for a usable address before they get an error: 5s, 200ms, 1m.",
        schema={**DURATION, "default": DEFAULT_HOLD},
    ),
    Key(
        name="client_idle_timeout",
        description=(
            "A session through which nothing passes in either direction for this long is cut, from 1s to "
            "1440m; longer than the longest query that sends nothing meanwhile. 0s: never."
        ),
        schema={**DURATION, "default": "0s"},
    ),
    Key(
        name="unix_socket_mode",
        description='Octal mode of its unix sockets, as text: "0660".',
        schema={"type": "string", "pattern": f"^{UNIX_SOCKET_MODE}$", "default": "0777"},
    ),
    Key(
        name="unix_socket_group",
        description="Group of its unix sockets: a name, or a number. Left out: the ambassador's own.",
        schema={
            "anyOf": [
                {"type": "string", "pattern": f"^[^:]{{1,{LONGEST_GROUP}}}$"},
                {"type": "integer", "minimum": 0, "maximum": HIGHEST_GROUP},
            ]
        },
    ),
    Key(
        name="allow_cleartext_passwords",
        description=(
            "Passwords that MySQL's clients send in clear over a unix socket may go on so over the network. "
            "Without it, such sessions are refused."
        ),
        schema={"type": "boolean"},
    ),
    Key(
        name="check",
        description=(
            "How addresses are checked. Left out: with the database's own handshake, without credentials. "
            "`passive`: the ambassador itself never dials; only what happens to sessions counts."
        ),
        schema={"anyOf": [{"const": "passive"}, section_schema(CHECK_KEYS)]},
    ),
    Key(
        name="sslmode",
        description=(
            "As in libpq, for the way to the server: the ambassador speaks TLS there, and the client does "
            "not. Left out: the client's own TLS passes through untouched. require encrypts, verify-ca and "
            "verify-full also verify."
        ),
        schema={"enum": [mode.value for mode in SslMode]},
    ),
    Key(
        name="sslrootcert",
        description=(
            "Absolute path of a file with the certificates of trusted authorities, or `system`. Read anew "
            "when it changes."
        ),
        schema={"type": "string", "pattern": "^(system|/.*[^/])$"},
    ),
    Key(
        name="sslcert",
        description="Absolute path of a client certificate with its chain. Needs `sslkey`.",
        schema=FILE,
    ),
    Key(name="sslkey", description="Absolute path of its private key, which has no passphrase.", schema=FILE),
    Key(
        name="sslnegotiation",
        description=(
            "As in libpq: `direct` begins TLS without asking first, which needs PostgreSQL 17 or later, and "
            "saves a round trip."
        ),
        schema={"enum": [way.value for way in Negotiation], "default": Negotiation.POSTGRES.value},
    ),
)
