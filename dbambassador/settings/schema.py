"""The schema of an environment file, after decoding and merging: frozen values, documented field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

FOR_ALL = 0o777
"""The mode of a unix socket that everyone who can reach its directory may use, as on loopback: PostgreSQL's
default, and PgBouncer's."""


class Protocol(Enum):
    """What the database speaks; `tcp` knows nothing of the bytes."""

    POSTGRESQL = "postgresql"
    MYSQL = "mysql"
    TCP = "tcp"


class Kind(Enum):
    """OpenTelemetry's `deployment.environment.name`: production is guarded by rules of its own."""

    PRODUCTION = "production"
    STAGING = "staging"
    TEST = "test"
    DEVELOPMENT = "development"


class Operator(Enum):
    """Operators of Kubernetes label selectors, with their meaning there.

    `NotIn` holds for an absent fact too: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
    """

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class TargetSessionAttrs(Enum):
    """libpq's `target_session_attrs`: which role of server a session may land on.

    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-TARGET-SESSION-ATTRS
    """

    ANY = "any"
    READ_WRITE = "read-write"
    """No hot standby, and sessions are not read-only by default."""
    READ_ONLY = "read-only"
    """The converse of read-write."""
    PRIMARY = "primary"
    """No hot standby."""
    STANDBY = "standby"
    PREFER_STANDBY = "prefer-standby"
    """A standby while one is usable, else any."""


class Balance(Enum):
    """How new sessions are shared among several usable addresses."""

    ROUND_ROBIN = "round-robin"
    LEAST_CONNECTIONS = "least-connections"
    RANDOM = "random"
    HASH = "hash"
    """PostgreSQL: by user and database; the same ones go to the same address."""


class SslMode(Enum):
    """libpq's `sslmode`, for the way from the ambassador to the server.

    https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-SSLMODE-STATEMENTS; `allow` and `prefer`
    are not offered: they protect against nobody.
    """

    DISABLE = "disable"
    REQUIRE = "require"
    """Encrypted, against those who only listen."""
    VERIFY_CA = "verify-ca"
    """And the server's certificate comes from a trusted authority."""
    VERIFY_FULL = "verify-full"
    """And it is the certificate of the very host that the endpoint names."""


class Negotiation(Enum):
    """libpq's `sslnegotiation`: how TLS begins with a PostgreSQL server."""

    POSTGRES = "postgres"
    """After an SSLRequest, which every version understands."""
    DIRECT = "direct"
    """At once, one round trip less: PostgreSQL 17 and later."""


SYSTEM_CAS = "system"
"""Instead of a file: the authorities that the operating system trusts; as in libpq 16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """The TLS that the ambassador itself speaks with the server; the client speaks none with us."""

    mode: SslMode
    rootcert: str = ""
    """A file with the trusted authorities, or `system`; empty where nothing is verified."""
    cert: str = ""
    """A file with the client certificate and its chain; empty: none is shown."""
    key: str = ""
    """Its private key's file."""
    negotiation: Negotiation = Negotiation.POSTGRES

    @property
    def encrypts(self) -> bool:
        return self.mode is not SslMode.DISABLE

    @property
    def verifies(self) -> bool:
        return self.mode in (SslMode.VERIFY_CA, SslMode.VERIFY_FULL)


@dataclass(frozen=True, slots=True)
class Login:
    """Credentials of a check, which then learns the server's role."""

    user: str
    password_file: str = ""
    """Read anew for each check, so that a rotated secret takes effect; empty: no password is sent."""
    database: str = ""
    """Where it logs in; empty: `postgres` for PostgreSQL, none for MySQL."""


