"""Pods, as a kubelet starts and ends their containers: processes that share a network namespace."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dbambassador.demo.postgresql import Ground
from dbambassador.demo.processes import Process
from tests.end_to_end.setting import CHOSEN, environments, postgresql_database, until
from tests.end_to_end.test_networks import server_on
from tests.testbed.netns import Host, Lan, lan
from tests.testbed.processes import environ, words
from tests.testbed.requirements import require

PORT = 5432
PSQL = ("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "-hlocalhost", "-Upostgres", "-c")

APP = """
write() { psql -Xq -h localhost -U postgres -c "INSERT INTO $0 VALUES ('$1')" || exit 9; }
trap 'sleep 0.5; write last; exit 0' TERM
write first
while :; do write more; sleep 0.05; done
"""
"""Hardcoded to localhost; on SIGTERM it writes once more, half a second later, by a new connection."""


class Pod:
    """Containers by name. Everybody has the same files, and the ambassador's flags are its own."""

    def __init__(self, host: Host, directory: Path, ending: ExitStack) -> None:
        self._host = host
        self._directory = directory
        self.environments = directory / "environments"
        self._ending = ending

    def start(self, name: str, *command: str | Path) -> Process:
        container = self._host.start(command, self._directory / f"{name}.log", environ=environ())
        self._ending.callback(container.end)
        return container

    def start_ambassador(self, *flags: str) -> Process:
        run = words("run", "--environments", self.environments, *CHOSEN, *flags)
        return self.start("ambassador", *run)

    def run(self, *command: str | Path) -> int:
        """An init container, or an exec probe. Returns: its exit code."""
        log = self._directory / "init.log"
        with log.open("ab") as output:
            done = subprocess.run(
                self._host.command(*command), env=environ(), stdout=output, stderr=output, timeout=30
            )
        return done.returncode

    def until_started(self) -> None:
        """As the kubelet waits for a native sidecar before it starts the next container."""
        until(lambda: self.run(*words("probe", "startup")) == 0, "the startup probe succeeds")

    def written(self, table: str) -> list[str]:
        asked = self._host.run(*PSQL[:-1], "-At", "-c", f"SELECT * FROM {table}")
        return asked.split()


@pytest.fixture(scope="module")
def hosts(postgresql_ground: Ground) -> Iterator[Lan]:
    """`app`, where the pods are, and `db` with a PostgreSQL server."""
    require("psql", package="postgresql-client")
    with lan("app", "db") as made, server_on(made["db"], postgresql_ground, "pods"):
        yield made


@pytest.fixture
def pod(hosts: Lan, tmp_path: Path) -> Iterator[Pod]:
    environments(tmp_path, orders=postgresql_database(f"{hosts['db'].ip}:{PORT}", PORT))
    with ExitStack() as ending:
        yield Pod(hosts["app"], tmp_path, ending)


def test_a_native_sidecar_is_there_for_init_containers_and_outlives_its_application(pod: Pod) -> None:
    ambassador = pod.start_ambassador()
    pod.until_started()
    assert pod.run(*PSQL, "CREATE TABLE native (what text)") == 0
    assert pod.run(*words("probe", "readiness")) == 0
    app = pod.start("app", "sh", "-c", APP, "native")
    until(lambda: "first" in pod.written("native"), "the application writes")
    app.send(app.end_signal)
    assert app.wait(20) == 0, app.tail()
    assert pod.written("native")[-1] == "last"
    asked_at = time.monotonic()
    ambassador.send(ambassador.end_signal)
    assert ambassador.wait(20) == 143
    assert time.monotonic() - asked_at < 5


@pytest.mark.parametrize("by", ["dbambassador shutdown", "curl"])
def test_a_job_with_an_old_style_sidecar_ends(pod: Pod, by: str) -> None:
    """All containers start at once, and the pod is over when all have ended. Nobody sends a signal."""
    end = " ".join(words("shutdown"))
    if by == "curl":
        require("curl", package="curl")
        end = "curl -fsS -X POST localhost:9091/quitquitquit"
    table = by.split()[0]
    work = f"{' '.join(PSQL)} 'CREATE TABLE {table} AS SELECT 1' && {end}"
    app = pod.start("app", *words("wait", "--max", "20s", "--", "sh", "-c", work))
    ambassador = pod.start_ambassador("--min-sigterm-delay", "60s", "--max-sigterm-delay", "60s")
    assert app.wait(20) == 0, app.tail()
    assert ambassador.wait(5) == 0, "an order is no SIGTERM: nobody is left to wait for"


def test_an_old_style_sidecar_goes_on_for_an_application_that_ends_at_the_same_time(pod: Pod) -> None:
    ambassador = pod.start_ambassador(
        *("--min-sigterm-delay", "2s", "--max-sigterm-delay", "5s", "--exit-zero-on-sigterm")
    )
    assert pod.run(*words("wait", "--for", "ambassador"), "--", *PSQL, "CREATE TABLE old (what text)") == 0
    app = pod.start("app", "sh", "-c", APP, "old")
    until(lambda: "first" in pod.written("old"), "the application writes")
    for container in (ambassador, app):
        container.send(container.end_signal)
    assert app.wait(20) == 0, app.tail()
    assert pod.run(*words("probe", "readiness")) == 1
    assert pod.written("old")[-1] == "last"
    assert ambassador.wait(20) == 0


def test_without_a_delay_the_same_application_fails(pod: Pod) -> None:
    """What the test before shows, the flag does."""
    ambassador = pod.start_ambassador()
    pod.until_started()
    assert pod.run(*PSQL, "CREATE TABLE hasty (what text)") == 0
    app = pod.start("app", "sh", "-c", APP, "hasty")
    until(lambda: "first" in pod.written("hasty"), "the application writes")
    for container in (ambassador, app):
        container.send(container.end_signal)
    assert app.wait(20) == 9
    assert ambassador.wait(20) == 143


def test_an_init_container_waits_for_the_database_itself(pod: Pod) -> None:
    """Before 1.29, init containers run before every sidecar: `wait --for database` needs none."""
    there = pod.start(
        "wait", *words("wait", "--for", "database", "--environments", pod.environments, *CHOSEN)
    )
    assert there.wait(20) == 0, there.tail()
