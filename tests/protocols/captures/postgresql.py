"""What PostgreSQL servers and libpq say to each other when a session begins."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
import trustme

from dbambassador.demo.installations import Installation
from dbambassador.demo.postgresql import Ground, PostgreSQL
from tests.protocols.captures import Words
from tests.protocols.captures.recording import PATIENCE, Recorder, recording

PASSWORD = "test-password"
"""Of every account here; the servers live for seconds, on the loopback interface."""

_HBA = """
host all scram 127.0.0.1/32 scram-sha-256
host all md5 127.0.0.1/32 md5
host all cleartext 127.0.0.1/32 password
host all all 127.0.0.1/32 trust
host replication all 127.0.0.1/32 trust
"""

_ACCOUNTS = (
    f"CREATE ROLE scram LOGIN PASSWORD '{PASSWORD}'",
    f"CREATE ROLE cleartext LOGIN PASSWORD '{PASSWORD}'",
    "SET password_encryption = md5",
    f"CREATE ROLE md5 LOGIN PASSWORD '{PASSWORD}'",
    "CREATE ROLE crowded LOGIN CONNECTION LIMIT 0",
    "CREATE ROLE reader LOGIN",
    "ALTER ROLE reader SET default_transaction_read_only = on",
)

_PLAIN = "sslmode=disable gssencmode=disable"

_GSSENC_REQUEST = bytes.fromhex("0000000804d21630")
_STARTUP = bytes.fromhex("00030000") + b"user\0postgres\0database\0postgres\0\0"
_LATEST = bytes.fromhex("0003270f") + b"user\0postgres\0_pq_.test_protocol_negotiation\0\0\0"

Recorded = Iterator[tuple[str, Words]]


def scenes(installation: Installation, directory: Path) -> Recorded:
    """A name and what was said, for each; servers of this installation run meanwhile."""
    ground = Ground.prepared(installation, directory)
    primary = PostgreSQL.created(ground, "a", settings=_tls(ground))
    (primary.data / "pg_hba.conf").write_text(_HBA)
    with _running(primary), recording(primary.port) as recorder:
        with primary.connection() as connection:
            for statement in _ACCOUNTS:
                connection.execute(statement.encode())
        yield from _of_primary(primary, recorder)
        yield from _of_standby(primary)
        yield "shutting-down", _while_shutting_down(primary, recorder)


def _of_primary(primary: PostgreSQL, recorder: Recorder) -> Recorded:
    for name, conninfo in {
        "trust": _PLAIN,
        "scram": f"{_PLAIN} user=scram password={PASSWORD}",
        "md5": f"{_PLAIN} user=md5 password={PASSWORD}",
        "cleartext": f"{_PLAIN} user=cleartext password={PASSWORD}",
        "wrong-password": f"{_PLAIN} user=scram password=wrong",
        "unknown-database": f"{_PLAIN} dbname=nowhere",
        "too-many-connections": f"{_PLAIN} user=crowded",
        "read-only-by-default": f"{_PLAIN} user=reader",
        "protocol-3.2": f"{_PLAIN} max_protocol_version=3.2",
        "tls": "sslmode=require gssencmode=disable",
        "direct-tls": "sslmode=require sslnegotiation=direct gssencmode=disable",
    }.items():
        yield name, _one(recorder, lambda conninfo=conninfo: _session(recorder, conninfo))  # type: ignore[misc]
    yield "gssenc", _one(recorder, lambda: _raw(recorder, _GSSENC_REQUEST, _packet(_STARTUP)))
    yield "newer-minor", _one(recorder, lambda: _raw(recorder, _packet(_LATEST)))
    for name, options in {"cancel": _PLAIN, "cancel-3.2": f"{_PLAIN} max_protocol_version=3.2"}.items():
        _cancel(recorder, options)
        yield name, recorder.taken()[1]
    with primary.connection() as connection:
        connection.execute("ALTER SYSTEM SET ssl = off")
        connection.execute("SELECT pg_reload_conf()")
    yield (
        "sslrequest-refused",
        _one(recorder, lambda: _session(recorder, "sslmode=prefer gssencmode=disable")),
    )


def _of_standby(primary: PostgreSQL) -> Recorded:
    standby = primary.standby("b")
    with recording(standby.port) as recorder:
        with _running(standby):
            yield "standby", _one(recorder, lambda: _session(recorder, _PLAIN))
        with (standby.data / "postgresql.conf").open("a") as settings:
            settings.write("hot_standby = off\n")
        with _running(standby):
            yield "not-accepting", _one(recorder, lambda: _session(recorder, _PLAIN))


def _while_shutting_down(primary: PostgreSQL, recorder: Recorder) -> Words:
    """A smart shutdown waits for the sessions that are there, and turns new ones away."""
    with primary.connection():
        os.kill(primary.pid, signal.SIGTERM)
        words: Words = ()
        while b"57P03" not in b"".join(data for _, data in words):  # until the signal has arrived
            words = _one(recorder, lambda: _session(recorder, _PLAIN))
    return words


def _one(recorder: Recorder, converse: Callable[[], None]) -> Words:
    """What was said on the one connection that this makes."""
    converse()
    (words,) = recorder.taken()
    return words


def _session(recorder: Recorder, options: str) -> None:
    address = f"host=127.0.0.1 port={recorder.port} user=postgres dbname=postgres connect_timeout=10"
    with suppress(psycopg.OperationalError):
        psycopg.connect(f"{address} {options}").close()


def _cancel(recorder: Recorder, options: str) -> None:
    """A session, and the connection that cancels what it does."""
    address = f"host=127.0.0.1 port={recorder.port} user=postgres dbname=postgres"
    with closing(psycopg.connect(f"{address} {options}")) as session:
        session.cancel_safe()


def _raw(recorder: Recorder, *packets: bytes) -> None:
    """A client that waits for an answer to each packet, and leaves; at once where it is to use GSSAPI."""
    with socket.create_connection(("127.0.0.1", recorder.port), PATIENCE) as connection:
        for packet in packets:
            connection.sendall(packet)
            if connection.recv(65536) == b"G":
                return


def _packet(rest: bytes) -> bytes:
    return (4 + len(rest)).to_bytes(4, "big") + rest


def _tls(ground: Ground) -> dict[str, str]:
    """Settings for a server with a certificate of its own; none where it was built without TLS."""
    if "ssl" not in ground.run("pg_config", "--configure"):
        return {}
    certificate = trustme.CA().issue_cert("localhost")
    chain, key = ground.directory / "tls.pem", ground.directory / "tls.key"
    certificate.cert_chain_pems[0].write_to_path(chain)
    certificate.private_key_pem.write_to_path(key)
    key.chmod(0o600)
    for path in (chain, key):
        ground.identity.give(path)
    return {"ssl": "on", "ssl_cert_file": str(chain), "ssl_key_file": str(key)}


@contextmanager
def _running(server: PostgreSQL) -> Iterator[None]:
    try:
        server.start()
        yield
    finally:
        server.stop()
