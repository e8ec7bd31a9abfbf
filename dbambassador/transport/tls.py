"""TLS to a server: the client's end of one connection, without I/O, and as a socket for a relay.

OpenSSL works on memory alone here. For a message there and back that took 8.5 µs of CPU time, and 12.7 µs
where it reads and writes the socket itself, a record's header and body apart.
"""

from __future__ import annotations

import errno
import socket
import ssl
from typing import TypeAlias

Bytes: TypeAlias = bytes | memoryview

_DER = 2
"""ENCODING_DER of Modules/_ssl.h."""

RECORD = 16 * 1024
"""Bytes of a record's text, at most: RFC 8446 (5.1)."""
READ = 32 * 1024
"""Bytes that are read at once; see `epoll_loop`."""

MOST_UNSENT = 256 * 1024
"""Bytes: far more than a relay offers at once. A server may have TLS say more as often as it likes (RFC 8446,
4.6.3), and not read it."""

_OF_VERIFICATION = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: "its certificate is signed by itself, and is not in sslrootcert",
    19: "its certificate comes from an authority that is not in sslrootcert",
    20: "its certificate comes from an authority that is not in sslrootcert",
    23: "its certificate was revoked",
    24: "a certificate in its chain is none of an authority",
    26: "its certificate is not meant for servers",
}
"""By OpenSSL's number: include/openssl/x509_vfy.h."""
_OF_HOST = {62, 64}
"""X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH."""
_KINDS_OF_HOST = {"DNS", "IP Address"}
"""Of names in a certificate (RFC 5280, 4.2.1.6): what a host is called by, as Python writes it."""
SHOWN_NAMES, LONGEST_NAME = 3, 80
_OF_PROTOCOL = {
    "WRONG_VERSION_NUMBER": "what it says is no TLS",
    "UNSUPPORTED_PROTOCOL": "its TLS is older than 1.2",
    "TLSV1_ALERT_PROTOCOL_VERSION": "its TLS is older than 1.2",
    "NO_PROTOCOLS_AVAILABLE": "its TLS is older than 1.2",
}
NO_TLS = "it offers none, and sslmode asks for it"
"""Why there is no TLS with a server that does not speak it."""
_ALERT = "ALERT_"
_OF_CLIENT_CERTIFICATE = {
    "certificate required": "it asks for a client certificate: sslcert and sslkey",
    "unknown ca": "it does not trust the authority of our sslcert",
    "bad certificate": "it refused our sslcert",
    "unsupported certificate": "it refused our sslcert, which is of a kind that it does not take",
    "certificate revoked": "it says that our sslcert was revoked",
    "certificate expired": "it says that our sslcert has expired",
    "certificate unknown": "it refused our sslcert",
}
"""By the name of the alert: RFC 8446 (6.2)."""


UNVERIFIED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Against those who listen, and nobody else: whoever answers is taken for the server."""
UNVERIFIED.check_hostname = False
UNVERIFIED.verify_mode = ssl.CERT_NONE


def no_tls(why: object) -> str:
    """What is told of a server with which no TLS comes about."""
    return f"no TLS with the server: {why}"


class TlsFailed(Exception):
    """The connection cannot go on; the message says why, as a person would."""


class Untrusted(TlsFailed):
    """The server's certificate is not accepted."""


class TlsEnd:
    """One connection. What it wants said is fetched with `outgoing`."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        """`host`: the name that the server's certificate is to have, where the context asks for that.

        Raises:
          TlsFailed: no certificate can have this name.
        """
        self._host = host
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        try:
            self._connection = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        except ValueError as error:
            raise TlsFailed(f"no server can be called {host!r} ({error})") from None
        self.ended = False
        """The server has said that nothing more comes."""

    def shake_hands(self, data: bytes = b"") -> bool:
        """Goes on with the handshake, given what was heard; true once it is over.

        Raises:
          TlsFailed: what is outgoing may still tell the server.
        """
        self._incoming.write(data)
        try:
            self._connection.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except (ssl.SSLError, ssl.CertificateError) as error:
            raise failure(error, self._host, self._names()) from None
        return True

    def _names(self) -> tuple[str, ...]:
        """Whom the server's certificate is for, verified or not; none where nobody can read it."""
        chain = self._connection._sslobj.get_unverified_chain()  # type: ignore[attr-defined]  # public in 3.13
        try:
            named = chain[0].get_info().get("subjectAltName", ()) if chain else ()
        except (OSError, ValueError):
            return ()
        return tuple(name for kind, name in named if kind in _KINDS_OF_HOST)

    @property
    def alpn(self) -> str | None:
        """The protocol that both agreed on (RFC 7301)."""
        return self._connection.selected_alpn_protocol()

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """What the server showed, its own first, in DER form; verified or not."""
        chain = self._connection._sslobj.get_unverified_chain()  # type: ignore[attr-defined]  # public in 3.13
        return tuple(each.public_bytes(_DER) for each in chain or ())

    def outgoing(self) -> bytes:
        """What is to be sent."""
        return self._outgoing.read()

    def encrypt(self, data: Bytes) -> bytes:
        """What is to be sent for these bytes.

        Raises:
          TlsFailed
        """
        try:
            if len(data):
                self._connection.write(data)
        except ssl.SSLError as error:
            raise failure(error, self._host) from None
        return self._outgoing.read()

    def decrypt(self, data: bytes) -> bytes:
        """All that can be read now that these bytes have come; possibly nothing yet.

        Raises:
          TlsFailed
        """
        self._incoming.write(data)
        text: list[bytes] = []
        while not self.ended:
            try:
                read = self._connection.read(RECORD)
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

    @property
    def holds(self) -> bool:
        """There may be something to read without hearing more."""
        return bool(self._incoming.pending or self._connection.pending())

    @property
    def owes(self) -> bool:
        """Something is outgoing, as the answer to a server that wants other keys."""
        return bool(self._outgoing.pending)

    def hear(self, data: bytes) -> None:
        """Takes bytes from the server, for `read`."""
        self._incoming.write(data)

    def read(self, into: memoryview) -> int:
        """Reads one record at most. Returns: bytes; 0 when the server has ended.

        Raises:
          ssl.SSLWantReadError: more must be heard.
          ssl.SSLError
        """
        try:
            count: int = self._connection.read(len(into), into)  # type: ignore[assignment]
        except ssl.SSLZeroReturnError:
            count = 0
        self.ended = not count
        return count

    def end(self) -> bytes:
        """What says that nothing more will be sent (close_notify). The server may go on."""
        try:
            self._connection.unwrap()
        except ssl.SSLError:
            pass  # it would like to hear the same from the server
        return self._outgoing.read()


