"""PostgreSQL on hosts of their own: a primary with a synchronous streaming standby."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from dbambassador.demo.postgresql import Ground, PostgreSQL
from tests.end_to_end.setting import until
from tests.faults.database import PASSWORD_OF_USER, PROBE, PROBE_PASSWORD, USER, Node
from tests.testbed.netns import Host

PORT = 5432

TEMPLATE_SETTINGS = {
    "listen_addresses": "*",
    "wal_receiver_status_interval": "100ms",
    "wal_sender_timeout": "0",  # a silent standby is not dropped within a row
    "wal_retrieve_retry_interval": "100ms",  # a standby that waits for that is not promoted meanwhile
    "max_connections": "20",  # soon full; a standby cannot have fewer than its primary
}
SCHEMA = (
    "CREATE TABLE written (loop text, number int, server text, PRIMARY KEY (loop, number))",
    f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD_OF_USER}'",
    f"GRANT SELECT, INSERT ON written TO {USER}",
    f"CREATE ROLE {PROBE} LOGIN PASSWORD '{PROBE_PASSWORD}'",
)


class PostgresqlTemplate:
    """The data of a primary and of its standby, made once and copied for every row."""

    def __init__(self, ground: Ground, directory: Path) -> None:
        """`directory` must be one that other users can enter. Takes two seconds."""
        self.ground = ground
        own = Ground(ground.installation, directory, ground.identity)
        primary = PostgreSQL.created(own, "primary", settings=TEMPLATE_SETTINGS)
        with (primary.data / "pg_hba.conf").open("w") as rules:
            rules.write(f"host all {USER},{PROBE} all scram-sha-256\nhost all all all trust\n")
            rules.write("host replication all all trust\n")
        try:
            primary.start()
            for statement in SCHEMA:
                primary.query(statement)
            self.standby_data = primary.standby("standby").data
        finally:
            primary.stop()
        self.primary_data = primary.data

    def copy(self, data: Path, to: PostgreSQL) -> None:
        home = to.data.parent
        home.mkdir()
        self.ground.identity.give(home)
        subprocess.run(["cp", "-a", data, to.data], check=True, timeout=60)


class PostgresqlNode(Node):
    port = PORT
    refusal = psycopg.OperationalError

    def __init__(self, template: PostgresqlTemplate, directory: Path, host: Host, name: str) -> None:
        super().__init__(host, name)
        self._template = template
        ground = Ground(template.ground.installation, directory, template.ground.identity)
        self._ground = ground
        self._server = PostgreSQL(ground, name, PORT)

    @property
    def pid(self) -> int:
        return self._server.pid

    def start_primary(self) -> None:
        self._start(self._template.primary_data, {})

    def start_replicated(self) -> None:
        self._start(self._template.primary_data, {"synchronous_standby_names": "*"})

    def start_replica(self, primary: Node) -> None:
        self._start(self._template.standby_data, {"primary_conninfo": _to(primary)}, standby=True)

    def return_as_replica(self, primary: Node) -> None:
        shutil.rmtree(self._server.data)
        copy = partial(
            self._ground.run,
            "pg_basebackup",
            *("-d", f"{_to(primary)} dbname=replication", "-D", self._server.data),
            *("-X", "stream", "--checkpoint=fast", "--no-sync"),
        )
        self.host.call(copy)
        self.start_replica(primary)

    def start_slowly(self) -> None:
        """Starts, and refuses sessions with 57P03 until `be_ready`."""
        # A standby that is not "hot" answers 57P03 like a server in crash recovery, for as long as we like.
        self._start(self._template.primary_data, {"hot_standby": "off"}, standby=True)

    def be_ready(self) -> None:
        """Ends what `start_slowly` began; returns when it takes writes."""
        (self._server.data / "promote").touch()
        os.kill(self.pid, signal.SIGUSR1)
        until(self._takes_writes, f"{self.name} takes writes")

    def await_replica(self) -> None:
        sql = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
        until(lambda: bool(self._query(sql)), f"{self.name} has a synchronous standby")

    def promote(self) -> None:
        self.host.call(self._server.promote)

    def kill(self) -> None:
        self._server.kill()

    def stop(self) -> None:
        if self._server.running:
            self.thaw()
            # No orderly end: a primary without its standby would wait, and the data is thrown away.
            self._server.kill()

    def connect_from(self, host: Host) -> AbstractContextManager[Any]:
        parameters = (
            f"host={self.host.ip} port={PORT} user={USER} password={PASSWORD_OF_USER} dbname=postgres "
            "connect_timeout=5"
        )
        return host.call(lambda: psycopg.connect(parameters, autocommit=True))

    def rows(self) -> dict[tuple[str, int], str]:
        found = self._query("SELECT loop, number, server FROM written")
        return {(str(loop), int(str(number))): str(server) for loop, number, server in found}

    def _start(self, data: Path, settings: Mapping[str, str], *, standby: bool = False) -> None:
        if not self._server.data.exists():
            self._template.copy(data, self._server)
        signal_file = self._server.data / "standby.signal"
        signal_file.unlink(missing_ok=True)
        if standby:
            signal_file.touch()
        lines = [f"{key} = '{value}'\n" for key, value in settings.items()]
        # Over what pg_basebackup wrote there, whose replication slot this standby does without.
        (self._server.data / "postgresql.auto.conf").write_text("".join(lines))
        self.host.call(self._server.start)

    def _query(self, sql: str) -> list[tuple[object, ...]]:
        return self.host.call(partial(self._server.query, sql))

    def _takes_writes(self) -> bool:
        try:
            return self._query("SELECT pg_is_in_recovery()") == [(False,)]
        except psycopg.OperationalError:
            return False


def _to(primary: Node) -> str:
    return f"host={primary.host.ip} port={primary.port} user=postgres sslmode=disable"
