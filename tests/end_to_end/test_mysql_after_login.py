"""What MySQL's and MariaDB's clients do with a session beyond queries, through the ambassador's own TLS."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.mysql_sessions import connect
from tests.end_to_end.setting import CHOSEN, environments, mysql_database, port_of
from tests.testbed.certificates import Certificates
from tests.testbed.mariadb import PASSWORD, USER, MariaDB, tls
from tests.testbed.mysql import MySQL
from tests.testbed.mysql_server import MySQLServer
from tests.testbed.processes import StartAmbassador
from tests.testbed.requirements import require
from tests.testbed.sid import sid_program

LINES = 2000
LARGE = 20 * 1024 * 1024
"""Bytes: more than one packet holds."""


@pytest.fixture(params=["mariadb", "mysql"])
def server(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[MySQLServer]:
    kind = {"mariadb": MariaDB, "mysql": MySQL}[request.param]
    directory: Path = request.getfixturevalue(f"{request.param}_directory")
    settings = {"local-infile": "ON", "max-allowed-packet": "64M", **tls(certificates.server())}
    server = kind.created(directory, request.node.originalname[:40], settings=settings)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def port(server: MySQLServer, ambassador: StartAmbassador, tmp_path: Path) -> int:
    database = mysql_database(f"127.0.0.1:{server.port}", sslmode="require")
    ambassador("--environments", environments(tmp_path, catalog=database), *CHOSEN)
    return port_of(database)


def commands(server: MySQLServer, port: int) -> list[list[str]]:
    """The product's own client, with each of the ways to compress that it knows."""
    account = ["--no-defaults", "-h127.0.0.1", f"-P{port}", f"-u{USER}", f"-p{PASSWORD}", "-N"]
    limits = ["--local-infile=1", "--max-allowed-packet=64M"]
    if server.product == "MariaDB":
        client = [str(require("mariadb", package="mariadb-client")), *account, *limits, "--skip-ssl"]
        return [client, [*client, "--compress"]]
    client = [str(sid_program("usr/bin/mysql")), *account, *limits, "--ssl-mode=DISABLED"]
    ways = ("uncompressed", "zlib", "zstd")
    return [[*client, "--get-server-public-key", f"--compression-algorithms={way}"] for way in ways]


def test_compression_files_of_the_client_and_large_packets(
    server: MySQLServer, port: int, tmp_path: Path
) -> None:
    file = tmp_path / "lines"
    file.write_text("".join(f"{number:01000}\n" for number in range(LINES)))
    server.query("CREATE TABLE app.words (line TEXT)")
    for number, command in enumerate(commands(server, port)):
        statements = (
            "SHOW SESSION STATUS LIKE 'Compression'",
            f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE app.words",
            "SELECT COUNT(DISTINCT line), SUM(line) FROM app.words",
            "TRUNCATE app.words",
            f"SELECT REPEAT('x', {LARGE})",
        )
        said = run(*command, "-e", "; ".join(statements)).split("\n")
        assert said[0] == f"Compression\t{'ON' if number else 'OFF'}"
        assert said[1] == f"{LINES}\t{sum(range(LINES))}"
        assert said[2] == LARGE * "x"


def test_a_session_is_reset_and_given_to_another_user(server: MySQLServer, port: int, tmp_path: Path) -> None:
    server.query("CREATE USER other IDENTIFIED BY 'other-password'")
    with connect(port, user="other", password="other-password", ssl_disabled=True):
        pass  # MySQL's cache knows it from now on
    script = tmp_path / "change.php"
    script.write_text(
        f"""<?php
$session = new mysqli('127.0.0.1', '{USER}', '{PASSWORD}', '', {port});
$session->query('SET @mine = 1');
foreach ([['other', 'other-password'], ['{USER}', '{PASSWORD}']] as [$user, $password]) {{
    $session->change_user($user, $password, '');
    echo $session->query("SELECT CONCAT(CURRENT_USER(), ' ', COALESCE(@mine, '-'))")->fetch_row()[0], "\\n";
}}
"""
    )
    php = require("php", package="php-cli")
    assert run(str(php), str(script)).split("\n") == ["other@% -", f"{USER}@% -", ""]


def run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout
