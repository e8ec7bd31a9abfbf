"""TLS to a server: the client's end of one connection, without I/O."""

from __future__ import annotations

import ssl
from typing import TypeAlias

from dbambassador.transport.tls_failures import TlsFailed, failure, shown

Bytes: TypeAlias = bytes | memoryview

_DER = 2
"""ENCODING_DER of Modules/_ssl.h."""

RECORD = 16 * 1024
"""Bytes of a record's text, at most: RFC 8446 (5.1)."""
READ = 32 * 1024
"""Bytes that are read at once; see `epoll_loop`."""

UNVERIFIED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Against those who listen, and nobody else: whoever answers is taken for the server."""
UNVERIFIED.check_hostname = False
UNVERIFIED.verify_mode = ssl.CERT_NONE


class TlsEnd:
    """One connection. What it wants said is fetched with `outgoing`."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        """`host`: the name that the server's certificate is to have, where the context asks for that.

        Raises:
          TlsFailed: no certificate can have this name.
        """
        self._host = host
        self.heard = ssl.MemoryBIO()
        """What came from the server, to be decrypted."""
        self.said = ssl.MemoryBIO()
        """What is to be sent, encrypted; see `outgoing`."""
        try:
            self.connection = context.wrap_bio(self.heard, self.said, server_hostname=host)
        except ValueError as error:
            raise TlsFailed(f"no server can be called {host!r} ({error})") from None
        self.ended = False
        """The server has said that nothing more comes."""

    def shake_hands(self, data: bytes = b"") -> bool:
        """Goes on with the handshake, given what was heard; true once it is over.

        Raises:
          TlsFailed: what is outgoing may still tell the server.
        """
        self.heard.write(data)
        try:
            self.connection.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except (ssl.SSLError, ssl.CertificateError) as error:
            raise failure(error, self._host, shown(self.connection)) from None
        return True

    @property
    def alpn(self) -> str | None:
        """The protocol that both agreed on (RFC 7301)."""
        return self.connection.selected_alpn_protocol()

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """What the server showed, its own first, in DER form; verified or not."""
        chain = self.connection._sslobj.get_unverified_chain()  # type: ignore[attr-defined]  # public in 3.13
        return tuple(each.public_bytes(_DER) for each in chain or ())

    def outgoing(self) -> bytes:
        """What is to be sent."""
        return self.said.read()

    def encrypt(self, data: Bytes) -> bytes:
        """What is to be sent for these bytes.

        Raises:
          TlsFailed
        """
        try:
            if len(data):
                self.connection.write(data)
        except ssl.SSLError as error:
            raise failure(error, self._host) from None
        return self.said.read()

    def decrypt(self, data: bytes) -> bytes:
        """All that can be read now that these bytes have come; possibly nothing yet.

        Raises:
          TlsFailed
        """
        self.heard.write(data)
        text: list[bytes] = []
        while not self.ended:
            try:
                read = self.connection.read(RECORD)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:  # raised once we have ended as well
                self.ended = True
            except ssl.SSLError as error:
                if text:  # the next call meets it again
                    break
                raise failure(error, self._host) from None
            else:
                text.append(read)
                self.ended = not read
        return b"".join(text)

    def end(self) -> bytes:
        """What says that nothing more will be sent (close_notify). The server may go on."""
        try:
            self.connection.unwrap()
        except ssl.SSLError:
            pass  # it would like to hear the same from the server
        return self.said.read()
