"""What tests of checks share: databases with a check, and peers that say nothing."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import trio

from dbambassador.health.evidence import Evidence
from dbambassador.health.probes import Prober
from dbambassador.protocols import mysql
from dbambassador.settings.schema import (
    Check,
    Database,
    HostEndpoint,
    HttpCheck,
    Login,
    Protocol,
    TargetSessionAttrs,
    TcpListen,
    Tls,
)
from dbambassador.transport.tls_files import Encryption
from dbambassador.values import Address

PASSWORD = "the-secret-of-the-check"


def database(
    protocol: Protocol,
    *,
    login: Login | None = None,
    http: HttpCheck | None = None,
    wanted: TargetSessionAttrs = TargetSessionAttrs.ANY,
    tls: Tls | None = None,
) -> Database:
    return Database(
        name="checked",
        protocol=protocol,
        listen=(TcpListen("127.0.0.1", 1),),
        endpoints=(HostEndpoint("db.test", 1),),
        target_session_attrs=wanted,
        check=Check(login=login, http=http),
        tls=tls,
    )


async def probe(
    asked: Database,
    address: Address,
    *,
    name: str = "db.test",
    encryption: Encryption | None = None,
    denied: bool = False,
) -> Evidence | None:
    """One check of a server that knows nothing of others before."""
    return await Prober(asked, encryption).probe(address, name, denied=denied)


def written(path: Path, content: str = PASSWORD + "\n") -> str:
    """The path of a password file with this content."""
    path.write_text(content)
    return str(path)


@contextmanager
def silent() -> Iterator[Address]:
    """Somebody whose kernel accepts connections, and who never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Address("127.0.0.1", listener.getsockname()[1])


@contextmanager
def black_hole() -> Iterator[Address]:
    """An address that answers nothing at all, as its queue of connections is full.

    Linux drops the SYN then: tcp_conn_request in net/ipv4/tcp_input.c.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        queued = [socket.socket() for _ in range(3)]
        try:
            for each in queued:
                each.setblocking(False)
                each.connect_ex(("127.0.0.1", port))
            yield Address("127.0.0.1", port)
        finally:
            for each in queued:
                each.close()


Talk = Callable[[trio.SocketStream], Awaitable[None]]


@asynccontextmanager
async def stub(*talks: Talk) -> AsyncIterator[Address]:
    """A server that has these conversations, one for each connection in turn; the last one for all later."""
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    coming = iter(talks)
    latest = [talks[0]]

    async def converse(stream: trio.SocketStream) -> None:
        latest[0] = next(coming, latest[0])
        try:
            async with stream:
                await latest[0](stream)
        except trio.BrokenResourceError:
            pass  # the check left

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, converse, [listener])
        yield Address("127.0.0.1", listener.socket.getsockname()[1])
        nursery.cancel_scope.cancel()


def greeting(plugin: str = "mysql_native_password", *, tls: bool = False) -> bytes:
    """A MySQL server's first word."""
    capabilities = 0x81FF_F7FF | (0x800 if tls else 0)
    fixed = (1).to_bytes(4, "little") + b"12345678\0" + (capabilities & 0xFFFF).to_bytes(2, "little")
    fixed += b"\x2d\2\0" + (capabilities >> 16).to_bytes(2, "little") + bytes([21]) + bytes(10)
    return mysql.packet(0, b"\x0a8.4.0\0" + fixed + b"123456789012\0" + plugin.encode() + b"\0")


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """This process cannot open another file or socket."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def descriptors() -> int:
    """How many files and sockets this process has open."""
    return len(os.listdir("/proc/self/fd"))
