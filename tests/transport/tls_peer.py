"""A TLS server on memory, and whom it is certified by."""

from __future__ import annotations

import ssl

import trustme

from dbambassador.transport.tls import TlsEnd

CA = trustme.CA(key_type=trustme.KeyType.ECDSA)
OTHER_CA = trustme.CA(key_type=trustme.KeyType.ECDSA)
HOST = "db.test"


def server_context(certificate: trustme.LeafCert | None = None, **settings: object) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (certificate or CA.issue_cert(HOST, "127.0.0.1")).configure_cert(context)
    for name, value in settings.items():
        setattr(context, name, value)
    return context


SERVER = server_context()
OLD_SERVER = server_context(maximum_version=ssl.TLSVersion.TLSv1_2)


def client_context(ca: trustme.CA = CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca.configure_trust(context)
    return context


CLIENT = client_context()


class Server:
    """The other end, on memory as well."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.done = False

    def hear(self, data: bytes) -> bytes:
        """Goes on with the handshake."""
        self.incoming.write(data)
        if not self.done:
            try:
                self.tls.do_handshake()
                self.done = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                pass  # the alert is outgoing
        return self.outgoing.read()

    def read(self) -> bytes:
        text = b""
        try:
            while chunk := self.tls.read(65536):
                text += chunk
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        return text


def shaken(client: TlsEnd, server: Server) -> None:
    """Holds the handshake to its end."""
    heard, done = b"", False
    for _ in range(10):
        done = done or client.shake_hands(heard)
        heard = server.hear(client.outgoing())
        if done:
            assert client.decrypt(heard) == b""  # tickets, or an alert
            if server.done:
                return
    raise AssertionError("they go round in circles")