@dataclass(frozen=True, slots=True)
class HttpCheck:
    """A health endpoint beside the database, as of Patroni or clustercheck: 2xx means "use this address"."""

    port: int
    path: str = "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """How addresses are checked. Without login and http: the database's own handshake, without credentials.

    The knobs have the names and meaning of HAProxy's inter, fastinter, downinter, rise and fall; times are
    seconds.
    """

    passive: bool = False
    """Never dialled by us: only what happens to real sessions counts."""
    login: Login | None = None
    http: HttpCheck | None = None
    interval: float = 30.0
    """Between checks of an address that is well, ± 20 % so that many ambassadors spread out."""
    fast_interval: float = 0.2
    """Between checks of an address in doubt, for the first five seconds."""
    down_interval: float = 1.0
    """Between checks after that; passive: until a session tries a failed address again."""
    rise: int = 1
    """Good checks in a row that bring a failed address back."""
    fall: int = 1
    """Failed checks in a row that end an address's sessions; the first one already stops new sessions. A
    check without any answer counts only with a second one: it may have met a busy server. Passive: sessions
    in a row that could not be opened."""

    @property
    def tells_role(self) -> bool:
        """Whether a check says what role the server has."""
        return self.login is not None or self.http is not None


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one fact; all requirements of a selector must hold."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.operator in (Operator.IN, Operator.NOT_IN):
            if self.operator is Operator.IN and len(self.values) == 1:
                return f"{self.key} = {self.values[0]}"
            return f"{self.key} {self.operator.value} ({', '.join(self.values)})"
        return f"{self.key} {self.operator.value}"


@dataclass(frozen=True, slots=True)
class TcpListen:
    """A TCP listen address; `localhost` in the file becomes 127.0.0.1 and ::1."""

    host: str
    """An IP address literal."""
    port: int
    optional: bool = False
    """A host without this address family is tolerated (the ::1 of `localhost`)."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixListen:
    """A unix socket to listen on."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


Listen = TcpListen | UnixListen


@dataclass(frozen=True, slots=True)
class HostEndpoint:
    """A host name or address with its port."""

    host: str
    """May hold `${fact}` until interpolated."""
    port: int
    weight: int = 1
    zone: str = ""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SrvEndpoint:
    """A SRV name (RFC 2782), which gives hosts, ports, priorities and weights."""

    name: str
    """May hold `${fact}` until interpolated."""

    def __str__(self) -> str:
        return f"srv:{self.name}"


Endpoint = HostEndpoint | SrvEndpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """One database: where the application expects it, and where it really is."""

    name: str
    protocol: Protocol
    listen: tuple[Listen, ...]
    endpoints: tuple[Endpoint, ...]
    target_session_attrs: TargetSessionAttrs = TargetSessionAttrs.ANY
    balance: Balance | None = None
    """None: one address at a time has all sessions, and the old ones end before another gets its first.
    Readers balance unless told otherwise."""
    hold: float = 5.0
    """Seconds that clients wait, from the loss of the last usable address, before they get an error."""
    client_idle_timeout: float = 0.0
    """Seconds without a byte in either direction after which a session is cut; 0: never."""
    unix_socket_mode: int = FOR_ALL
    unix_socket_group: str = ""
    """A name or a number; empty: the process's own."""
    allow_cleartext_passwords: bool = False
    """MySQL's clients may send passwords over a unix socket that go on to the server in clear."""
    check: Check = Check()
    tls: Tls | None = None
    """None: the client's own TLS passes through, untouched. Otherwise the client has none."""
    zone: str = ""
    """Where this process runs, by the facts; addresses of the same zone are preferred when balancing."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """One row of an environment's `expect` table, run by `check`."""

    facts: Mapping[str, str]
    selected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One environment file, merged with the defaults."""

    name: str
    """The file's stem."""
    file: str
    kind: Kind
    priority: int = 0
    match: tuple[Requirement, ...] | None = None
    """None: chosen only by name."""
    forbid: tuple[Requirement, ...] = ()
    """Where all of these hold, never this environment, even by name; empty forbids nothing."""
    databases: tuple[Database, ...] = ()
    expect: tuple[Expectation, ...] = ()

    @property
    def production(self) -> bool:
        return self.kind is Kind.PRODUCTION


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every environment that can be chosen."""

    directory: str
    """As messages should name it."""
    profiles: tuple[Profile, ...]
    """By name."""
    version: str = ""
    """Changes with the content, where that is replaced all at once; empty elsewhere."""

    def get(self, name: str) -> Profile | None:
        return next((profile for profile in self.profiles if profile.name == name), None)
