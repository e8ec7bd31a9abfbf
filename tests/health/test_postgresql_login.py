"""Checks that log in to PostgreSQL: what they learn of a server, and what they give away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
import trio
import trustme

from dbambassador.demo.installations import installations
from dbambassador.demo.postgresql import Ground, PostgreSQL
from dbambassador.health.evidence import Role, Signal
from dbambassador.protocols import postgresql as protocol
from dbambassador.settings.schema import Database, Login, Protocol
from dbambassador.values import Address
from tests.health.checking import PASSWORD, Talk, database, no_descriptor_left, probe, stub, written
from tests.testbed.postgresql import Pair
from tests.testbed.requirements import missing

RULES = "host all postgres all trust\nhost all guest all trust\nhost all all all scram-sha-256\n"
CONNECTIONS = 5
RESERVED = 3
"""For superusers: superuser_reserved_connections."""


@pytest.fixture(scope="module")
def server(postgresql_ground: Ground) -> Iterator[PostgreSQL]:
    """A server with a role for checks, and one without a password."""
    server = PostgreSQL.created(
        postgresql_ground, "checked", settings={"max_connections": str(CONNECTIONS), "log_connections": "on"}
    )
    (server.data / "pg_hba.conf").write_text(RULES)
    try:
        server.start()
        server.query(f"CREATE ROLE probe LOGIN PASSWORD '{PASSWORD}'")
        server.query("CREATE ROLE guest LOGIN")
        yield server
    finally:
        server.stop()


@pytest.fixture
def password_file(tmp_path: Path) -> str:
    return written(tmp_path / "password")


def checked(password_file: str = "", user: str = "probe", name: str = "") -> Database:
    return database(Protocol.POSTGRESQL, login=Login(user, password_file, name))


def at(server: PostgreSQL) -> Address:
    return Address("127.0.0.1", server.port)


async def test_a_primary(server: PostgreSQL, password_file: str) -> None:
    evidence = await probe(checked(password_file), at(server))
    assert evidence is not None
    assert (evidence.signal, evidence.role, evidence.denied) == (Signal.ANSWERED, Role.PRIMARY, False)


async def test_without_a_password(server: PostgreSQL) -> None:
    evidence = await probe(checked(user="guest"), at(server))
    assert evidence is not None
    assert (evidence.signal, evidence.role) == (Signal.ANSWERED, Role.PRIMARY)


async def test_over_ipv6(server: PostgreSQL, password_file: str) -> None:
    evidence = await probe(checked(password_file), Address("::1", server.port))
    assert evidence is not None
    assert evidence.role is Role.PRIMARY


async def test_a_standby_and_its_promotion(postgresql_pair: Pair) -> None:
    asked = checked(user="postgres")
    evidence = await probe(asked, at(postgresql_pair.standby))
    assert evidence is not None
    assert (evidence.signal, evidence.role) == (Signal.ANSWERED, Role.STANDBY)
    postgresql_pair.standby.promote()
    evidence = await probe(asked, at(postgresql_pair.standby))
    assert evidence is not None
    assert evidence.role is Role.PRIMARY


async def test_a_server_whose_sessions_are_read_only(server: PostgreSQL, password_file: str) -> None:
    server.query("ALTER SYSTEM SET default_transaction_read_only = on")
    try:
        assert await _role_comes(server, password_file, Role.READ_ONLY)
    finally:
        with server.connection() as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            connection.execute("SELECT pg_reload_conf()")
    assert await _role_comes(server, password_file, Role.PRIMARY)


async def _role_comes(server: PostgreSQL, password_file: str, role: Role) -> bool:
    """Whether the role shows within two seconds: a reload tells the server's processes in its own time."""
    server.query("SELECT pg_reload_conf()")
    with trio.move_on_after(2):
        while True:
            evidence = await probe(checked(password_file), at(server))
            if evidence is not None and evidence.role is role:
                return True
            await trio.sleep(0.02)
    return False


async def test_a_setting_of_the_checks_own_role_is_none_of_the_servers(
    server: PostgreSQL, password_file: str
) -> None:
    server.query("ALTER ROLE probe SET default_transaction_read_only = on")
    try:
        evidence = await probe(checked(password_file), at(server))
    finally:
        server.query("ALTER ROLE probe RESET default_transaction_read_only")
    assert evidence is not None
    assert evidence.role is Role.PRIMARY


