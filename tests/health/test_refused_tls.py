"""Servers whose TLS is refused: MySQL's count of aborted handshakes stays below its limit, however often they
are checked, and what was repaired is found."""

from __future__ import annotations

import shutil
import ssl
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from dbambassador.health.evidence import Blocked, Evidence, Role, Signal
from dbambassador.health.probes import Prober
from dbambassador.health.refused_tls import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    MOST_CERTIFICATES,
    MOST_SERVERS,
    RefusedTls,
)
from dbambassador.protocols import mysql
from dbambassador.settings.schema import Login, Protocol, SslMode, Tls
from dbambassador.transport.tls import TlsEnd
from dbambassador.transport.tls_failures import TlsFailed
from dbambassador.transport.tls_files import Encryption
from dbambassador.transport.tls_stream import begin_tls
from dbambassador.values import Address
from tests.health.checking import database, written
from tests.health.counting import LIMIT, Counting, CountingMariaDB, CountingMySQL, counting
from tests.testbed.certificates import Certificate, Certificates
from tests.testbed.mariadb import tls as showing
from tests.testbed.netns import Host

NAME = "db.test"
CHECKS = 20


class Checks:
    """The checks of one ambassador on its host."""

    def __init__(self, server: Counting, app: Host, tls: Tls, login: Login | None) -> None:
        self._server, self._app = server, app
        self.encryption = Encryption(tls)
        self._prober = Prober(database(Protocol.MYSQL, login=login, tls=tls), self.encryption)
        self._clock = MockClock(rate=1.0)
        """One for all: the clock of each run by itself begins somewhere else."""

    def check(self, times: int = 1, name: str = NAME) -> Evidence:
        """The last one's evidence."""

        async def again_and_again() -> Evidence | None:
            evidence = None
            for _ in range(times):
                evidence = await self._prober.probe(self._server.address, name)
            return evidence

        evidence = self._app.call(lambda: trio.run(again_and_again, clock=self._clock))
        assert evidence is not None
        return evidence


@pytest.fixture(params=[False, True], ids=["stranger", "login"])
def login(request: pytest.FixtureRequest, tmp_path: Path) -> Login | None:
    return Login("probe", written(tmp_path / "password")) if request.param else None


@pytest.mark.parametrize("kind", [CountingMariaDB, CountingMySQL])
def test_a_bad_certificate_is_refused_once_and_its_successor_found(
    request: pytest.FixtureRequest, certificates: Certificates, kind: type[Counting], login: Login | None
) -> None:
    directory: Path = request.getfixturevalue(f"{kind.product.lower()}_directory")
    name = f"expired-{login is not None}"
    shown = _copied(certificates.expired(), directory / f"{name}.tls")
    full = Tls(mode=SslMode.VERIFY_FULL, rootcert=str(certificates.authority))
    # MySQL reads no certificate anew that its own authority has not signed.
    settings = showing(shown, clients=certificates.authority)
    with counting(kind, directory, name, settings) as (server, app):
        checks = Checks(server, app, full, login)
        evidence = checks.check(CHECKS)
        assert (evidence.signal, evidence.detail) == (
            Signal.NOT_READY,
            "no TLS with the server: its certificate has expired",
        )
        assert server.counted() == 1
        _copied(certificates.server(), shown.chain.parent)
        server.query(server.reload_tls)
        evidence = checks.check(2)
        assert evidence.signal is Signal.ANSWERED
        assert evidence.role is (Role.PRIMARY if login else Role.UNKNOWN)

        # What it would come to otherwise.
        for _ in range(LIMIT + 1):
            app.call(lambda: trio.run(_break_off, server.address, checks.encryption.context))
        with pytest.raises(Blocked, match="many connection errors"):
            checks.check()


async def _break_off(address: Address, trust: ssl.SSLContext) -> None:
    async with await trio.open_tcp_stream(address.host, address.port) as stream:
        await stream.receive_some(4096)
        await stream.send_all(mysql.tls_request())
        with pytest.raises((TlsFailed, trio.BrokenResourceError)):  # the last one finds itself locked out
            await begin_tls(stream, TlsEnd(trust, "elsewhere.test"))


def test_a_tls_that_does_not_come_about_is_tried_once(
    mariadb_directory: Path, certificates: Certificates, login: Login | None
) -> None:
    settings = {**showing(certificates.server()), "tls-version": "TLSv1.2"}
    full = Tls(mode=SslMode.VERIFY_FULL, rootcert=str(certificates.authority))
    with counting(CountingMariaDB, mariadb_directory, f"old-{login is not None}", settings) as (server, app):
        checks = Checks(server, app, full, login)
        checks.encryption.context.minimum_version = ssl.TLSVersion.TLSv1_3
        evidence = checks.check(CHECKS)
        assert (evidence.signal, evidence.detail) == (
            Signal.NOT_READY,
            "no TLS with the server: its TLS is older than 1.2",
        )
        assert server.counted() == 1


