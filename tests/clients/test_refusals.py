"""The ambassador's own errors, before any server has greeted, as real clients of MySQL understand them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.clients.client import Client
from tests.clients.clients import MYSQL
from tests.end_to_end.mysql_sessions import connect
from tests.end_to_end.setting import CHOSEN, environments, mysql_database, port_of
from tests.testbed.mariadb import PASSWORD, USER, MariaDB
from tests.testbed.processes import StartAmbassador

NO_NUMBER = "MariaDB J"
"""It tells the text alone."""


@pytest.mark.parametrize("name", MYSQL)
def test_a_client_is_told_that_there_is_no_server_and_that_there_are_too_many_clients(
    name: str, ambassador: StartAmbassador, mariadb: MariaDB, tmp_path: Path
) -> None:
    nowhere = mysql_database("127.0.0.1:1", hold="0s")
    full = mysql_database(f"127.0.0.1:{mariadb.port}")
    ambassador("--environments", environments(tmp_path, catalog=nowhere), *CHOSEN)
    ambassador("--environments", environments(tmp_path, catalog=full), *CHOSEN, "--max-connections", "1")
    with closing(MYSQL[name]()) as client, connect(port_of(full)):
        for tls in ("default", "disable", "require"):
            for database, number, text in (
                (nowhere, "1053", "dbambassador: no usable address"),
                (full, "1040", "dbambassador: connection limit"),
            ):
                told = refused(client, port_of(database), tls)
                assert text in told
                assert number in told or name == NO_NUMBER


def refused(client: Client, port: int, tls: str) -> str:
    """Number and text, as far as the client tells them."""
    account = {"user": USER, "password": PASSWORD, "database": "app", "text": "-", "ca": ""}
    answer = client.ask({"host": "127.0.0.1", "port": str(port), "tls": tls, **account})
    assert not answer.ok
    return str(answer)
