"""The development overlay's pod with real programs: what a kubelet would start, in its order, in one network.

Beside it the database of examples/database, behind the SRV record that its headless Service would have. What
only a cluster has is not here: isolation, restarts, the kubelet's own clock.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import trustme

from dbambassador.demo.postgresql import SUPERUSER, Ground
from tests.deployment import kubelet
from tests.deployment.files import MANIFESTS, MOUNTED
from tests.deployment.kustomize import Object, built
from tests.deployment.pods import SIDECAR, Pod, pods
from tests.end_to_end.setting import until
from tests.end_to_end.test_networks import PORT, server_on
from tests.testbed.dns import Knot, knot
from tests.testbed.netns import Host, Lan
from tests.testbed.processes import environ, words

USER = "orders"
SERVICE = "orders-db"


@pytest.fixture
def pod() -> Pod:
    (found,) = pods(built(MANIFESTS / "overlays" / "development"))
    return found


@contextmanager
def cluster_dns(app: Host, database: Host, namespace: str) -> Iterator[Knot]:
    """What a cluster's nameserver says of a headless Service with one pod; on the application's loopback."""
    records = (
        f"_postgresql._tcp.{SERVICE} 5 SRV 0 100 {PORT} {SERVICE}-0.{SERVICE}",
        f"{SERVICE}-0.{SERVICE} 5 A {database.ip}",
    )
    server = knot(f"{namespace}.svc.cluster.local", records=records)
    try:
        yield app.call(server.__enter__)
    finally:
        server.__exit__(None, None, None)


def variables_of(pod: Pod, container: Object, **more: str) -> Mapping[str, str]:
    """A Secret's value is the name of the user, who needs no password here."""
    secrets = {each["name"]: USER for each in container["env"] if "secretKeyRef" in each.get("valueFrom", {})}
    return environ({**kubelet.environ(pod, container), **secrets, **more})


def passes(app: Host, probe: Object) -> bool:
    program, *arguments = probe["exec"]["command"]
    assert program == SIDECAR
    asked = subprocess.run(app.command(*words(*arguments)), env=environ(), capture_output=True, timeout=10)
    return asked.returncode == 0


def execute(host: Host, statement: str, database: str = "orders") -> list[tuple[object, ...]]:
    """Runs it where the database is, not through the ambassador."""
    where = f"host=127.0.0.1 port={PORT} user={SUPERUSER} dbname={database}"

    def asked() -> list[tuple[object, ...]]:
        with psycopg.connect(where, autocommit=True) as connection:
            done = connection.execute(statement)
            return done.fetchall() if done.description else []

    return host.call(asked)


def test_it_starts_in_order_works_and_ends_in_order(
    pod: Pod, four_hosts: Lan, postgresql_ground: Ground, tmp_path: Path
) -> None:
    app, server = four_hosts["app"], four_hosts["db-a"]
    sidecar, migrate, application = pod.containers
    objects = built(MANIFESTS / "overlays" / "development")
    root = tmp_path / "root"
    kubelet.lay_out(pod, sidecar, objects, root, ca=trustme.CA().cert_pem.bytes().decode())
    # psql, which the containers have from their image.
    path = os.pathsep.join((str(postgresql_ground.installation.bin), os.defpath))
    log, output = tmp_path / "ambassador.log", tmp_path / "app.log"

    with (
        server_on(server, postgresql_ground, "in-the-cluster"),
        cluster_dns(app, server, pod.namespace) as names,
        app.start(
            words(*sidecar["args"]),
            log,
            environ=variables_of(
                pod,
                sidecar,
                # What a container has of its own: a root, and a nameserver in its resolv.conf.
                DBAMBASSADOR_ROOT=str(root),
                DBAMBASSADOR_ENVIRONMENTS=str(root / MOUNTED.lstrip("/")),
                DBAMBASSADOR_NAMESERVER=f"{names.address.host}:{names.address.port}",
            ),
        ) as ambassador,
    ):
        execute(server, f"CREATE ROLE {USER} LOGIN", "postgres")
        execute(server, f"CREATE DATABASE orders OWNER {USER}", "postgres")

        until(lambda: passes(app, sidecar["startupProbe"]), "the startup probe passes")
        assert "environment kubernetes-development" in log.read_text()

        migration = app.start(
            migrate["command"], tmp_path / "migrate.log", environ=variables_of(pod, migrate, PATH=path)
        )
        assert migration.wait(timeout=20) == 0, migration.tail()

        with app.start(application["command"], output, environ=variables_of(pod, application, PATH=path)):
            until(lambda: f"1 rows in the database at {server.ip}" in output.read_text(), "a row arrives")
            assert passes(app, sidecar["readinessProbe"])
            assert passes(app, sidecar["livenessProbe"])
        assert execute(server, "SELECT count(*) > 0 FROM visits") == [(True,)]

        assert ambassador.end() == 143  # a native sidecar ends after the application
