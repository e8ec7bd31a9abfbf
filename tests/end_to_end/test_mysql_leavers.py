"""Clients that give up in the middle of a handshake, at a server that would block this host for it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.end_to_end.setting import CHOSEN, environments, mysql_database, port_of, until
from tests.testbed.certificates import Certificates
from tests.testbed.mariadb import PASSWORD, USER, MariaDB
from tests.testbed.mysql import MySQL
from tests.testbed.mysql_client import Speaker
from tests.testbed.mysql_server import MySQLServer, tls
from tests.testbed.netns import Host, Lan
from tests.testbed.processes import Ambassador, StartAmbassador

LIMIT = 3
"""max_connect_errors."""
LEAVERS = 50
CROWD = 200
PORT = 3306
FOREIGN = {"MariaDB": "client_ed25519", "MySQL": "mysql_native_password"}
"""A plugin that is not the account's: the server asks for another one."""

Give = Callable[[Speaker, str], None]
"""A client that gives up, at a server of this product."""


def at_once(client: Speaker, product: str) -> None:
    client.leave()


def after_the_greeting(client: Speaker, product: str) -> None:
    client.greeted()
    client.leave()


def by_a_reset(client: Speaker, product: str) -> None:
    client.greeted()
    client.reset()


def in_the_middle_of_its_response(client: Speaker, product: str) -> None:
    client.greeted()
    client.connection.sendall(client.framed(bytes(60))[:40])
    client.leave()


def asked_for_another_plugin(client: Speaker, product: str) -> None:
    client.greeted()
    assert client.asked(USER, FOREIGN[product]).plugin
    client.leave()


def asked_for_its_password(client: Speaker, product: str) -> None:
    client.greeted()
    assert client.asked(USER, "caching_sha2_password", bytes(32)).data == b"\4"
    client.leave()


def given_a_key(client: Speaker, product: str) -> None:
    client.greeted()
    assert client.asked(USER, "caching_sha2_password", bytes(32)).data == b"\4"
    client.say(b"\2")
    assert b"PUBLIC KEY" in client.step().data
    client.leave()


EVERYWHERE: tuple[Give, ...] = (
    at_once,
    after_the_greeting,
    by_a_reset,
    in_the_middle_of_its_response,
    asked_for_another_plugin,
)
GIVING_UP: dict[type[MySQLServer], tuple[Give, ...]] = {
    MariaDB: EVERYWHERE,
    MySQL: (*EVERYWHERE, asked_for_its_password, given_a_key),
}


@pytest.fixture(params=["mariadb", "mysql"])
def server(
    request: pytest.FixtureRequest, four_hosts: Lan, certificates: Certificates
) -> Iterator[MySQLServer]:
    """A server on another host that resolves the names of those who connect, and counts their errors."""
    kind = {"mariadb": MariaDB, "mysql": MySQL}[request.param]
    directory: Path = request.getfixturevalue(f"{request.param}_directory")
    settings = {
        "max-connect-errors": str(LIMIT),
        "skip-name-resolve": "OFF",
        "bind-address": "0.0.0.0",
        **tls(certificates.server()),
    }
    server = kind.created(directory, request.node.name, settings=settings, port=PORT)
    try:
        yield server.start(four_hosts["db-a"])
    finally:
        server.stop()


def started(ambassador: StartAmbassador, app: Host, database: dict[str, Any], directory: Path) -> Ambassador:
    """An ambassador on this host, which has found its server to be up."""
    running = ambassador(
        *("--environments", environments(directory, catalog=database), *CHOSEN),
        prefix=app.command(),
        ready=False,
    )
    running.wait_for("is up")
    return running


def greeted(app: Host, port: int, count: int) -> list[Speaker]:
    """So many clients on this host, each of which has heard the greeting."""
    clients = app.call(lambda: [Speaker(socket.create_connection(("127.0.0.1", port))) for _ in range(count)])
    for client in clients:
        client.greeted()
    return clients


