"""Checks that log in to MariaDB: what they learn of a server, and that none is counted against this host."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import trio
import trustme

from dbambassador.demo.ports import free_port
from dbambassador.demo.processes import temporary_directory, unprivileged
from dbambassador.health import mysql_login, mysql_session
from dbambassador.health.evidence import Blocked, Evidence, Role, Signal
from dbambassador.health.probes import Prober
from dbambassador.protocols import mysql
from dbambassador.settings.schema import Database, Login, Protocol
from dbambassador.values import Address
from tests.end_to_end.setting import until
from tests.health.checking import PASSWORD, Talk, database, greeting, no_descriptor_left, probe, stub, written
from tests.testbed.mariadb import MariaDB
from tests.testbed.requirements import missing

SCHEMA = (
    f"CREATE USER probe IDENTIFIED BY '{PASSWORD}'",
    "CREATE USER guest",
    "INSTALL SONAME 'auth_ed25519'",
    f"CREATE USER modern IDENTIFIED VIA ed25519 USING PASSWORD('{PASSWORD}')",
)


@pytest.fixture(scope="module")
def server(mariadb_directory: Path) -> Iterator[MariaDB]:
    """A server with a user for checks, and one without a password."""
    server = MariaDB.created(mariadb_directory, "checked")
    try:
        server.start()
        for statement in SCHEMA:
            server.query(statement)
        yield server
    finally:
        server.stop()


@pytest.fixture
def password_file(tmp_path: Path) -> str:
    return written(tmp_path / "password")


def checked(password_file: str = "", user: str = "probe", name: str = "") -> Database:
    return database(Protocol.MYSQL, login=Login(user, password_file, name))


def at(server: MariaDB) -> Address:
    return Address("127.0.0.1", server.port)


async def seen(asked: Database, address: Address) -> Evidence:
    evidence = await probe(asked, address)
    assert evidence is not None
    return evidence


async def test_a_primary(server: MariaDB, password_file: str) -> None:
    evidence = await seen(checked(password_file), at(server))
    assert (evidence.signal, evidence.role, evidence.denied) == (Signal.ANSWERED, Role.PRIMARY, False)


async def test_without_a_password_over_ipv6(server: MariaDB) -> None:
    evidence = await seen(checked(user="guest"), Address("::1", server.port))
    assert (evidence.signal, evidence.role) == (Signal.ANSWERED, Role.PRIMARY)


async def test_a_read_only_server_is_a_standby(server: MariaDB, password_file: str) -> None:
    server.query("SET GLOBAL read_only = 1")
    try:
        evidence = await seen(checked(password_file), at(server))
    finally:
        server.query("SET GLOBAL read_only = 0")
    assert (evidence.signal, evidence.role) == (Signal.ANSWERED, Role.STANDBY)


@pytest.mark.parametrize(
    ("content", "user", "name", "why"),
    [
        ("wrong", "probe", "", "Access denied for user 'probe'"),
        (PASSWORD, "nobody", "", "Access denied for user 'nobody'"),
        (PASSWORD, "probe", "app", "to database 'app'"),
    ],
)
async def test_a_login_that_is_refused(
    server: MariaDB, tmp_path: Path, content: str, user: str, name: str, why: str
) -> None:
    evidence = await seen(checked(written(tmp_path / "password", content), user, name), at(server))
    assert (evidence.signal, evidence.role, evidence.denied) == (Signal.ANSWERED, Role.UNKNOWN, True)
    assert evidence.detail.startswith("takes sessions, but refused the check's login: ")
    assert why in evidence.detail


async def test_ed25519_is_answered_where_pynacl_is_installed_and_told_where_not(
    server: MariaDB, password_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await seen(checked(password_file, "modern"), at(server))).role is Role.PRIMARY
    monkeypatch.setattr(mysql_session, "_ANSWERED_BY_HASH", {"", "mysql_native_password"})
    evidence = await seen(checked(password_file, "modern"), at(server))
    assert evidence.denied
    assert "(no password for the plugin client_ed25519)" in evidence.detail


async def test_a_rotated_password_is_read_anew(server: MariaDB, tmp_path: Path) -> None:
    file = written(tmp_path / "password", "yesterday's")
    assert (await seen(checked(file), at(server))).denied
    written(tmp_path / "password", "gerätselt")
    server.query("SET PASSWORD FOR probe = PASSWORD('gerätselt')")
    try:
        evidence = await seen(checked(file), at(server))
    finally:
        server.query(f"SET PASSWORD FOR probe = PASSWORD('{PASSWORD}')")
    assert (evidence.role, evidence.denied) == (Role.PRIMARY, False)


async def test_without_a_password_file_the_server_is_known(server: MariaDB, tmp_path: Path) -> None:
    evidence = await seen(checked(str(tmp_path / "none")), at(server))
    assert (evidence.signal, evidence.denied) == (Signal.ANSWERED, True)
    assert evidence.detail == (
        f"takes sessions, but the check cannot log in: {tmp_path}/none: no such file or directory"
    )


async def test_a_full_server(server: MariaDB, password_file: str) -> None:
    server.query("SET GLOBAL max_connections = 10")
    try:
        with ExitStack() as held:
            for _ in range(10):
                held.enter_context(server.connection(user="guest", password=""))
            evidence = await seen(checked(password_file), at(server))
    finally:
        server.query("SET GLOBAL max_connections = 100")
    assert (evidence.signal, evidence.role, evidence.denied) == (Signal.ANSWERED, Role.UNKNOWN, True)
    assert "Too many connections" in evidence.detail


async def test_a_server_that_was_shut_down(mariadb_directory: Path, password_file: str) -> None:
    server = MariaDB.created(mariadb_directory, "shut-down")
    try:
        server.start()
        server.stop()
        evidence = await seen(checked(password_file), at(server))
    finally:
        server.stop()
    assert (evidence.signal, evidence.detail) == (Signal.FAILED, "connection refused")


async def test_without_descriptors_nothing_is_said(server: MariaDB) -> None:
    await probe(checked(user="guest"), at(server))  # imports
    with no_descriptor_left():
        assert await probe(checked(user="guest"), at(server)) is None


@pytest.fixture
def galera() -> Path:
    """The library, from Debian's galera-4, on which its mariadb-server depends."""
    library = Path("/usr/lib/galera/libgalera_smm.so")
    if not library.exists():
        missing("no Galera: apt-get install galera-4")
    return library


