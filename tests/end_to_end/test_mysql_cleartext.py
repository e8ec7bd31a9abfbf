"""Clients that take a unix socket for private, and a MySQL that is reached over the network in plain."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from dbambassador.demo.processes import temporary_directory
from tests.end_to_end.mysql_sessions import asked
from tests.end_to_end.setting import CHOSEN, environments, mysql_database
from tests.testbed.mysql import PASSWORD, USER, MySQL
from tests.testbed.netns import Lan
from tests.testbed.processes import StartAmbassador
from tests.testbed.sid import sid_program

PORT = 3306


@pytest.fixture
def server(mysql_directory: Path, four_hosts: Lan) -> Iterator[MySQL]:
    """On another host, with a cold cache."""
    server = MySQL.created(mysql_directory, "far", settings={"bind-address": "0.0.0.0"}, port=PORT)
    try:
        yield server.start(four_hosts["db-a"])
    finally:
        server.stop()


def test_a_password_goes_over_the_network_in_clear_only_where_that_is_allowed(
    ambassador: StartAmbassador, server: MySQL, four_hosts: Lan, tmp_path: Path
) -> None:
    endpoint = f"{four_hosts['db-a'].ip}:{PORT}"
    with temporary_directory("socket-") as sockets:
        databases = {
            "strict": mysql_database(endpoint),
            "lenient": mysql_database(endpoint, allow_cleartext_passwords=True),
        }
        for name, database in databases.items():
            database["listen"] = [f"unix:{sockets}/{name}.sock"]
        running = ambassador(
            *("--environments", environments(tmp_path, **databases), *CHOSEN),
            prefix=four_hosts["app"].command(),
            ready=False,
        )
        for name in databases:
            running.wait_for(f"{name}: {endpoint} is up")
        strict, lenient = (sockets / f"{name}.sock" for name in databases)

        with pytest.raises(pymysql.OperationalError) as unsafe:
            over(strict)
        assert unsafe.value.args[0] == 1053
        assert "allow_cleartext_passwords" in unsafe.value.args[1]
        # The server asks for the password, and then takes none in clear: its connection is not encrypted.
        with pytest.raises(pymysql.OperationalError) as denied:
            over(lenient)
        assert denied.value.args[0] == 1045
        assert cipher_of_its_own(strict)
        with over(lenient) as connection:  # from now on the server knows it
            assert asked(connection, "SELECT 6*7") == 42


def over(path: Path) -> pymysql.Connection[Any]:
    return pymysql.connect(
        unix_socket=str(path), user=USER, password=PASSWORD, ssl_disabled=True, connect_timeout=10
    )


def cipher_of_its_own(path: Path) -> str:
    """Of a client that wants TLS over a unix socket as well."""
    client = sid_program("usr/bin/mysql")
    options = (f"-S{path}", f"-u{USER}", f"-p{PASSWORD}", "--ssl-mode=REQUIRED")
    query = "SHOW SESSION STATUS LIKE 'Ssl_cipher'"
    done = subprocess.run(
        [client, "--no-defaults", *options, "-Ne", query], capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[1]
