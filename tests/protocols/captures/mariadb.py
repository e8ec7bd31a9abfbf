"""What MariaDB servers and their clients say to each other when a session begins."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pymysql
import trustme

from dbambassador.demo.processes import unprivileged
from tests.protocols.captures import Words
from tests.protocols.captures.recording import PATIENCE, Recorder, recording
from tests.testbed.mariadb import PASSWORD, USER, MariaDB

_LIMIT = 1
"""Handshakes that a host may break off before it is blocked: max_connect_errors."""

_PLACES = 10
"""The least that max_connections can be."""

_ACCOUNTS = (
    "INSTALL SONAME 'auth_ed25519'",
    f"CREATE USER modern@'%' IDENTIFIED VIA ed25519 USING PASSWORD('{PASSWORD}')",
    "CREATE USER nobody@'%'",
)

Recorded = Iterator[tuple[str, Words]]


def scenes(directory: Path) -> Recorded:
    """A name and what was said, for each; a server runs meanwhile."""
    server = MariaDB.created(directory, "a")
    with _running(server), recording(server.port) as recorder:
        for statement in _ACCOUNTS:
            server.query(statement)
        yield from _of_accounts(recorder)
        server.query(f"SET GLOBAL max_connections = {_PLACES}")
        yield "too-many-connections", _crowded(server, recorder)
    yield from _with_tls(directory)
    yield from _of_strangers(directory)


def _of_accounts(recorder: Recorder) -> Recorded:
    yield "native-password", _session(recorder, USER, PASSWORD)
    yield "no-password", _session(recorder, "nobody", "")
    yield "wrong-password", _session(recorder, USER, "wrong")
    yield "unknown-database", _session(recorder, USER, PASSWORD, "nowhere")
    yield "ed25519-after-a-switch", _client(recorder, "modern", PASSWORD)
    yield "ed25519-wrong-password", _client(recorder, "modern", "wrong")
    yield "native-after-a-switch", _client(recorder, USER, PASSWORD, "--default-auth=client_ed25519")
    yield "libmariadb", _client(recorder, USER, PASSWORD)


def _crowded(server: MariaDB, recorder: Recorder) -> Words:
    """The error in place of a greeting, once every place is taken, and the one for administrators too."""
    held = [server.connection() for _ in range(_PLACES + 1)]
    try:
        return _session(recorder, USER, PASSWORD)
    finally:
        for session in held:
            session.close()


def _with_tls(directory: Path) -> Recorded:
    server = MariaDB.created(directory, "tls", settings=_tls(directory))
    with _running(server), recording(server.port) as recorder:
        yield "tls", _client(recorder, USER, PASSWORD, "--ssl")
        yield "tls-not-taken", _session(recorder, USER, PASSWORD)


def _of_strangers(directory: Path) -> Recorded:
    """Hosts are blocked by their address, never by the loopback interface's own: one of this machine's."""
    here = _address()
    if here is None:
        return
    settings = {"bind-address": here, "max-connect-errors": str(_LIMIT), "skip-name-resolve": "OFF"}
    server = MariaDB.created(directory, "strangers", settings=settings)
    with _running(server), recording(server.port, host=here, source=here) as recorder:
        for _ in range(_LIMIT + 2):
            with socket.create_connection(("127.0.0.1", recorder.port), PATIENCE) as connection:
                connection.recv(4096)
        recorder.taken()
        yield "blocked-host", _session(recorder, USER, PASSWORD)


def _session(recorder: Recorder, user: str, password: str, database: str | None = None) -> Words:
    """By PyMySQL, without TLS."""
    with suppress(pymysql.MySQLError):
        pymysql.connect(
            host="127.0.0.1",
            port=recorder.port,
            user=user,
            password=password,
            database=database,
            autocommit=None,
            ssl_disabled=True,
            connect_timeout=10,
        ).close()
    return _the_one(recorder)


def _client(recorder: Recorder, user: str, password: str, *options: str) -> Words:
    """By the client of the package, which is libmariadb."""
    program = shutil.which("mariadb")
    if program is None:
        raise SystemExit("mariadb is not installed: apt-get install mariadb-client")
    address = ("--no-defaults", "-h127.0.0.1", f"-P{recorder.port}", f"-u{user}", f"-p{password}")
    subprocess.run(
        [program, *address, *options, "-e", "DO 1"], capture_output=True, timeout=PATIENCE, check=False
    )
    return _the_one(recorder)


def _the_one(recorder: Recorder) -> Words:
    (words,) = recorder.taken()
    return words


def _address() -> str | None:
    """An IPv4 address of this machine that is not the loopback interface's; no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # RFC 5737
        except OSError:
            return None
        host: str = probe.getsockname()[0]
        return host


def _tls(directory: Path) -> dict[str, str]:
    certificate = trustme.CA().issue_cert("localhost")
    chain, key = directory / "tls.pem", directory / "tls.key"
    certificate.cert_chain_pems[0].write_to_path(chain)
    certificate.private_key_pem.write_to_path(key)
    for path in (chain, key):
        unprivileged().give(path)
    return {"ssl-cert": str(chain), "ssl-key": str(key)}


@contextmanager
def _running(server: MariaDB) -> Iterator[None]:
    try:
        server.start()
        yield
    finally:
        server.stop()