async def test_a_galera_node_that_leaves_the_flow(mariadb_directory: Path, galera: Path) -> None:
    settings = {
        "wsrep-on": "ON",
        "wsrep-provider": str(galera),
        "wsrep-cluster-address": "gcomm://",
        "wsrep-node-address": f"127.0.0.1:{free_port()}",
        "wsrep-provider-options": f"gmcast.listen_addr=tcp://127.0.0.1:{free_port()}",
        "binlog-format": "ROW",
    }
    server = MariaDB.created(mariadb_directory, "node", settings=settings)
    try:
        server.start()
        ready = "SHOW STATUS LIKE 'wsrep_ready'"
        until(lambda: server.query(ready) == (("wsrep_ready", "ON"),), "the node is prepared")
        server.query("CREATE USER guest")
        evidence = await seen(checked(user="guest"), at(server))
        assert (evidence.signal, evidence.role) == (Signal.ANSWERED, Role.PRIMARY)
        server.query("SET GLOBAL wsrep_desync = ON")
        evidence = await seen(checked(user="guest"), at(server))
        assert (evidence.signal, evidence.role) == (Signal.NOT_READY, Role.UNKNOWN)
        assert evidence.detail == "its Galera node is not synced: Donor/Desynced"
    finally:
        server.stop()


@contextmanager
def encrypted(directory: Path, *versions: str) -> Iterator[MariaDB]:
    """A server with TLS of these versions, whose user `probe` needs it."""
    certificate = trustme.CA().issue_cert("db.test")
    with temporary_directory("tls-") as place:
        key, chain = place / "key.pem", place / "chain.pem"
        certificate.private_key_pem.write_to_path(str(key))
        certificate.cert_chain_pems[0].write_to_path(str(chain))
        for path in (key, chain):
            unprivileged().give(path)
        settings = {"ssl-key": str(key), "ssl-cert": str(chain), "tls-version": ",".join(versions)}
        server = MariaDB.created(directory, "-".join(versions), settings=settings)
        try:
            server.start()
            server.query(f"CREATE USER probe IDENTIFIED BY '{PASSWORD}' REQUIRE SSL")
            server.query("CREATE USER guest")
            yield server
        finally:
            server.stop()


def aborted(server: MariaDB) -> int:
    """How many connections ended before their user was known."""
    ((_, number),) = server.query("SHOW GLOBAL STATUS LIKE 'Aborted_connects_preauth'")
    return int(number)


async def test_over_tls_where_the_server_has_it(mariadb_directory: Path, password_file: str) -> None:
    with encrypted(mariadb_directory, "TLSv1.2", "TLSv1.3") as server:
        evidence = await seen(checked(password_file), at(server))
    assert (evidence.role, evidence.denied) == (Role.PRIMARY, False)