def test_a_server_whose_name_is_put_right_is_trusted_at_once(
    mariadb_directory: Path, certificates: Certificates, login: Login | None
) -> None:
    full = Tls(mode=SslMode.VERIFY_FULL, rootcert=str(certificates.authority))
    settings = showing(certificates.server())
    with counting(CountingMariaDB, mariadb_directory, f"renamed-{login is not None}", settings) as (
        server,
        app,
    ):
        checks = Checks(server, app, full, login)
        evidence = checks.check(CHECKS, "other.test")
        assert evidence.signal is Signal.NOT_READY
        assert evidence.detail.startswith("no TLS with the server: its certificate is not for other.test")
        assert server.counted() == 1
        assert checks.check().signal is Signal.ANSWERED


def test_a_server_without_tls_counts_nothing(
    mariadb_directory: Path, certificates: Certificates, login: Login | None
) -> None:
    full = Tls(mode=SslMode.VERIFY_FULL, rootcert=str(certificates.authority))
    with counting(CountingMariaDB, mariadb_directory, f"without-{login is not None}") as (server, app):
        assert Checks(server, app, full, login).check(CHECKS).signal is Signal.NOT_READY
        assert server.counted() == 0


def _copied(certificate: Certificate, directory: Path) -> Certificate:
    """In files of its own, which others can take the place of."""
    directory.mkdir(exist_ok=True)
    return Certificate(
        Path(shutil.copy(certificate.chain, directory / "chain.pem")),
        Path(_copied_key(certificate.key, directory / "key.pem")),
    )


def _copied_key(source: Path, target: Path) -> str:
    copied = shutil.copy2(source, target)
    shutil.chown(copied, source.stat().st_uid, source.stat().st_gid)
    return str(copied)


# The memory alone.

A = Address("10.0.0.1", 3306)
TRUST = object()


def refused(*, untrusted: bool = True) -> RefusedTls:
    memory = RefusedTls()
    memory.note(A, "no", TRUST, untrusted=untrusted, now=0.0)
    return memory


def test_attempts_become_rare() -> None:
    memory, now, attempts = RefusedTls(), 0.0, 0
    while now < 4 * 24 * 3600:
        memory.note(A, "no", TRUST, untrusted=True, now=now)
        attempts += 1
        assert memory.look(A, TRUST, now) is not None
        while memory.look(A, TRUST, now) is not None:
            now += FIRST_PAUSE
    assert attempts < 110
    assert memory.look(A, TRUST, now + LONGEST_PAUSE) is None


def test_other_files_of_ours_are_tried_at_once() -> None:
    memory = refused()
    assert memory.look(A, object(), 0.0) is None
    assert memory.look(Address("10.0.0.2", 3306), TRUST, 0.0) is None


def test_other_certificates_are_tried_at_once_but_not_for_ever() -> None:
    memory = refused()
    memory.see(A, (b"bad",))
    memory.see(A, (b"bad",))
    assert memory.look(A, TRUST, 1.0) is not None
    attempts = 0
    for number in range(100):
        memory.see(A, (f"{number}".encode(),))
        if memory.look(A, TRUST, 1.0) is None:
            attempts += 1
            memory.note(A, "no", TRUST, untrusted=True, now=1.0)
    assert attempts == MOST_CERTIFICATES - 1


def test_the_same_leaf_with_its_missing_link_is_another_certificate() -> None:
    memory = refused()
    memory.see(A, (b"leaf",))
    memory.see(A, (b"leaf", b"link"))
    assert memory.look(A, TRUST, 1.0) is None


def test_two_servers_that_take_turns_behind_one_address_are_told_apart_once() -> None:
    memory = refused()
    for _ in range(10):
        memory.see(A, (b"one",))
        memory.see(A, (b"other",))
        if memory.look(A, TRUST, 1.0) is None:
            memory.note(A, "no", TRUST, untrusted=True, now=1.0)
    assert memory.look(A, TRUST, 1.0 + FIRST_PAUSE) is not None
    assert memory.look(A, TRUST, 1.0 + 2 * FIRST_PAUSE) is None


def test_what_is_forgotten_is_tried() -> None:
    memory = refused()
    memory.forget(A)
    assert memory.look(A, TRUST, 0.0) is None


def test_the_memory_has_an_end() -> None:
    memory = RefusedTls()
    servers = [Address("10.0.0.1", port) for port in range(1, MOST_SERVERS + 2)]
    for server in servers:
        memory.note(server, "no", TRUST, untrusted=False, now=0.0)
    forgotten = [server for server in servers if memory.look(server, TRUST, 0.0) is None]
    assert forgotten == servers[:1]
