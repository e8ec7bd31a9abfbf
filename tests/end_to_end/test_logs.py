"""What a whole run writes: nothing but lines of the schema, in both forms."""

from __future__ import annotations

import json
import re
from pathlib import Path

import psycopg
import pytest

from dbambassador.demo.postgresql import PostgreSQL
from tests.end_to_end.setting import CHOSEN, environments, port_of, postgresql_database
from tests.observability.test_log_schema import VALIDATOR
from tests.testbed.dns import Knot
from tests.testbed.processes import StartAmbassador

PLAIN = re.compile(r"\d\d:\d\d:\d\d (warning: |error: )?\S.*")


@pytest.mark.parametrize("flags", [(), ("--structured-logs",), ("--structured-logs", "--debug-logs")])
def test_every_line_of_a_run_is_one_of_the_log(
    ambassador: StartAmbassador,
    postgresql: PostgreSQL,
    nameserver: Knot,
    tmp_path: Path,
    flags: tuple[str, ...],
) -> None:
    nameserver.replace("orders", "A", "127.0.0.1")
    orders = postgresql_database(f"orders.db.test:{postgresql.port}")
    nowhere = postgresql_database("missing.db.test:5432", hold="0s")
    directory = environments(tmp_path, orders=orders, nowhere=nowhere)
    running = ambassador(
        "--environments", directory, *CHOSEN, "--nameserver", str(nameserver.address), *flags
    )
    dsn = "host=127.0.0.1 user=postgres dbname=postgres connect_timeout=10 port="
    with psycopg.connect(f"{dsn}{port_of(orders)}"), pytest.raises(psycopg.OperationalError):
        psycopg.connect(f"{dsn}{port_of(nowhere)}")
    running.stop()
    if not flags:
        assert all(PLAIN.fullmatch(line) for line in running.lines())
        return
    lines = [json.loads(line) for line in running.lines()]
    for line in lines:
        VALIDATOR.validate(line)
    told = {line["event"] for line in lines}
    assert {"started", "environment_chosen", "choice_changed", "ready", "drain_started", "stopped"} <= told
    assert ({"session_opened", "session_ended", "client_refused"} <= told) == ("--debug-logs" in flags)
    assert all(line["level"] != "debug" for line in lines) == ("--debug-logs" not in flags)
