"""The bad certificates of the tests are bad in the way they say, and no other."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import pytest

from tests.testbed.certificates import Certificate, Certificates


def shaken(certificate: Certificate, authority: str, name: str = "db.test") -> None:
    """A TLS handshake in memory, in which the client verifies all. Raises ssl.SSLError."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate.chain, certificate.key)
    asking = ssl.create_default_context(cafile=authority)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        asking.wrap_bio(down, up, server_hostname=name),
        serving.wrap_bio(up, down, server_side=True),
    ]
    while sides:
        for side in tuple(sides):
            try:
                side.do_handshake()
                sides.remove(side)
            except ssl.SSLWantReadError:
                pass


def test_a_good_one_is_good_for_each_of_its_names(certificates: Certificates) -> None:
    for name in ("db.test", "localhost", "127.0.0.1", "::1"):
        shaken(certificates.server(), str(certificates.authority), name)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (Certificates.expired, "certificate has expired"),
        (Certificates.wrong_host, "not valid for 'db.test'"),
        (Certificates.unknown_authority, "unable to get local issuer certificate"),
        (Certificates.self_signed, "self-signed certificate"),
    ],
)
def test_a_bad_one_is_refused_for_its_own_reason(
    certificates: Certificates, bad: Callable[[Certificates], Certificate], why: str
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=why):
        shaken(bad(certificates), str(certificates.authority))


def test_keys_are_their_users_alone(certificates: Certificates) -> None:
    for certificate in (certificates.server(), certificates.self_signed(), certificates.client("app")):
        assert certificate.key.stat().st_mode & 0o777 == 0o600
