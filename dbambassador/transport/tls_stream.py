"""TLS on one of trio's connections: for what is said to a server beside sessions, as in checks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType

import trio

from dbambassador.protocols.malformed import Malformed
from dbambassador.protocols.postgresql import ENCRYPTION_REQUEST, NoProcess, why_not_encrypted
from dbambassador.transport.tls import READ, TlsEnd
from dbambassador.transport.tls_failures import NO_TLS, TlsFailed
from dbambassador.transport.tls_files import ALPN, FOREIGN_TLS, Encryption

FAREWELL_TIMEOUT = 0.1
"""Seconds for the end to find room; a check or two hardly fill a socket's buffer."""


class TlsStream:
    """An encrypted connection, after the handshake; use as an asynchronous context manager.

    Resources: its end tells the server, which would log a connection that was merely closed as an error, and
    closes the connection.
    """

    def __init__(self, connection: trio.SocketStream, tls: TlsEnd) -> None:
        """See `begin_tls`, which holds the handshake."""
        self.tls = tls
        self._connection = connection
        self._text = b""

    async def send_all(self, data: bytes) -> None:
        """Raises: TlsFailed, trio.BrokenResourceError."""
        async with self._hearing_why():
            await self._connection.send_all(self.tls.encrypt(data))

    async def receive_some(self, most: int = READ) -> bytes:
        """Some bytes; none at the end, however that came: messages tell whether something is missing.

        Raises:
          TlsFailed: also where the server refuses the client's part of a handshake that is over (TLS 1.3).
          trio.BrokenResourceError
        """
        if not self._text:
            self._text = self.tls.decrypt(b"")
        while not self._text and not self.tls.ended:
            heard = await self._connection.receive_some(READ)
            if not heard:
                break
            self._text = self.tls.decrypt(bytes(heard))
        text, self._text = self._text[:most], self._text[most:]
        return text

    async def send_eof(self) -> None:
        """Raises: TlsFailed, trio.BrokenResourceError."""
        async with self._hearing_why():
            await self._connection.send_all(self.tls.end())
            await self._connection.send_eof()

    async def aclose(self) -> None:
        with trio.move_on_after(FAREWELL_TIMEOUT) as farewell:
            farewell.shield = True
            with suppress(TlsFailed, trio.BrokenResourceError, trio.ClosedResourceError):
                await self.send_eof()
        await self._connection.aclose()

    @asynccontextmanager
    async def _hearing_why(self) -> AsyncIterator[None]:
        """A server that has closed the connection may have said why before."""
        try:
            yield
        except trio.BrokenResourceError:
            with suppress(trio.BrokenResourceError):
                while await self.receive_some():
                    pass
            raise

    async def __aenter__(self) -> TlsStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


async def begin_tls(connection: trio.SocketStream, tls: TlsEnd) -> TlsStream:
    """Holds the handshake. The connection stays the caller's until this returns.

    Raises:
      TlsFailed: the server was told.
      trio.BrokenResourceError
    """
    heard = b""
    try:
        while not tls.shake_hands(heard):
            await connection.send_all(tls.outgoing())
            heard = bytes(await connection.receive_some(READ))
            if not heard:
                raise TlsFailed("closed the connection")
        await connection.send_all(tls.outgoing())
    except TlsFailed:
        with suppress(trio.BrokenResourceError):
            await connection.send_all(tls.outgoing())
        raise
    return TlsStream(connection, tls)


async def begin_postgresql_tls(connection: trio.SocketStream, encryption: Encryption, host: str) -> TlsStream:
    """The same with a PostgreSQL server, which is asked first unless `sslnegotiation` is `direct`.

    Raises:
      Malformed: it is no PostgreSQL server; or, as NoProcess, one that takes nobody just now.
      TlsFailed, trio.BrokenResourceError
    """
    tls = encryption.begin(host)
    if not encryption.direct:
        await connection.send_all(ENCRYPTION_REQUEST)
        # One byte and no more: what follows must be encrypted (CVE-2021-23222).
        answer = bytes(await connection.receive_some(1))
        if answer == b"N":
            raise TlsFailed(NO_TLS)
        if answer == b"E":
            raise NoProcess(why_not_encrypted(answer))
        if answer != b"S":
            raise Malformed(why_not_encrypted(answer) or "connection closed before an answer")
    stream = await begin_tls(connection, tls)
    if encryption.direct and tls.alpn != ALPN:
        raise Malformed(FOREIGN_TLS)
    return stream