async def test_a_tls_that_is_not_ours_is_tried_once(
    mariadb_directory: Path, password_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    modern = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    modern.check_hostname, modern.verify_mode = False, ssl.CERT_NONE
    modern.minimum_version = ssl.TLSVersion.TLSv1_3
    monkeypatch.setattr(mysql_login, "UNVERIFIED", modern)
    with encrypted(mariadb_directory, "TLSv1.2") as server:
        before, prober = aborted(server), Prober(checked(user="guest"))
        for _ in range(3):
            evidence = await prober.probe(at(server), "db.test")
            assert evidence is not None
            assert (evidence.role, evidence.denied) == (Role.PRIMARY, False)
        assert aborted(server) == before + 1
        evidence = await seen(checked(password_file), at(server))
        assert (evidence.signal, evidence.denied) == (Signal.ANSWERED, True)


# What real servers cannot be made to say at will.

WELCOME = mysql.packet(2, b"\0\0\0\2\0\0\0")
OK = mysql.packet(1, WELCOME[4:])


def saying(*answers: bytes, heard: list[bytes] | None = None) -> Talk:
    """Says the first at once, each other after a word of the client's, and then leaves."""

    async def talk(stream: trio.SocketStream) -> None:
        for number, answer in enumerate(answers):
            if number:
                said = bytes(await stream.receive_some(4096))
                if heard is not None:
                    heard.append(said)
            await stream.send_all(answer)

    return talk


def refusing(code: int, sequence: int = 2) -> bytes:
    return mysql.packet(sequence, b"\xff" + code.to_bytes(2, "little") + b"#HY000in its own words")


@pytest.mark.parametrize(
    "words",
    [
        (mysql.error_before_greeting(1053, "in its own words"),),
        (greeting(), refusing(1053)),
        (greeting(), refusing(3032)),
        (greeting(), WELCOME, OK, refusing(1047, 1)),
    ],
)
async def test_a_server_that_is_not_ready(words: Sequence[bytes], password_file: str) -> None:
    async with stub(saying(*words)) as address:
        evidence = await seen(checked(password_file), address)
    assert (evidence.signal, evidence.detail) == (Signal.NOT_READY, "in its own words")


@pytest.mark.parametrize("code", [1129, 1130])
@pytest.mark.parametrize("greeted", [False, True])
async def test_a_host_that_is_locked_out(code: int, greeted: bool, password_file: str) -> None:
    words = (
        (greeting(), refusing(code)) if greeted else (mysql.error_before_greeting(code, "in its own words"),)
    )
    async with stub(saying(*words)) as address:
        with pytest.raises(Blocked, match="in its own words"):
            await probe(checked(password_file), address)


@pytest.mark.parametrize(
    "plugin", ["mysql_clear_password", "dialog", "sha256_password", "caching_sha2_password"]
)
async def test_without_tls_the_password_itself_is_never_sent(plugin: str, password_file: str) -> None:
    heard: list[bytes] = []
    switch = mysql.packet(2, b"\xfe" + plugin.encode() + b"\0" + b"1" * 20 + b"\0")
    async with stub(saying(greeting(), switch, refusing(1045, 4), heard=heard)) as address:
        evidence = await seen(checked(password_file), address)
    assert evidence.denied
    assert plugin in evidence.detail
    assert b"probe" in heard[0]
    assert len(heard[1]) > 4, "an empty answer is an aborted handshake to some plugins"
    assert PASSWORD.encode() not in b"".join(heard)


@pytest.mark.parametrize(
    "words",
    [
        (b"SSH-2.0-OpenSSH_9.2p1\r\n",),
        (),
        (greeting(), b"\xff" * 100),
        (greeting(), mysql.packet(2, b"\x01")),
        (greeting(), mysql.packet(2, b"")),
        (greeting(), mysql.packet(9, b"\0")),
        (greeting(), WELCOME, OK, mysql.packet(1, b"\x05garbage")),
    ],
)
async def test_what_is_no_mysql_server_fails(words: Sequence[bytes], password_file: str) -> None:
    async with stub(saying(*words)) as address:
        evidence = await seen(checked(password_file), address)
    assert (evidence.signal, evidence.role) == (Signal.FAILED, Role.UNKNOWN)


async def test_half_a_greeting_is_not_waited_for_once_the_server_has_left(password_file: str) -> None:
    async with stub(saying(greeting()[:20])) as address:
        with trio.fail_after(1.0):
            evidence = await seen(checked(password_file), address)
    assert (evidence.signal, evidence.detail) == (Signal.FAILED, "connection closed before an answer")


async def test_the_longest_first_packet_is_read_whole(password_file: str) -> None:
    message = b"x" * (mysql.MAX_PACKET - 3)
    async with stub(saying(mysql.error_before_greeting(1053, message.decode()))) as address:
        evidence = await seen(checked(password_file), address)
    assert (evidence.signal, len(evidence.detail)) == (Signal.NOT_READY, len(message))


async def test_a_greeting_in_two_pieces(server: MariaDB, password_file: str) -> None:
    async def slowly(stream: trio.SocketStream) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as further:
            whole = bytes(await further.receive_some(4096))
            await stream.send_all(whole[:10])
            await trio.sleep(0.03)
            await stream.send_all(whole[10:])
            for _ in range(4):
                await further.send_all(await stream.receive_some(4096))
                await stream.send_all(await further.receive_some(4096))

    async with stub(slowly) as address:
        evidence = await seen(checked(password_file), address)
    assert (evidence.signal, evidence.role) == (Signal.ANSWERED, Role.PRIMARY)
