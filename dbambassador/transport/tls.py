"""TLS to a server: the client's end of one connection, without I/O."""

from __future__ import annotations

import ssl
from typing import TypeAlias

Bytes: TypeAlias = bytes | memoryview

_DER = 2
"""ENCODING_DER of Modules/_ssl.h."""

RECORD = 16 * 1024
"""Bytes of a record's text, at most: RFC 8446 (5.1)."""
READ = 32 * 1024
"""Bytes that are read at once; see `epoll_loop`."""

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
            raise failure(error, self._host, self._names()) from None
        return True

    def _names(self) -> tuple[str, ...]:
        """Whom the server's certificate is for, verified or not; none where nobody can read it."""
        chain = self.connection._sslobj.get_unverified_chain()  # type: ignore[attr-defined]  # public in 3.13
        try:
            named = chain[0].get_info().get("subjectAltName", ()) if chain else ()
        except (OSError, ValueError):
            return ()
        return tuple(name for kind, name in named if kind in _KINDS_OF_HOST)

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
