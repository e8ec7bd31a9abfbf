"""What MariaDB servers and their clients say to each other when a session begins."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

from dbambassador.demo.processes import unprivileged
from tests.protocols.captures import Words
from tests.protocols.captures.mysql_clients import client, session
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
    yield "native-password", session(recorder, USER, PASSWORD)
    yield "no-password", session(recorder, "nobody", "")
    yield "wrong-password", session(recorder, USER, "wrong")
    yield "unknown-database", session(recorder, USER, PASSWORD, "nowhere")
    yield "ed25519-after-a-switch", client(recorder, "modern", PASSWORD)
    yield "ed25519-wrong-password", client(recorder, "modern", "wrong")
    yield "native-after-a-switch", client(recorder, USER, PASSWORD, "--default-auth=client_ed25519")
    yield "libmariadb", client(recorder, USER, PASSWORD)


def _crowded(server: MariaDB, recorder: Recorder) -> Words:
    """The error in place of a greeting, once every place is taken, and the one for administrators too."""
    held = [server.connection() for _ in range(_PLACES + 1)]
    try:
        return session(recorder, USER, PASSWORD)
    finally:
        for connection in held:
            connection.close()


def _with_tls(directory: Path) -> Recorded:
    server = MariaDB.created(directory, "tls", settings=_tls(directory))
    with _running(server), recording(server.port) as recorder:
        yield "tls", client(recorder, USER, PASSWORD, "--ssl")
        yield "tls-not-taken", session(recorder, USER, PASSWORD)


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
        yield "blocked-host", session(recorder, USER, PASSWORD)


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
