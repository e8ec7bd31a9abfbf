"""The certificates that a database's TLS goes by, from their files, which may be replaced at any time."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from time import monotonic

import trio

from dbambassador.errors import UnusableFiles
from dbambassador.events import CertificatesReloaded, CertificatesUnusable, Publish
from dbambassador.settings.schema import SYSTEM_CAS, Database, Negotiation, Tls
from dbambassador.settings.schema import SslMode as Mode
from dbambassador.transport.tls import TlsEnd

LOOK_PERIOD = 1.0
"""Seconds between looks at the files, at least: new certificates come days before the old ones expire."""
RETRY_PERIOD = 10.0
"""Seconds until files that cannot be used are read again although they look as they did: whoever may read
one now, and might not before, sees that in none of its stamps. 150 authorities take 40 ms, of whichever
thread asks: the relay's, too."""
ALPN = "postgresql"
"""What PostgreSQL calls itself where TLS begins at once:
https://www.iana.org/assignments/tls-extensiontype-values"""
BEGIN = "-----BEGIN CERTIFICATE-----"
"""RFC 7468 (5.1); it stands on a line of its own."""
DAMAGED = "a certificate in it is damaged, or does not begin on a line of its own"
"""What is told of a file with certificates of which not all can be read, as where two were joined."""
FOREIGN_TLS = "its TLS is not that of PostgreSQL: sslnegotiation: direct needs version 17 or later"
"""What is told of a server that does not agree on that."""

Stamps = tuple[tuple[int, int, int] | None, ...]
"""For each file: modified at, inode, size; None where there is none."""
Told = Callable[[str], None]
"""Called when the files have changed: with an empty text, or why the former ones stay in use. In the thread
of whoever noticed."""


class Unusable(Exception):
    """A file that cannot be used; the message names it and says why."""


class Encryption:
    """A database's TLS. For any thread."""

    def __init__(self, tls: Tls, told: Told = lambda _: None) -> None:
        """Reads the files.

        Raises:
          Unusable
        """
        assert tls.encrypts
        self.direct = tls.negotiation is Negotiation.DIRECT
        """It begins at once; otherwise a PostgreSQL server is asked first."""
        self.settings = tls
        self._told = told
        self._looking = Lock()
        self._stamps = _stamps(tls)
        self._looked_at = self._read_at = monotonic()
        self.problem = ""
        """Why the files as they are now cannot be used; empty: they are in use."""
        self._context = _context(tls)

    def begin(self, host: str) -> TlsEnd:
        """Begins a connection to a host of this name.

        Raises:
          TlsFailed: no certificate can have this name.
        """
        return TlsEnd(self.context, host)

    @property
    def context(self) -> ssl.SSLContext:
        """By the files as they are now, or were when they could last be used."""
        if monotonic() >= self._looked_at + LOOK_PERIOD and self._looking.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._looking.release()
        return self._context

    def _look(self) -> None:
        self._looked_at = monotonic()
        stamps = _stamps(self.settings)
        again = self.problem and self._looked_at >= self._read_at + RETRY_PERIOD
        if stamps != self._stamps or again:
            self._stamps = stamps
            self._read_anew()

    def _read_anew(self) -> None:
        before, self._read_at = self.problem, self._looked_at
        try:
            self._context = _context(self.settings)
        except Unusable as error:
            self.problem = str(error)
        else:
            self.problem = ""
        if self.problem != before or not before:
            self._told(self.problem)


def encryption_of(database: Database, publish: Publish) -> Encryption | None:
    """A database's TLS, for this run of trio's; None where the ambassador itself speaks none.

    Raises:
      UnusableFiles: its certificates, its key.
    """

    def tell(problem: str) -> None:
        name = database.name
        event = CertificatesUnusable(name, problem) if problem else CertificatesReloaded(name)
        try:
            run.run_sync_soon(publish, event)  # it may be the engine's thread that noticed
        except trio.RunFinishedError:
            pass

    if database.tls is None or not database.tls.encrypts:
        return None
    run = trio.lowlevel.current_trio_token()
    try:
        return Encryption(database.tls, tell)
    except Unusable as unusable:
        raise UnusableFiles(f"database {database.name}: {unusable}") from None


def system_authorities() -> str:
    """The file with the authorities that the operating system trusts, for who asks another OpenSSL than ours:
    the one that comes with psycopg's wheel looks for them in a place of its own, where nothing is.

    Where the system has them in a directory alone, this is libpq's word for wherever OpenSSL looks.
    """
    return ssl.get_default_verify_paths().cafile or SYSTEM_CAS


def _stamps(tls: Tls) -> Stamps:
    roots = _system_place() if tls.rootcert == SYSTEM_CAS else tls.rootcert
    return tuple(_stamp(path) for path in (roots, tls.cert, tls.key) if path)


def _system_place() -> str | None:
    """The file that has the operating system's authorities, or the directory."""
    places = ssl.get_default_verify_paths()
    return places.cafile or places.capath


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _context(tls: Tls) -> ssl.SSLContext:
    """Raises: Unusable."""
    try:
        return _made(tls)
    except OSError as error:  # they may be replaced at this moment
        raise Unusable(f"the files of its TLS: {(error.strerror or str(error)).lower()}") from None


def _made(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.check_hostname = tls.mode is Mode.VERIFY_FULL
    context.verify_mode = ssl.CERT_REQUIRED if tls.verifies else ssl.CERT_NONE
    if tls.negotiation is Negotiation.DIRECT:
        context.set_alpn_protocols([ALPN])
    if tls.rootcert == SYSTEM_CAS:
        _trust_system(context)
    elif tls.verifies:
        _trust(context, tls.rootcert)
    if tls.cert:
        _show(context, tls.cert, tls.key)
    return context


def _trust(context: ssl.SSLContext, path: str) -> None:
    text = _text(path, "sslrootcert")
    try:
        context.load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        why = DAMAGED if BEGIN in text else "no certificates in PEM form"
        raise Unusable(f"sslrootcert {path}: {why}") from None


def _trust_system(context: ssl.SSLContext) -> None:
    places = ssl.get_default_verify_paths()
    if places.cafile is None and not (places.capath and os.listdir(places.capath)):
        raise Unusable(f"sslrootcert {SYSTEM_CAS}: this system has no authorities (package ca-certificates)")
    context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    # OpenSSL is silent about a file of which it could not read anything.
    if places.cafile and not context.cert_store_stats()["x509"]:
        raise Unusable(f"sslrootcert {SYSTEM_CAS}: no certificate in {places.cafile} can be read")


def _show(context: ssl.SSLContext, cert: str, key: str) -> None:
    for path, name in ((cert, "sslcert"), (key, "sslkey")):
        _text(path, name)
    try:
        context.load_cert_chain(cert, key, password=_no_passphrase)
    except _Encrypted:
        raise Unusable(
            f"sslkey {key}: it is encrypted, and there is nobody to ask for its passphrase"
        ) from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise Unusable(f"sslkey {key}: it is not the key of {cert}") from None
        raise Unusable(f"sslcert {cert} with sslkey {key}: no certificate and key in PEM form") from None


def _text(path: str, name: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="backslashreplace")
    except OSError as error:
        raise Unusable(f"{name} {path}: {(error.strerror or str(error)).lower()}") from None


class _Encrypted(Exception):
    """OpenSSL asks for a passphrase."""


def _no_passphrase() -> bytes:
    raise _Encrypted
