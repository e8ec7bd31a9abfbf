"""The compose files as a newcomer starts them: what applications write to localhost arrives."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deployment.files import ENVIRONMENTS, REPOSITORY
from tests.testbed.containers import Podman
from tests.testbed.processes import PATIENCE, POLL

COMPOSE = Path(sys.executable).with_name("podman-compose")
PASSWORD = "only-for-this-example"
PAUSE = "while sleep 2;"
"""Between two rows of an application; the tests are in a hurry."""
LATER = 2
"""Rows that show that an application goes on: one may have been on its way."""

POSTGRESQL_CLIENT = """
import psycopg
with psycopg.connect("host=localhost user=orders password={} connect_timeout=10") as connection:
    print(*connection.execute("SHOW cluster_name").fetchone())
"""
MARIADB_CLIENT = """
import pymysql
with pymysql.connect(host="localhost", user="catalog", password="{}", database="catalog") as connection:
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@hostname")
        print(*cursor.fetchone())
"""

pytestmark = pytest.mark.waits


@dataclass(slots=True)
class Project:
    """A copy of the compose files and of the environments."""

    podman: Podman
    directory: Path
    file: str = "compose.yaml"

    def compose(self, *words: str, environment: str = "") -> None:
        variables = {"DBAMBASSADOR_ENVIRONMENT": environment}
        file = self.directory / self.file
        self.podman.run(COMPOSE, "--file", file, *words, timeout=90.0, variables=variables)

    def name(self, service: str) -> str:
        return f"{self.directory.name}_{service}_1"

    def inside(self, service: str, *words: str, user: str = "0") -> str:
        """What a program in a service's container says."""
        password = ("--env", f"MYSQL_PWD={PASSWORD}")
        return self.podman("exec", "--user", user, *password, self.name(service), *words).strip()

    def logged(self, service: str) -> str:
        done = self.podman.ended("podman", "logs", self.name(service))
        return done.stdout + done.stderr

    def until(self, service: str, expected: str) -> None:
        """Waits until a service has logged this."""
        deadline = time.monotonic() + 3 * PATIENCE
        while expected not in (logged := self.logged(service)):
            if time.monotonic() > deadline:
                raise AssertionError(f"no {expected!r} in the log of {service}: {logged[-4000:]}")
            time.sleep(POLL)

    def orders(self, query: str) -> str:
        """The database's own answer, without any ambassador."""
        words = ("--username", "orders", "--tuples-only", "--no-align", "--command", query)
        return self.inside("postgres", "psql", *words)

    def catalog(self, query: str) -> str:
        """The database's own answer, without any ambassador."""
        words = ("--user", "catalog", "--protocol", "tcp", "--skip-column-names", "--execute", query)
        return self.inside("mariadb", "mariadb", *words, "catalog")


@pytest.fixture
def project(podman: Podman, tmp_path: Path) -> Iterator[Project]:
    """What it leaves behind fails the test."""
    directory = tmp_path / "shop"
    shutil.copytree(ENVIRONMENTS, directory / "environments")
    shutil.copy(REPOSITORY / "compose.ide.yaml", directory)
    text = (REPOSITORY / "compose.yaml").read_text()
    assert PAUSE in text
    (directory / "compose.yaml").write_text(text.replace(PAUSE, "while sleep 0.2;"))
    before = left(podman)
    made = Project(podman, directory)
    try:
        yield made
    finally:
        made.compose("down", "--volumes")
    assert left(podman) == before


def left(podman: Podman) -> list[str]:
    """Containers, volumes and networks."""
    kinds = (("ps", "--all"), ("volume", "ls"), ("network", "ls"))
    return [line for kind in kinds for line in podman(*kind).splitlines()]


def test_what_applications_write_to_localhost_arrives_whatever_happens_to_the_database(
    project: Project,
) -> None:
    project.compose("up", "--detach")
    project.until("orders-app", "1 visits in postgres\n")
    project.until("catalog-app", "1 looks in mariadb\n")
    for service in ("ambassador", "postgres", "postgres-test", "mariadb"):
        project.podman.until("", "healthcheck", "run", project.name(service))

    # By TCP and by socket, each as a user whom nobody knows.
    visit = "INSERT INTO visits VALUES ('1999-01-01')"
    for host in (["--host", "localhost"], []):
        project.inside("orders-app", "psql", *host, "--command", visit, user="4242")
    look = "INSERT INTO looks VALUES ('1999-01-01')"
    for host in (["--host", "127.0.0.1"], ["--host", "localhost"]):
        words = ("--user", "catalog", "--execute", look, "catalog")
        project.inside("catalog-app", "mariadb", *host, *words, user="4242")
    by_hand = "SELECT count(*) FROM {} WHERE at < '2000-01-01'"
    assert project.orders(by_hand.format("visits")) == "2"
    assert project.catalog(by_hand.format("looks")) == "2"
    with pytest.raises(AssertionError, match="Read-only file system"):
        project.inside("orders-app", "rm", "/var/run/postgresql/.s.PGSQL.5432")

    # Databases come back, as a rule with other addresses.
    visits = int(project.orders("SELECT count(*) FROM visits"))
    looks = int(project.catalog("SELECT count(*) FROM looks"))
    project.compose("restart", "postgres", "mariadb")
    project.until("orders-app", f"\n{visits + LATER} visits in postgres\n")
    project.until("catalog-app", f"\n{looks + LATER} looks in mariadb\n")

    # One variable, and they are led elsewhere.
    project.compose("up", "--detach", "--force-recreate", environment="compose-test")
    project.until("orders-app", "1 visits in postgres-test\n")
    assert " visits in postgres\n" not in project.logged("orders-app")
    assert "environment compose-test (test)" in project.logged("ambassador")


def test_from_the_ide_the_databases_are_on_the_laptops_localhost(project: Project) -> None:
    project.file = "compose.ide.yaml"
    project.compose("up", "--detach")
    for database in ("orders", "catalog"):
        project.until("ambassador", f"{database}: sessions go to")
    for port in (5432, 3306):
        loudly = (
            f"listening on 0.0.0.0:{port}, beyond loopback: whoever reaches this host reaches the database"
        )
        assert loudly in project.logged("ambassador")
    for client, server in ((POSTGRESQL_CLIENT, "postgres"), (MARIADB_CLIENT, "mariadb")):
        assert project.podman.run(sys.executable, "-c", client.format(PASSWORD)).strip() == server
