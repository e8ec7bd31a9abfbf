"""What clients are tried on: real servers, an account for each way to log in, an ambassador before them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pymysql

from dbambassador.demo.installations import Installation
from dbambassador.demo.postgresql import Ground, PostgreSQL
from dbambassador.demo.processes import temporary_directory
from tests.clients import cases
from tests.clients.cases import WAYS, Case, Way
from tests.end_to_end.setting import CHOSEN, environments, mysql_database, port_of, postgresql_database, until
from tests.testbed import mysql_server
from tests.testbed.certificates import Certificates
from tests.testbed.mariadb import MariaDB
from tests.testbed.mysql import MySQL
from tests.testbed.mysql_server import MySQLServer
from tests.testbed.postgresql import access, add_user, postgresql_with_tls, tls
from tests.testbed.processes import Ambassador
from tests.testbed.sid import sid_postgresql

PASSWORD = "correct horse"
"""Of every account. Its space has to be quoted wherever that is forgotten."""

TEXT = "Grüße, 数据库"


class Server(Protocol):
    """What all of them have."""

    @property
    def port(self) -> int: ...

    def query(self, sql: str) -> Any: ...

    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Stage:
    """A server with an ambassador before it, which has a database for each way of an environment file."""

    server: Server
    ambassador: Ambassador
    listens: Mapping[Way, tuple[int, str]]
    """Port and unix socket."""
    files: Mapping[str, str]
    """For requests: the authority `ca`, and a client certificate in `sslcert` and `sslkey`."""
    database: str

    def request(self, case: Case) -> dict[str, str]:
        """What a client is to be asked, once the server has been made ready for it."""
        port, socket = self.listens[case.way]
        request = {
            "host": "127.0.0.1",
            "port": str(port),
            "user": case.login,
            "password": PASSWORD,
            "database": self.database,
            "tls": case.tls,
            "ca": self.files["ca"],
            "text": TEXT,
            "public_key": "yes",
        }
        match case.detail:
            case cases.SOCKET | cases.COLD_SOCKET:
                request["socket"] = socket
            case cases.WRONG_PASSWORD:
                request["password"] = "wrong horse"
            case cases.BINDING:
                request["channel_binding"] = "require"
            case cases.OWN_CERTIFICATE:
                request |= {key: self.files[key] for key in ("sslcert", "sslkey")}
            case cases.OTHER_HOST:
                request["host"] = "localhost"
            case cases.KEYLESS:
                del request["public_key"]
        if case.detail in (cases.COLD, cases.COLD_SOCKET, cases.KEYLESS):
            self.server.query("FLUSH PRIVILEGES")  # it forgets which passwords it has verified
        elif isinstance(self.server, MySQL) and case.login == "sha2":
            pymysql.connect(
                unix_socket=str(self.server.socket), user="sha2", password=PASSWORD, ssl_disabled=True
            ).close()
        return request

    def version(self) -> str:
        """The server's."""
        told = str(self.server.query("SELECT version()")[0][0])
        found = re.search(r"\d+(\.\d+)+", told)
        assert found is not None, told
        return found.group()


@contextmanager
def postgresql_stage(installation: Installation) -> Iterator[Stage]:
    """About a second."""
    with _ending() as (ending, directory):
        certificates = Certificates(directory)
        ground = Ground.prepared(installation, directory)
        settings = {
            **tls(certificates.server("db.test", "127.0.0.1"), clients=certificates.authority),
            **access(
                ground,
                "clients",
                "host all scram all scram-sha-256",
                "hostssl all scram_tls all scram-sha-256",
                "host all md5 all md5",
                "hostssl all password all password",
                "hostssl all cert all cert",
            ),
        }
        server = PostgreSQL.created(ground, "clients", settings=settings)
        ending.callback(server.stop)
        server.start()
        for account in ("scram", "scram_tls", "password", "cert"):
            add_user(server, account, PASSWORD)
        add_user(server, "md5", PASSWORD, encryption="md5")
        yield _before(server, "postgresql", certificates, ending, directory)