async def test_a_server_that_starts_up(postgresql_ground: Ground, password_file: str) -> None:
    # A standby that is not "hot" answers 57P03 as a server in crash recovery does, for as long as we like.
    server = PostgreSQL.created(postgresql_ground, "starting", settings={"hot_standby": "off"})
    (server.data / "standby.signal").touch()
    try:
        server.start()
        evidence = await probe(checked(password_file), at(server))
    finally:
        server.stop()
    assert evidence is not None
    assert (evidence.signal, evidence.role, evidence.denied) == (Signal.NOT_READY, Role.UNKNOWN, False)


@pytest.mark.parametrize(
    ("content", "user", "name", "why"),
    [
        ("wrong", "probe", "", "refused the check's login: password authentication failed"),
        (PASSWORD, "nobody", "", "refused the check's login: password authentication failed"),
        ("", "guest", "no_such_database", 'refused the check\'s login: database "no_such_database" does not'),
    ],
)
async def test_a_login_that_is_refused(
    server: PostgreSQL, tmp_path: Path, content: str, user: str, name: str, why: str
) -> None:
    file = written(tmp_path / "password", content) if content else ""
    evidence = await probe(checked(file, user, name), at(server))
    assert evidence is not None
    assert (evidence.signal, evidence.role, evidence.denied) == (Signal.ANSWERED, Role.UNKNOWN, True)
    assert evidence.detail.startswith(f"takes sessions, but {why}")
    assert "\n" not in evidence.detail


async def test_a_password_is_asked_for_once(server: PostgreSQL, tmp_path: Path) -> None:
    said = len(server.log.read_text())
    await probe(checked(written(tmp_path / "password", "wrong")), at(server))
    log = server.log.read_text()[said:]
    assert log.count('password authentication failed for user "probe"') == 1


async def test_a_rotated_password_is_read_anew(server: PostgreSQL, tmp_path: Path) -> None:
    file = written(tmp_path / "password", "yesterday's")
    evidence = await probe(checked(file), at(server))
    assert evidence is not None
    assert evidence.denied
    written(tmp_path / "password")
    evidence = await probe(checked(file), at(server))
    assert evidence is not None
    assert (evidence.role, evidence.denied) == (Role.PRIMARY, False)


async def test_without_a_password_file_the_server_is_known(server: PostgreSQL, tmp_path: Path) -> None:
    evidence = await probe(checked(str(tmp_path / "none")), at(server))
    assert evidence is not None
    assert (evidence.signal, evidence.denied) == (Signal.ANSWERED, True)
    assert evidence.detail == (
        f"takes sessions, but the check cannot log in: {tmp_path}/none: no such file or directory"
    )


async def test_a_full_server(server: PostgreSQL, password_file: str) -> None:
    with ExitStack() as held:
        for _ in range(CONNECTIONS - RESERVED):
            conninfo = server.conninfo(user="guest")
            held.enter_context(psycopg.connect(conninfo))
        evidence = await probe(checked(password_file), at(server))
    assert evidence is not None
    assert (evidence.signal, evidence.role, evidence.denied) == (Signal.ANSWERED, Role.UNKNOWN, True)
    assert "connection slots" in evidence.detail


async def test_nobody_there(postgresql_ground: Ground, password_file: str) -> None:
    with trio.socket.socket() as unused:
        await unused.bind(("127.0.0.1", 0))
        address = Address("127.0.0.1", unused.getsockname()[1])
        evidence = await probe(checked(password_file), address)
    assert evidence is not None
    assert (evidence.signal, evidence.detail) == (Signal.FAILED, "connection refused")


async def test_without_descriptors_nothing_is_said(server: PostgreSQL, password_file: str) -> None:
    await probe(checked(password_file), at(server))  # imports
    with no_descriptor_left():
        assert await probe(checked(password_file), at(server)) is None


