"""A real Prometheus watches a failover: alerts fire and end, and the dashboard's queries have series."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests.deployment.test_monitoring import RULES, queries
from tests.end_to_end.setting import CHOSEN, environments, port_of, postgresql_database
from tests.testbed.dns import Knot
from tests.testbed.postgresql import Pair
from tests.testbed.processes import StartAmbassador
from tests.testbed.prometheus import prometheus

NOTHING_TO_SHOW = re.compile(r"certificates|hold_seconds")
"""What this failover has none of."""


def _fires(name: str) -> str:
    return f'ALERTS{{alertname="{name}",alertstate="firing",environment="here"}}'


@pytest.mark.waits
def test_a_failover_as_prometheus_sees_it(
    ambassador: StartAmbassador, postgresql_pair: Pair, nameserver: Knot, tmp_path: Path
) -> None:
    primary, standby = postgresql_pair.primary, postgresql_pair.standby
    nameserver.replace("_postgresql._tcp.orders", "SRV", f"0 0 {primary.port} localhost-v4")
    database = postgresql_database("srv:_postgresql._tcp.orders.db.test", hold="0.2s")
    directory = environments(tmp_path, orders=database)
    nameserver_flags = ("--nameserver", str(nameserver.address))
    running = ambassador("--environments", directory, *CHOSEN, *nameserver_flags, "--max-connections", "50")
    dsn = f"host=127.0.0.1 port={port_of(database)} user=postgres dbname=postgres connect_timeout=10"
    impatient = re.sub("for: .*", "for: 300ms", RULES.read_text())
    target = f"127.0.0.1:{running.http_port}"
    with prometheus(tmp_path, target, impatient) as watcher, closing(psycopg.connect(dsn)):
        watcher.until("dbambassador_database_usable == 1")
        assert not watcher.query("ALERTS")

        primary.kill()
        ((labels, _),) = watcher.until(_fires("DbambassadorNoUsableAddress"))
        assert (labels["database"], labels["severity"]) == ("orders", "warning")
        with pytest.raises(psycopg.OperationalError, match="no usable address"):
            psycopg.connect(dsn)
        watcher.until(_fires("DbambassadorClientsRefused"))

        standby.promote()
        nameserver.replace("_postgresql._tcp.orders", "SRV", f"0 0 {standby.port} localhost-v4")
        watcher.until(_fires("DbambassadorFailover"))
        watcher.until("dbambassador_database_usable == 1")
        watcher.until(f"absent({_fires('DbambassadorNoUsableAddress')})")

        empty = [query for query in queries() if not watcher.query(query)]
        assert [query for query in empty if not NOTHING_TO_SHOW.search(query)] == []
        ((_, outages),) = watcher.query("dbambassador_outages_total")
        ((_, seconds),) = watcher.query("dbambassador_outage_seconds_total")
        assert outages == 1
        assert seconds > 0.3
        ((_, dials),) = watcher.query('dbambassador_dial_duration_seconds_count{database="orders"}')
        assert dials >= 1