class EncryptedSocket(socket.socket):
    """A connected socket whose bytes are encrypted on their way: for the relay, which does not block.

    A short read has emptied it, as with any stream socket. What was not sent has to be offered again, the
    same bytes: a part of them is encrypted already.
    """

    def __init__(self, connected: socket.socket, tls: TlsEnd) -> None:
        """Takes the socket over, after the handshake. Nothing of `tls` may wait to be read."""
        super().__init__(connected.family, connected.type, connected.proto, connected.detach())
        self.setblocking(False)
        self._tls = tls
        self._broken: ssl.SSLError | None = None
        """Met behind bytes that had to be told first."""
        self._unsent = tls.outgoing()
        self._offered = 0
        """How many bytes wait to be offered again, whose `_unsent` is the rest."""
        try:
            self._send_rest()  # the handshake's end: the server may be the first to speak, and waits for it
        except OSError:
            pass  # the next call meets it again

    def recv_into(self, buffer: memoryview, nbytes: int = 0, flags: int = 0) -> int:  # type: ignore[override]
        """Raises: BlockingIOError; OSError, also where what comes is not what the server sent."""
        if self._broken is not None:
            raise self._broken
        tls, filled, emptied = self._tls, 0, False
        while not tls.ended:
            if tls.holds:
                try:
                    filled += tls.read(buffer[filled:])
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLError as error:
                    if not filled:
                        raise
                    self._broken = error  # OpenSSL would tell an end the next time
                    self._wake()
                    return filled
                if tls.owes:
                    self._answer()
                if filled == len(buffer):
                    return filled
                continue
            if filled and emptied:
                return filled
            try:
                data = super().recv(READ)
            except OSError:  # nothing more, as a rule; what else it is, the next read tells
                if filled:
                    return filled
                raise
            if not data:
                # No close_notify came: the database's own messages tell whether something is missing.
                return filled
            tls.hear(data)
            emptied = len(data) < READ
        if filled:
            self._wake()
        return filled

    def send(self, data: Bytes, flags: int = 0) -> int:  # type: ignore[override]
        """Raises: BlockingIOError: offer the same bytes again; OSError."""
        if not self._offered:
            self._offered = len(data)
            self._unsent += self._tls.encrypt(data)
        self._send_rest()
        sent, self._offered = self._offered, 0
        return sent

    def shutdown(self, how: int) -> None:
        """Tells the server first, as far as there is room."""
        self._unsent += self._tls.end()
        try:
            self._send_rest()
        except OSError:
            pass
        super().shutdown(how)

    def _answer(self) -> None:
        """Says what TLS itself has to say, as far as there is room."""
        self._unsent += self._tls.outgoing()
        try:
            self._send_rest()
        except OSError:
            pass  # the next call meets it again
        if len(self._unsent) > MOST_UNSENT:
            raise ConnectionAbortedError(errno.ECONNABORTED, "the server does not hear what it asks for")

    def _send_rest(self) -> None:
        while self._unsent:
            self._unsent = self._unsent[super().send(self._unsent) :]

    def _wake(self) -> None:
        """Has the end, which was met behind other bytes, told by an event of its own."""
        try:
            super().shutdown(socket.SHUT_RD)
        except OSError:
            pass


def failure(error: ssl.SSLError | ssl.CertificateError, host: str, names: tuple[str, ...] = ()) -> TlsFailed:
    """OpenSSL's error with a server of this name, as a person would say it. `names`: its certificate's."""
    distrusts = isinstance(error, ssl.SSLCertVerificationError)
    return (Untrusted if distrusts else TlsFailed)(_described(error, host, names))


def _described(error: ssl.SSLError | ssl.CertificateError, host: str, names: tuple[str, ...]) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _OF_HOST:
            return f"its certificate is not for {host}{_but_for(names)}"
        return _OF_VERIFICATION.get(error.verify_code, f"its certificate is refused: {error.verify_message}")
    reason = getattr(error, "reason", None) or ""
    if isinstance(error, ssl.SSLEOFError):
        return "closed the connection"
    if _ALERT in reason:
        words = reason.partition(_ALERT)[2].replace("_", " ").lower()
        told = _OF_PROTOCOL.get(reason) or _OF_CLIENT_CERTIFICATE.get(words)
        return told or f"the server broke it off ({words})"
    return _OF_PROTOCOL.get(reason, reason.replace("_", " ").lower() or str(error))


def _but_for(names: tuple[str, ...]) -> str:
    if not names:
        return ""
    shown = ", ".join(name[:LONGEST_NAME] for name in names[:SHOWN_NAMES])
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return f", but for {shown}{more}"
