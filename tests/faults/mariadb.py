"""MariaDB on hosts of their own: a primary with a semi-synchronous replica, by GTID."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pymysql

from tests.end_to_end.setting import until
from tests.faults.database import (
    MARIADB_DATABASE,
    PASSWORD_OF_USER,
    PROBE,
    PROBE_PASSWORD,
    USER,
    Node,
)
from tests.testbed import mariadb
from tests.testbed.mariadb import MariaDB
from tests.testbed.netns import Host

PORT = 3306
SETTINGS = {
    "bind-address": "*",
    "binlog-format": "ROW",  # a row says which server took it, also on the replica
    # Nothing is acknowledged, or shown to others, that the replica does not have:
    # https://mariadb.com/kb/en/semisynchronous-replication/
    "rpl-semi-sync-master-wait-point": "AFTER_SYNC",
    "rpl-semi-sync-master-timeout": "60000",
    "rpl-semi-sync-slave-enabled": "ON",
    "innodb-flush-log-at-trx-commit": "2",  # what was acknowledged outlives the process
    "max-connections": "20",  # soon full
}
SCHEMA = (
    f"CREATE TABLE {MARIADB_DATABASE}.written "
    "(`loop` varchar(20), number int, server varchar(20), PRIMARY KEY (`loop`, number))",
    f"CREATE USER {USER} IDENTIFIED BY '{PASSWORD_OF_USER}'",
    f"GRANT SELECT, INSERT ON {MARIADB_DATABASE}.* TO {USER}",
    f"CREATE USER {PROBE} IDENTIFIED BY '{PROBE_PASSWORD}'",
)
SEMI_SYNCHRONOUS = "SET GLOBAL rpl_semi_sync_master_enabled = "


class MariadbNode(Node):
    port = PORT
    refusal = pymysql.err.OperationalError

    def __init__(self, directory: Path, host: Host, name: str) -> None:
        """Data below `directory`, which must be one that other users can enter."""
        super().__init__(host, name)
        own = {**SETTINGS, "server-id": str(int.from_bytes(name.encode())), "report-host": name}
        self._server = MariaDB.created(directory, f"{host.namespace}-{name}", settings=own, port=PORT)

    @property
    def pid(self) -> int:
        return self._server.pid

    def start_primary(self) -> None:
        self.host.call(self._server.start)

    def start_replicated(self) -> None:
        self.start_primary()
        for statement in SCHEMA:
            self._server.query(statement)

    def start_replica(self, primary: Node) -> None:
        self._follow(primary, "")

    def await_replica(self) -> None:
        self._server.query(SEMI_SYNCHRONOUS + "ON")
        status = "SHOW STATUS LIKE 'Rpl_semi_sync_master_clients'"
        until(lambda: self._server.query(status)[0][1] == "1", f"{self.name} has a replica")

    def return_as_replica(self, primary: Node) -> None:
        self._follow(primary, ", master_demote_to_slave=1")

    def promote(self) -> None:
        self._server.query("STOP SLAVE IO_THREAD")
        received = self._slave_status()["Gtid_IO_Pos"]
        if self._server.query(f"SELECT MASTER_GTID_WAIT('{received}', 10)") != ((0,),):
            raise AssertionError(f"{self.name} has not replayed {received} in 10 s")
        self._server.promote()

    def kill(self) -> None:
        self._server.kill()

    def stop(self) -> None:
        if self._server.running:
            self.thaw()
            self._server.kill()
        shutil.rmtree(self._server.log.parent)

    def connect_from(self, host: Host) -> AbstractContextManager[Any]:
        return host.call(
            lambda: pymysql.connect(
                host=self.host.ip, port=PORT, user=USER, password=PASSWORD_OF_USER, connect_timeout=5
            )
        )

    def rows(self) -> dict[tuple[str, int], str]:
        found = self._server.query(f"SELECT `loop`, number, server FROM {MARIADB_DATABASE}.written")
        return {(str(loop), int(number)): str(server) for loop, number, server in found}

    def _follow(self, primary: Node, options: str) -> None:
        self.start_primary()
        for statement in (
            "SET GLOBAL read_only = 1",
            f"CHANGE MASTER TO master_host='{primary.host.ip}', master_port={PORT}, "
            f"master_user='{mariadb.USER}', master_password='{mariadb.PASSWORD}', "
            f"master_connect_retry=1, master_use_gtid=slave_pos{options}",
            "START SLAVE",
        ):
            self._server.query(statement)

    def _slave_status(self) -> dict[str, Any]:
        connection = pymysql.connect(unix_socket=str(self._server.socket), user="root")
        with connection, connection.cursor(pymysql.cursors.DictCursor) as cursor:
            cursor.execute("SHOW SLAVE STATUS")
            row = cursor.fetchone()
        assert row is not None
        return row
