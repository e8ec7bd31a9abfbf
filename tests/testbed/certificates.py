"""Certificates for servers and clients: good ones, and each way of being a bad one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dbambassador.demo.processes import OURS, Identity, temporary_directory, unprivileged

NAMES = ("localhost", "db.test", "127.0.0.1", "::1")
"""Whom a good server certificate is for."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Two files in PEM form."""

    chain: Path
    key: Path


class Certificates:
    """An authority and what it signed, in files.

    Keys can be read by their user alone, since libpq and PostgreSQL refuse others: by that of the servers, or
    by us for clients.
    """

    def __init__(self, directory: Path) -> None:
        """`directory` must be open to other users."""
        self._directory = directory
        self._authority = trustme.CA()
        self.authority = self._written("authority.pem", self._authority.cert_pem.bytes())
        """The file that verifies every certificate from here, except the self-signed."""

    def server(self, *names: str) -> Certificate:
        """Good for these names and addresses; without any, for `NAMES`."""
        return self._issued(self._authority, names or NAMES)

    def wrong_host(self) -> Certificate:
        """Good, for a host that nobody means."""
        return self._issued(self._authority, ("elsewhere.test",))

    def expired(self) -> Certificate:
        """Ran out yesterday."""
        now = datetime.now(UTC)
        return self._issued(
            self._authority, NAMES, since=now - timedelta(days=9), until=now - timedelta(days=1)
        )

    def unknown_authority(self) -> Certificate:
        """Signed by an authority that nobody knows."""
        return self._issued(trustme.CA(), NAMES)

    def self_signed(self) -> Certificate:
        """As MySQL and Debian's packages make for themselves: its own authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(key, hashes.SHA256())
        )
        return self._files(
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
            unprivileged(),
        )

    def client(self, user: str) -> Certificate:
        """By which PostgreSQL's `cert` method knows this user: its common name."""
        return self._issued(self._authority, (f"{user}.clients.test",), common_name=user, owner=OURS)

    def _issued(
        self,
        authority: trustme.CA,
        names: tuple[str, ...],
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        common_name: str | None = None,
        owner: Identity | None = None,
    ) -> Certificate:
        issued = authority.issue_cert(*names, not_before=since, not_after=until, common_name=common_name)
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        return self._files(chain, issued.private_key_pem.bytes(), owner or unprivileged())

    def _files(self, chain: bytes, key: bytes, owner: Identity) -> Certificate:
        number = sum(1 for _ in self._directory.glob("*.key"))
        private = self._directory / f"{number}.key"
        private.touch(mode=0o600)
        private.write_bytes(key)
        owner.give(private)
        return Certificate(self._written(f"{number}.crt", chain), private)

    def _written(self, name: str, content: bytes) -> Path:
        path = self._directory / name
        path.write_bytes(content)
        path.chmod(0o644)
        return path


@pytest.fixture(scope="session")
def certificates() -> Iterator[Certificates]:
    """One authority for all tests of this process."""
    with temporary_directory("dbambassador-certificates-") as directory:
        yield Certificates(directory)
