"""Checks over the ambassador's own TLS: whom they trust, and what they say of those they do not."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from dbambassador.demo.postgresql import Ground, PostgreSQL
from dbambassador.demo.processes import temporary_directory
from dbambassador.health.evidence import Evidence, Role, Signal
from dbambassador.protocols import mysql
from dbambassador.settings.schema import SYSTEM_CAS, Login, Negotiation, Protocol, SslMode, Tls
from dbambassador.transport.tls_files import Encryption
from dbambassador.transport.tls_stream import begin_postgresql_tls
from dbambassador.values import Address
from tests.end_to_end.setting import until
from tests.health.checking import PASSWORD, Talk, database, greeting, probe, stub, written
from tests.testbed import mariadb, postgresql
from tests.testbed.certificates import Certificate, Certificates
from tests.testbed.cgroup import no_more_processes
from tests.testbed.mariadb import MariaDB
from tests.testbed.mysql import MySQL
from tests.testbed.postgresql import access, add_user
from tests.transport import tls_peer

Kind = Callable[[Certificates], Certificate]

BAD: dict[str, tuple[Kind, str]] = {
    "expired": (Certificates.expired, "its certificate has expired"),
    "wrong host": (Certificates.wrong_host, "its certificate is not for db.test, but for elsewhere.test"),
    "unknown authority": (
        Certificates.unknown_authority,
        "its certificate comes from an authority that is not in sslrootcert",
    ),
    "self-signed": (
        Certificates.self_signed,
        "its certificate is signed by itself, and is not in sslrootcert",
    ),
}
NAME = "db.test"


def full(certificates: Certificates) -> Tls:
    return Tls(mode=SslMode.VERIFY_FULL, rootcert=str(certificates.authority))


async def checked(
    protocol: Protocol, port: int, tls: Tls, *, login: Login | None = None, host: str = "127.0.0.1"
) -> Evidence:
    asked = database(protocol, login=login, tls=tls)
    encryption = Encryption(tls) if tls.encrypts else None
    evidence = await probe(asked, Address(host, port), name=NAME, encryption=encryption)
    assert evidence is not None
    return evidence


@contextmanager
def postgresql_showing(
    ground: Ground, name: str, certificate: Certificate | None, *lines: str, clients: Path | None = None
) -> Iterator[PostgreSQL]:
    """A server with this certificate; None: without TLS."""
    settings = postgresql.tls(certificate, clients=clients) if certificate is not None else {}
    lines = lines or ("host all all all scram-sha-256",)
    name = f"checked-{name}"
    server = PostgreSQL.created(ground, name, settings={**settings, **access(ground, name, *lines)})
    try:
        yield server.start()
    finally:
        server.stop()


@contextmanager
def mariadb_showing(
    directory: Path, name: str, certificate: Certificate | None, *, clients: Path | None = None
) -> Iterator[MariaDB]:
    settings = mariadb.tls(certificate, clients=clients) if certificate is not None else {}
    server = MariaDB.created(directory, f"checked-{name}", settings=settings)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def trusted(postgresql_tls_ground: Ground, certificates: Certificates) -> Iterator[PostgreSQL]:
    """A PostgreSQL server whose certificate is good, and which takes clients with TLS alone."""
    lines = ("hostssl all cleartext all password", "hostssl all all all scram-sha-256")
    with postgresql_showing(postgresql_tls_ground, "trusted", certificates.server(), *lines) as server:
        for user in ("probe", "cleartext"):
            add_user(server, user, PASSWORD)
        yield server


@pytest.fixture(scope="module")
def trusted_mariadb(mariadb_directory: Path, certificates: Certificates) -> Iterator[MariaDB]:
    """A MariaDB server whose certificate is good, and whose user `probe` needs TLS."""
    with mariadb_showing(mariadb_directory, "trusted", certificates.server()) as server:
        server.query(f"CREATE USER probe IDENTIFIED BY '{PASSWORD}' REQUIRE SSL")
        yield server


@pytest.mark.parametrize("mode", [SslMode.REQUIRE, SslMode.VERIFY_CA, SslMode.VERIFY_FULL])
async def test_a_good_certificate_is_trusted(
    trusted: PostgreSQL, trusted_mariadb: MariaDB, certificates: Certificates, tmp_path: Path, mode: SslMode
) -> None:
    tls = Tls(mode=mode, rootcert="" if mode is SslMode.REQUIRE else str(certificates.authority))
    login = Login("probe", written(tmp_path / "password"))
    for protocol, port in ((Protocol.POSTGRESQL, trusted.port), (Protocol.MYSQL, trusted_mariadb.port)):
        evidence = await checked(protocol, port, tls)
        assert (evidence.signal, evidence.role) == (Signal.ANSWERED, Role.UNKNOWN)
        evidence = await checked(protocol, port, tls, login=login)
        assert (evidence.signal, evidence.role, evidence.denied) == (Signal.ANSWERED, Role.PRIMARY, False)


async def test_a_login_trusts_whom_the_operating_system_trusts(
    trusted: PostgreSQL, certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libpq has an OpenSSL of its own, whose authorities are not the system's."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    paths = ssl.get_default_verify_paths()._replace(cafile=str(certificates.authority))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    tls = Tls(mode=SslMode.VERIFY_FULL, rootcert=SYSTEM_CAS)
    login = Login("probe", written(tmp_path / "password"))
    evidence = await checked(Protocol.POSTGRESQL, trusted.port, tls, login=login)
    assert (evidence.signal, evidence.role, evidence.denied) == (Signal.ANSWERED, Role.PRIMARY, False)


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_certificate_fails_in_plain_words(
    postgresql_tls_ground: Ground,
    mariadb_directory: Path,
    certificates: Certificates,
    tmp_path: Path,
    kind: str,
) -> None:
    make, words = BAD[kind]
    certificate, login = make(certificates), Login("probe", written(tmp_path / "password"))
    with ExitStack() as stack:
        one = stack.enter_context(
            postgresql_showing(postgresql_tls_ground, kind.replace(" ", "-"), certificate)
        )
        other = stack.enter_context(mariadb_showing(mariadb_directory, kind.replace(" ", "-"), certificate))
        for protocol, port in ((Protocol.POSTGRESQL, one.port), (Protocol.MYSQL, other.port)):
            for credentials in (None, login):
                evidence = await checked(protocol, port, full(certificates), login=credentials)
                assert (evidence.signal, evidence.role) == (Signal.NOT_READY, Role.UNKNOWN)
                assert evidence.detail == f"no TLS with the server: {words}"
        until(lambda: "could not accept SSL connection: " in one.log.read_text(), "PostgreSQL tells as well")


async def test_verify_ca_asks_for_no_name_and_require_for_nothing(
    postgresql_tls_ground: Ground, mariadb_directory: Path, certificates: Certificates
) -> None:
    anybodys = Tls(mode=SslMode.REQUIRE)
    named_otherwise = Tls(mode=SslMode.VERIFY_CA, rootcert=str(certificates.authority))
    with ExitStack() as stack:
        server = stack.enter_context(
            postgresql_showing(postgresql_tls_ground, "elsewhere", certificates.wrong_host())
        )
        other = stack.enter_context(mariadb_showing(mariadb_directory, "nobodys", certificates.self_signed()))
        assert (await checked(Protocol.POSTGRESQL, server.port, named_otherwise)).signal is Signal.ANSWERED
        assert (await checked(Protocol.MYSQL, other.port, anybodys)).signal is Signal.ANSWERED


@pytest.mark.parametrize("with_login", [False, True])
async def test_a_server_without_tls_fails(
    postgresql_tls_ground: Ground, mariadb: MariaDB, certificates: Certificates, with_login: bool
) -> None:
    login = Login("app") if with_login else None
    with postgresql_showing(postgresql_tls_ground, f"plain-{with_login}", None) as server:
        for protocol, port in ((Protocol.POSTGRESQL, server.port), (Protocol.MYSQL, mariadb.port)):
            evidence = await checked(protocol, port, full(certificates), login=login)
            assert evidence.signal is Signal.NOT_READY
            assert evidence.detail.endswith("it offers none, and sslmode asks for it")


async def test_disable_never_speaks_tls(
    trusted: PostgreSQL, trusted_mariadb: MariaDB, tmp_path: Path
) -> None:
    """Both servers would take this login over TLS alone, and do when sslmode is left out."""
    login = Login("probe", written(tmp_path / "password"))
    for protocol, port in ((Protocol.POSTGRESQL, trusted.port), (Protocol.MYSQL, trusted_mariadb.port)):
        evidence = await checked(protocol, port, Tls(mode=SslMode.DISABLE), login=login)
        assert (evidence.signal, evidence.role, evidence.denied) == (Signal.ANSWERED, Role.UNKNOWN, True)
        left_out = await probe(database(protocol, login=login), Address("127.0.0.1", port))
        assert left_out is not None
        assert (left_out.role, left_out.denied) == (Role.PRIMARY, False)


async def test_the_password_itself_is_sent_to_a_verified_server_alone(
    trusted: PostgreSQL, certificates: Certificates, tmp_path: Path
) -> None:
    login = Login("cleartext", written(tmp_path / "password"))
    for tls, role in (
        (Tls(mode=SslMode.VERIFY_CA, rootcert=str(certificates.authority)), Role.PRIMARY),
        (full(certificates), Role.PRIMARY),
        (Tls(mode=SslMode.REQUIRE), Role.UNKNOWN),
    ):
        evidence = await checked(Protocol.POSTGRESQL, trusted.port, tls, login=login)
        assert (evidence.signal, evidence.role, evidence.denied) == (
            Signal.ANSWERED,
            role,
            role is Role.UNKNOWN,
        )
    assert "password" in evidence.detail


async def test_a_server_that_can_start_no_process_is_there(
    postgresql_tls_ground: Ground, certificates: Certificates, tmp_path: Path
) -> None:
    """Like one with its most sessions: those that it has need no process."""
    login = Login("probe", written(tmp_path / "password"))
    showing = postgresql_showing(postgresql_tls_ground, "full", certificates.server())
    with showing as server, no_more_processes(server.pid):
        try:
            for asked in (None, login):
                for tls in (Tls(mode=SslMode.DISABLE), full(certificates)):
                    evidence = await checked(Protocol.POSTGRESQL, server.port, tls, login=asked)
                    assert evidence.signal is Signal.ANSWERED
        finally:
            server.stop()


async def test_a_check_leaves_nothing_in_postgresqls_log(
    trusted: PostgreSQL, certificates: Certificates
) -> None:
    said = len(trusted.log.read_text())
    for _ in range(3):
        await checked(Protocol.POSTGRESQL, trusted.port, full(certificates))
    # One that leaves without a word, to show that the log would tell.
    async with await trio.open_tcp_stream("127.0.0.1", trusted.port) as rude:
        encryption = Encryption(Tls(mode=SslMode.REQUIRE))
        await begin_postgresql_tls(rude, encryption, NAME)
    log = await trio.to_thread.run_sync(_grown, trusted.log, said)
    assert log.count("\n") == 1, log


def _grown(log: Path, said: int) -> str:
    """What a log says beyond this length, once it does."""
    until(lambda: log.stat().st_size > said, "the log tells")
    return log.read_text()[said:]


async def test_an_own_certificate_is_shown(
    postgresql_tls_ground: Ground, mariadb_directory: Path, certificates: Certificates
) -> None:
    ours = certificates.client("probe")
    shown, clients = certificates.server(), certificates.authority
    login, lines = Login("probe"), ("hostssl all probe all cert", "hostssl all all all scram-sha-256")
    with_ours = replace(full(certificates), cert=str(ours.chain), key=str(ours.key))
    with ExitStack() as stack:
        server = stack.enter_context(
            postgresql_showing(postgresql_tls_ground, "cert", shown, *lines, clients=clients)
        )
        server.query("CREATE ROLE probe LOGIN")
        other = stack.enter_context(mariadb_showing(mariadb_directory, "cert", shown, clients=clients))
        other.query("CREATE USER probe REQUIRE X509")
        for protocol, port in ((Protocol.POSTGRESQL, server.port), (Protocol.MYSQL, other.port)):
            assert (await checked(protocol, port, with_ours)).signal is Signal.ANSWERED
            evidence = await checked(protocol, port, with_ours, login=login)
            assert (evidence.signal, evidence.role, evidence.denied) == (Signal.ANSWERED, Role.PRIMARY, False)
            assert (await checked(protocol, port, full(certificates), login=login)).denied
        ours.key.chmod(0o644)
        assert (await checked(Protocol.POSTGRESQL, server.port, with_ours)).signal is Signal.ANSWERED
        evidence = await checked(Protocol.POSTGRESQL, server.port, with_ours, login=login)
        assert (evidence.signal, evidence.denied) == (Signal.ANSWERED, True)
        assert "has group or world access" in evidence.detail


@pytest.mark.parametrize("with_login", [False, True])
async def test_an_own_certificate_that_the_server_refuses_is_named(
    postgresql_tls_ground: Ground, mariadb_directory: Path, certificates: Certificates, with_login: bool
) -> None:
    with temporary_directory("strangers-") as directory:
        strangers = Certificates(directory).client("probe")
        tls = replace(full(certificates), cert=str(strangers.chain), key=str(strangers.key))
        login = Login("probe") if with_login else None
        shown, clients, name = certificates.server(), certificates.authority, f"refusing-{with_login}"
        with ExitStack() as stack:
            server = stack.enter_context(
                postgresql_showing(postgresql_tls_ground, name, shown, clients=clients)
            )
            other = stack.enter_context(mariadb_showing(mariadb_directory, name, shown, clients=clients))
            for protocol, port in ((Protocol.POSTGRESQL, server.port), (Protocol.MYSQL, other.port)):
                evidence = await checked(protocol, port, tls, login=login)
                assert (evidence.signal, evidence.detail) == (
                    Signal.NOT_READY,
                    "no TLS with the server: it does not trust the authority of our sslcert",
                )


async def test_direct_tls(postgresql_sid_ground: Ground, certificates: Certificates) -> None:
    direct = replace(full(certificates), negotiation=Negotiation.DIRECT)
    with postgresql_showing(postgresql_sid_ground, "direct", certificates.server()) as server:
        server.query("CREATE ROLE probe LOGIN")
        assert (await checked(Protocol.POSTGRESQL, server.port, direct)).signal is Signal.ANSWERED
        evidence = await checked(Protocol.POSTGRESQL, server.port, direct, login=Login("postgres"))
        assert evidence.role is Role.PRIMARY


async def test_direct_tls_with_an_older_server_fails(trusted: PostgreSQL, certificates: Certificates) -> None:
    direct = replace(full(certificates), negotiation=Negotiation.DIRECT)
    evidence = await checked(Protocol.POSTGRESQL, trusted.port, direct)
    assert evidence.signal is Signal.NOT_READY


async def _speak_tls(stream: trio.SocketStream, context: ssl.SSLContext) -> trio.SSLStream[trio.SocketStream]:
    encrypted = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
    await encrypted.do_handshake()
    return encrypted


def _server_context(certificate: Certificate, *, clients: Path | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def test_tcp_has_its_tls_checked(certificates: Certificates) -> None:
    def serving(context: ssl.SSLContext) -> Talk:
        async def talk(stream: trio.SocketStream) -> None:
            server = tls_peer.Server(context)  # trio's own does not say why it refuses a client
            async for data in stream:
                await stream.send_all(server.hear(bytes(data)))

        return talk

    answers = {
        _server_context(certificates.server()): "accepts connections",
        _server_context(certificates.expired()): "no TLS with the server: its certificate has expired",
        _server_context(
            certificates.server(), clients=certificates.authority
        ): "no TLS with the server: it asks for a client certificate: sslcert and sslkey",
    }
    for context, words in answers.items():
        async with stub(serving(context)) as address:
            assert (await checked(Protocol.TCP, address.port, full(certificates))).detail == words
    async with stub(_plain) as address:
        evidence = await checked(Protocol.TCP, address.port, full(certificates))
    assert (evidence.signal, evidence.detail) == (
        Signal.NOT_READY,
        "no TLS with the server: what it says is no TLS",
    )


async def _plain(stream: trio.SocketStream) -> None:
    await stream.receive_some(4096)
    await stream.send_all(b"SSH-2.0-OpenSSH_9.2p1\r\n")
    await stream.receive_some(4096)


async def test_a_mysql_server_that_forgot_the_password_hears_it_once_it_is_verified(
    mysql_directory: Path, certificates: Certificates, tmp_path: Path
) -> None:
    """caching_sha2_password asks for the password itself after each start."""
    login = Login("probe", written(tmp_path / "password"))
    server = MySQL.created(mysql_directory, "forgetful", settings=mariadb.tls(certificates.server()))
    try:
        server.start()
        server.query(f"CREATE USER probe IDENTIFIED BY '{PASSWORD}'")
        left_out = await probe(database(Protocol.MYSQL, login=login), Address("127.0.0.1", server.port))
        assert left_out is not None
        assert (left_out.signal, left_out.denied) == (Signal.ANSWERED, True)
        assert "no password for the plugin caching_sha2_password" in left_out.detail
        evidence = await checked(Protocol.MYSQL, server.port, full(certificates), login=login)
        assert (evidence.role, evidence.denied) == (Role.PRIMARY, False)
        # Now it remembers the hash, and that tells no secret.
        left_out = await probe(database(Protocol.MYSQL, login=login), Address("127.0.0.1", server.port))
        assert left_out is not None
        assert (left_out.role, left_out.denied) == (Role.PRIMARY, False)
    finally:
        server.stop()


@pytest.mark.parametrize("plugin", ["mysql_clear_password", "caching_sha2_password"])
@pytest.mark.parametrize("mode", [None, SslMode.REQUIRE, SslMode.VERIFY_FULL])
async def test_mysqls_password_itself_is_sent_to_a_verified_server_alone(
    certificates: Certificates, tmp_path: Path, plugin: str, mode: SslMode | None
) -> None:
    context, heard = _server_context(certificates.server()), [b""]

    async def curious(stream: trio.SocketStream) -> None:
        await stream.send_all(greeting(tls=True))
        await stream.receive_some(36)  # the request for TLS, and no more
        encrypted = await _speak_tls(stream, context)
        await encrypted.receive_some(4096)
        await encrypted.send_all(mysql.packet(3, b"\xfe" + plugin.encode() + b"\0" + b"1" * 20 + b"\0"))
        heard.append(bytes(await encrypted.receive_some(4096)))
        if plugin == "caching_sha2_password" and mode is SslMode.VERIFY_FULL:
            await encrypted.send_all(mysql.packet(5, b"\x01\x04"))
            heard.append(bytes(await encrypted.receive_some(4096)))
        await encrypted.send_all(mysql.packet(heard[-1][3] + 1, b"\xff\x15\x04#28000no"))

    tls = None if mode is None else Tls(mode=mode, rootcert=str(certificates.authority))
    asked = database(Protocol.MYSQL, login=Login("probe", written(tmp_path / "password")), tls=tls)
    async with stub(curious) as address:
        evidence = await probe(asked, address, name=NAME, encryption=Encryption(tls) if tls else None)
    assert evidence is not None
    assert evidence.denied
    verified = mode is SslMode.VERIFY_FULL
    assert (PASSWORD.encode() in b"".join(heard)) is verified
    assert (plugin in evidence.detail) is not verified