async def test_a_server_that_became_ready_meanwhile_has_denied_nothing(server: PostgreSQL) -> None:
    async def not_yet(stream: trio.SocketStream) -> None:
        await _startup(stream)
        await stream.send_all(protocol.error_response(protocol.CANNOT_CONNECT_NOW, "starting"))

    async with stub(not_yet, _passed_on_to(at(server))) as address:
        evidence = await probe(checked(user="guest"), address)
    assert evidence is not None
    assert (evidence.signal, evidence.role, evidence.denied) == (Signal.ANSWERED, Role.PRIMARY, False)


async def test_the_password_itself_is_never_sent(password_file: str) -> None:
    heard: list[bytes] = []

    async def curious(stream: trio.SocketStream) -> None:
        heard.append(await _startup(stream))
        await stream.send_all(b"R\0\0\0\x08\0\0\0\x03")  # AuthenticationCleartextPassword
        heard.append(bytes(await stream.receive_some(1000)))

    async with stub(curious) as address:
        evidence = await probe(checked(password_file), address)
    assert evidence is not None
    assert (evidence.signal, evidence.denied) == (Signal.ANSWERED, True)
    assert "cleartext password" in evidence.detail
    assert b"user\0probe\0" in b"".join(heard)
    assert PASSWORD.encode() not in b"".join(heard)


async def test_a_surroundings_password_is_not_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    heard: list[bytes] = []
    (tmp_path / ".pgpass").write_text(f"*:*:*:*:{PASSWORD}\n")
    (tmp_path / ".pgpass").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PGPASSWORD", PASSWORD)

    async def md5(stream: trio.SocketStream) -> None:
        await _startup(stream)
        await stream.send_all(b"R\0\0\0\x0c\0\0\0\x05salt")
        heard.append(bytes(await stream.receive_some(1000)))

    async with stub(md5) as address:
        evidence = await probe(checked(), address)
    assert evidence is not None
    assert evidence.denied
    assert set(heard) == {b""}


async def test_over_tls_where_the_server_has_it(postgresql_ground: Ground, tmp_path: Path) -> None:
    found = [each for each in installations() if b"SSL_CTX_new" in (each.bin / "postgres").read_bytes()]
    if not found:
        missing("no PostgreSQL with TLS: apt-get install postgresql")
    ground = Ground(found[0], postgresql_ground.directory, postgresql_ground.identity)
    key, chain = ground.directory / "checked.key", ground.directory / "checked.pem"
    certificate = trustme.CA().issue_cert("db.test")
    certificate.private_key_pem.write_to_path(str(key))
    certificate.cert_chain_pems[0].write_to_path(str(chain))
    for path in (key, chain):
        ground.identity.give(path)
        path.chmod(0o600)
    settings = {"ssl": "on", "ssl_key_file": str(key), "ssl_cert_file": str(chain)}
    server = PostgreSQL.created(ground, "encrypted", settings=settings)
    rules = "host all postgres all trust\nhostssl all all all scram-sha-256\n"
    (server.data / "pg_hba.conf").write_text(rules)
    try:
        server.start()
        server.query(f"CREATE ROLE probe LOGIN PASSWORD '{PASSWORD}'")
        evidence = await probe(checked(written(tmp_path / "password")), at(server))
        assert evidence is not None
        assert (evidence.role, evidence.denied) == (Role.PRIMARY, False)
        evidence = await probe(checked(written(tmp_path / "password", "wrong")), at(server))
        assert evidence is not None
        assert evidence.detail.endswith('password authentication failed for user "probe"')
    finally:
        server.stop()


async def _startup(stream: trio.SocketStream) -> bytes:
    """A client's StartupMessage, after its wish for TLS was declined."""
    while True:
        data = bytes(await stream.receive_some(1000))
        opening = protocol.read_opening(data)
        if opening is None or opening.kind is protocol.Kind.STARTUP:
            return data
        await stream.send_all(b"N")


def _passed_on_to(address: Address) -> Talk:
    async def talk(stream: trio.SocketStream) -> None:
        further = await trio.open_tcp_stream(address.host, address.port)
        async with further, trio.open_nursery() as nursery:
            nursery.start_soon(_copy, stream, further)
            nursery.start_soon(_copy, further, stream)

    return talk


async def _copy(source: trio.SocketStream, sink: trio.SocketStream) -> None:
    async for data in source:
        await sink.send_all(data)
    await sink.send_eof()