@pytest.mark.parametrize("encryption", [{}, {"sslmode": "require"}], ids=["plain", "TLS"])
def test_clients_that_give_up_never_block_their_host(
    ambassador: StartAmbassador,
    server: MySQLServer,
    four_hosts: Lan,
    tmp_path: Path,
    encryption: dict[str, Any],
) -> None:
    app, db = four_hosts["app"], four_hosts["db-a"]
    database = mysql_database(f"{db.ip}:{PORT}", **encryption)
    started(ambassador, app, database, tmp_path)
    for give_up in GIVING_UP[type(server)]:
        leave(app, "127.0.0.1", port_of(database), give_up, server, LEAVERS)
        until(lambda: not unauthenticated(server), f"nobody hangs {give_up.__name__}")
        with app.call(lambda: connect("127.0.0.1", port_of(database))) as connection:
            connection.ping()


def test_a_crowd_cut_off_by_our_own_end_never_blocks_its_host(
    ambassador: StartAmbassador, server: MySQLServer, four_hosts: Lan, tmp_path: Path
) -> None:
    app, db = four_hosts["app"], four_hosts["db-a"]
    server.query(f"SET GLOBAL max_connections = {2 * CROWD}")
    database = mysql_database(f"{db.ip}:{PORT}")
    running = started(ambassador, app, database, tmp_path)
    crowd = greeted(app, port_of(database), CROWD)
    running.stop()
    for client in crowd:
        client.leave()
    until(lambda: not unauthenticated(server), "nobody hangs")
    with app.call(lambda: connect(db.ip, PORT)) as connection:
        connection.ping()


@pytest.mark.waits
def test_clients_that_fall_silent_never_block_their_host(
    ambassador: StartAmbassador, server: MySQLServer, four_hosts: Lan, tmp_path: Path
) -> None:
    """The server would wait for 10 s, and count them."""
    app, db = four_hosts["app"], four_hosts["db-a"]
    database = mysql_database(f"{db.ip}:{PORT}")
    started(ambassador, app, database, tmp_path)
    silent = greeted(app, port_of(database), LEAVERS)
    for client in silent:
        with pytest.raises(EOFError):
            client.hear()
        client.leave()
    until(lambda: not unauthenticated(server), "nobody hangs")
    with app.call(lambda: connect("127.0.0.1", port_of(database))) as connection:
        connection.ping()


def test_the_same_clients_without_an_ambassador_block_it(server: MySQLServer, four_hosts: Lan) -> None:
    app, db = four_hosts["app"], four_hosts["db-a"]
    for give_up in GIVING_UP[type(server)]:
        unblock(server)
        if give_up is given_a_key:
            continue  # MySQL takes that for a wrong password
        before = aborted(server)
        leave(app, db.ip, PORT, give_up, server, LIMIT)
        wait_for_aborted(server, before + LIMIT, f"all are counted {give_up.__name__}")
        with pytest.raises(pymysql.OperationalError) as refused:
            app.call(lambda: connect(db.ip, PORT))
        assert refused.value.args[0] == 1129, give_up.__name__


def leave(host: Host, ip: str, port: int, give_up: Give, server: MySQLServer, count: int) -> None:
    def one_after_the_other() -> None:
        for _ in range(count):
            give_up(Speaker(socket.create_connection((ip, port))), server.product)

    host.call(one_after_the_other)


def connect(ip: str, port: int) -> pymysql.Connection[Any]:
    return pymysql.connect(host=ip, port=port, user=USER, password=PASSWORD, connect_timeout=5)


def unauthenticated(server: MySQLServer) -> list[object]:
    """The server's connections whose handshake is under way."""
    return [row for row in server.query("SHOW PROCESSLIST") if row[1] == "unauthenticated user"]


def aborted(server: MySQLServer) -> int:
    """How many handshakes have failed, as the server has it."""
    return int(str(server.query("SHOW GLOBAL STATUS LIKE 'Aborted_connects'")[0][1]))


def wait_for_aborted(server: MySQLServer, count: int, what: str) -> None:
    until(lambda: aborted(server) == count, what)


def unblock(server: MySQLServer) -> None:
    """Forgets what was counted."""
    size = server.query("SELECT @@host_cache_size")[0][0]
    server.query(f"SET GLOBAL host_cache_size = {int(size) + 1}")
