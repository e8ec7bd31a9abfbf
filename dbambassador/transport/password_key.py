"""A key pair for passwords on their way from a client without TLS: MySQL clients ask for the public half.

It lives as long as the process, and is made when the first client asks for it: `cryptography` takes 10 MiB
and 25 ms to import, and a key 10 to 60 ms to make.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

BITS = 2048
"""As MySQL's own (caching_sha2_password_auto_generate_rsa_keys)."""


class PasswordKey:
    """May be used in any thread."""

    def __init__(self) -> None:
        self._making = Lock()
        self._key: RSAPrivateKey | None = None

    def pem(self) -> bytes:
        """The public half. The first call makes the pair, and takes a while."""
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        with self._making:
            if self._key is None:
                self._key = rsa.generate_private_key(65537, BITS)
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def decrypt(self, encrypted: bytes) -> bytes | None:
        """What was encrypted with the public half, in MySQL's way (OAEP with SHA-1). None: it was not, or
        nobody asked for it yet. Takes a third of a millisecond."""
        if self._key is None:
            return None
        from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
        from cryptography.hazmat.primitives.hashes import SHA1

        try:
            return self._key.decrypt(encrypted, OAEP(MGF1(SHA1()), SHA1(), None))
        except ValueError:
            return None
