"""MariaDB's accounts of PAM, whose passwords are sent as they are."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbambassador.demo.processes import temporary_directory
from tests.end_to_end.setting import CHOSEN, environments, mysql_database, port_of
from tests.testbed.certificates import Certificates
from tests.testbed.mariadb import MariaDB, tls
from tests.testbed.netns import Lan
from tests.testbed.processes import StartAmbassador
from tests.testbed.requirements import require

PORT = 3306
PASSWORD = "directory-password"


@pytest.fixture(params=["mysql_clear_password", "dialog"])
def server(
    mariadb_directory: Path, four_hosts: Lan, certificates: Certificates, request: pytest.FixtureRequest
) -> Iterator[MariaDB]:
    """On another host, with an account `patricia` whose clients need this plugin."""
    settings = {
        "bind-address": "0.0.0.0",
        "plugin-load-add": "auth_pam_v1",
        "pam-use-cleartext-plugin": "ON" if request.param == "mysql_clear_password" else "OFF",
        **tls(certificates.server()),
    }
    server = MariaDB.created(mariadb_directory, f"pam-{request.param}", settings=settings, port=PORT)
    four_hosts["db-a"].write_pam_service("shop", PASSWORD)
    try:
        server.start(four_hosts["db-a"])
        server.query("CREATE USER patricia IDENTIFIED VIA pam USING 'shop'")
        yield server
    finally:
        server.stop()


def test_a_password_of_pam_is_proved_in_tls_and_in_clear_only_where_that_is_allowed(
    ambassador: StartAmbassador, server: MariaDB, four_hosts: Lan, tmp_path: Path
) -> None:
    app = four_hosts["app"]
    endpoint = f"{four_hosts['db-a'].ip}:{PORT}"
    with temporary_directory("socket-") as sockets:
        databases = {
            "encrypted": mysql_database(endpoint, sslmode="require"),
            "lenient": mysql_database(endpoint, allow_cleartext_passwords=True),
            "strict": mysql_database(endpoint),
        }
        for name, database in databases.items():
            database["listen"].append(f"unix:{sockets}/{name}.sock")
        running = ambassador(
            *("--environments", environments(tmp_path, **databases), *CHOSEN),
            prefix=app.command(),
            ready=False,
        )
        for name in databases:
            running.wait_for(f"{name}: {endpoint} is up")

        for name, place in (
            ("encrypted", ["-h127.0.0.1", f"-P{port_of(databases['encrypted'])}"]),
            ("encrypted", [f"-S{sockets}/encrypted.sock"]),
            ("lenient", [f"-S{sockets}/lenient.sock"]),
        ):
            login = logged_in(app.command(), place, PASSWORD)
            assert login.returncode == 0, login.stderr
            assert ("TLS_" in login.stdout) == (name == "encrypted")
            assert "1045" in logged_in(app.command(), place, "wrong").stderr
        refused = logged_in(app.command(), [f"-S{sockets}/strict.sock"], PASSWORD)
        assert "allow_cleartext_passwords" in refused.stderr


def logged_in(prefix: list[str], place: list[str], password: str) -> subprocess.CompletedProcess[str]:
    client = require("mariadb", package="mariadb-client")
    options = ("-upatricia", f"-p{password}", "--skip-ssl", "-Ne", "SHOW SESSION STATUS LIKE 'Ssl_cipher'")
    return subprocess.run(
        [*prefix, str(client), "--no-defaults", *place, *options], capture_output=True, text=True, timeout=20
    )
