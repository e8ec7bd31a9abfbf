"""Fingerprints of certificates in a PEM file (RFC 7468), without a cryptography library. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib

_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


class NoCertificate(ValueError):
    """The file holds something else; the message says what."""


def fingerprints(pem: bytes) -> tuple[str, ...]:
    """SHA-256 of the DER of each certificate, lower-case hex without colons, in the file's order, each once.

    Raises:
        NoCertificate: none is in there, or a block is not the DER of one.
    """
    found: dict[str, None] = {}
    for block in pem.split(_BEGIN)[1:]:
        body, end, _ = block.partition(_END)
        if not end:
            raise NoCertificate("a certificate block without an end")
        try:
            der = base64.b64decode(b"".join(body.split()), validate=True)
        except binascii.Error:
            raise NoCertificate("a certificate block that is not base64") from None
        if not _is_sequence(der):
            raise NoCertificate("a certificate block that is not a certificate")
        found[hashlib.sha256(der).hexdigest()] = None
    if not found:
        raise NoCertificate("no certificate")
    return tuple(found)


def _is_sequence(der: bytes) -> bool:
    """Whether the bytes are exactly one DER SEQUENCE, the outermost layer of a certificate (X.690 8.1.3)."""
    if len(der) < 2 or der[0] != 0x30:
        return False
    length, start = der[1], 2
    if length & 0x80:
        octets = length & 0x7F
        if not 1 <= octets <= 4:
            return False
        length, start = int.from_bytes(der[2 : 2 + octets]), 2 + octets
    return len(der) == start + length