@contextmanager
def mysql_stage(kind: type[MySQLServer]) -> Iterator[Stage]:
    """About two seconds for MariaDB, six for MySQL."""
    with _ending() as (ending, directory):
        certificates = Certificates(directory)
        accounts = {
            MariaDB: {
                "native": "mysql_native_password",
                "native_tls": "mysql_native_password",
                "native_x509": "mysql_native_password",
                "ed25519": "ed25519",
            },
            MySQL: {
                "sha2": "caching_sha2_password",
                "sha2_tls": "caching_sha2_password",
                "sha2_x509": "caching_sha2_password",
                "sha256": "sha256_password",
            },
        }[kind]
        settings = mysql_server.tls(
            certificates.server("db.test", "127.0.0.1"), clients=certificates.authority
        )
        if kind is MariaDB:
            settings["plugin-load-add"] = "auth_ed25519"
        server = kind.created(directory, "clients", settings=settings)
        ending.callback(server.stop)
        server.start()
        server.query("ALTER DATABASE app CHARACTER SET utf8mb4")
        for account, plugin in accounts.items():
            by = f"VIA {plugin} USING PASSWORD('{PASSWORD}')"
            if kind is MySQL:
                by = f"WITH {plugin} BY '{PASSWORD}'"
            server.query(f"CREATE USER '{account}' IDENTIFIED {by}")
            server.query(f"GRANT ALL ON app.* TO '{account}'")
            if "_" in account:
                asked = "X509" if account.endswith("_x509") else "SSL"
                server.query(f"ALTER USER '{account}' REQUIRE {asked}")
        yield _before(server, "mysql", certificates, ending, directory)


@contextmanager
def _ending() -> Iterator[tuple[ExitStack, Path]]:
    with temporary_directory("dbambassador-clients-") as directory, ExitStack() as ending:
        yield ending, directory


def _before(
    server: Server, protocol: str, certificates: Certificates, ending: ExitStack, directory: Path
) -> Stage:
    own = certificates.client("cert")
    files = {
        "ca": str(certificates.authority),
        "other": str(certificates.unknown_authority().chain),
        "sslcert": str(own.chain),
        "sslkey": str(own.key),
    }
    make: Callable[..., dict[str, Any]] = postgresql_database if protocol == "postgresql" else mysql_database
    socket = ".s.PGSQL.5432" if protocol == "postgresql" else "mysqld.sock"
    databases, listens = {}, {}
    for number, way in enumerate(WAYS):
        if protocol == "mysql" and "sslnegotiation" in way.settings:
            continue
        name = f"way-{number}"
        settings = {key: value.format(**files) for key, value in way.settings.items()}
        database = make(f"{way.host}:{server.port}", hold="0s", **settings)
        own_socket = directory / name / socket
        own_socket.parent.mkdir()
        database["listen"].append(f"unix:{own_socket}")
        databases[name] = database
        listens[way] = (port_of(database), str(own_socket))
    hosts = directory / "root/etc/hosts"
    hosts.parent.mkdir(parents=True)
    hosts.write_text("127.0.0.1 db.test other.test\n")
    started = Ambassador(
        ("--environments", environments(directory, **databases), "--root", hosts.parents[1], *CHOSEN),
        directory / "ambassador.log",
    )
    ending.callback(started.process.end)
    started.wait_ready()
    until(lambda: _all_known(started.status()), "every address has been checked")
    return Stage(server, started, listens, files, "postgres" if protocol == "postgresql" else "app")


def _all_known(status: Mapping[str, Any]) -> bool:
    states = [[address["state"] for address in database["addresses"]] for database in status["databases"]]
    return all(known and "new" not in known for known in states)


STAGES: Mapping[str, Callable[[], AbstractContextManager[Stage]]] = {
    "PostgreSQL 15": lambda: postgresql_stage(postgresql_with_tls()),
    "PostgreSQL 18": lambda: postgresql_stage(sid_postgresql()),
    "MariaDB": lambda: mysql_stage(MariaDB),
    "MySQL": lambda: mysql_stage(MySQL),
}
