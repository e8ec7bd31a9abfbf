"""What the status says of a real session on a real server."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import jsonschema
import psycopg

from dbambassador.demo.postgresql import PostgreSQL
from tests.end_to_end.setting import CHOSEN, environments, port_of, postgresql_database, until
from tests.testbed.processes import StartAmbassador

SCHEMA = json.loads((resources.files("dbambassador.commands") / "schemas" / "status.schema.json").read_text())


def test_the_status_of_a_session_while_it_lives_and_after(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    database = postgresql_database(
        f"127.0.0.1:{postgresql.port}", target_session_attrs="read-write", hold="3s"
    )
    flags = ("--max-connections", "7")
    running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN, *flags)
    with psycopg.connect(host="127.0.0.1", port=port_of(database), user="postgres") as session:
        session.execute("SELECT repeat('x', 100000)")
        # The relay engine tells of a session that it opened itself in its own time.
        until(lambda: running.status()["databases"][0]["sessions"] == 1, "the session is known")
        live = running.status()
        jsonschema.validate(live, SCHEMA, jsonschema.Draft202012Validator)
        orders = live["databases"][0]
        assert (orders["target_session_attrs"], orders["balance"], orders["hold_seconds"]) == (
            "read-write",
            None,
            3.0,
        )
        assert live["clients"] == {"connected": 1, "limit": 7}
        assert orders["to_client_bytes"] > 100_000 > orders["to_server_bytes"] > 0
        (address,) = orders["addresses"]
        assert (address["sessions"], address["latency_of"]) == (1, "dial")
        assert 0 < address["latency_seconds"] < 2
    until(lambda: running.status()["databases"][0]["sessions"] == 0, "the session ends")
    after = running.status()["databases"][0]
    assert after["to_client_bytes"] >= orders["to_client_bytes"]
    assert after["to_server_bytes"] > orders["to_server_bytes"], "its farewell counts too"

    (fact,) = live["environment"]["facts"]
    assert (fact["name"], fact["value"]) == ("dbambassador.platform", "bare")
    assert (live["environment"]["others"], live["environment"]["others_in_all"]) == ([], 0)
