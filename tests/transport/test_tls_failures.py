"""What people are told of servers whose certificates are refused."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID, NameOID

from dbambassador.transport.tls import TlsEnd
from dbambassador.transport.tls_failures import TlsFailed
from tests.transport.tls_peer import CA, CLIENT, HOST, Server, server_context, shaken

AUTHORITY = x509.load_pem_x509_certificate(CA.cert_pem.bytes())
DAY = timedelta(days=1)


def signed(builder: x509.CertificateBuilder, since: datetime, until: datetime) -> x509.Certificate:
    """By `CA`."""
    signing = serialization.load_pem_private_key(CA.private_key_pem.bytes(), None)
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    dated = builder.not_valid_before(since).not_valid_after(until)
    return dated.issuer_name(AUTHORITY.subject).serial_number(7).sign(signing, hashes.SHA256())


def server_of(name: x509.Name, extension: x509.ExtensionType | None = None) -> ssl.SSLContext:
    """One whose certificate says just this of its host."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(name).public_key(key.public_key())
    if extension is not None:
        builder = builder.add_extension(extension, critical=True)
    now = datetime.now(UTC)
    certificate = signed(builder, now - DAY, now + DAY)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with trustme.Blob(pem + certificate.public_bytes(serialization.Encoding.PEM)).tempfile() as path:
        context.load_cert_chain(path)
    return context


def trusting(authority: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority.decode())
    return context


def told(server: ssl.SSLContext, client: ssl.SSLContext = CLIENT, host: str = HOST) -> str:
    with pytest.raises(TlsFailed) as refused:
        shaken(TlsEnd(client, host), Server(server))
    return str(refused.value)


def refused_names(*names: str) -> str:
    return told(server_context(CA.issue_cert(*names)), host="other.test")


def test_a_wrong_host_is_told_with_whom_the_certificate_is_for() -> None:
    assert refused_names("*.db.test", "10.0.0.1") == (
        "its certificate is not for other.test, but for *.db.test, 10.0.0.1"
    )
    many = refused_names(*(f"{letter * 60}.{letter * 60}.test" for letter in "abcde"))
    assert many.endswith(" and 2 more")
    assert len(many) < 400


def test_where_a_certificate_has_a_common_name_alone_that_one_is_told() -> None:
    server = server_of(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)]))

    shaken(TlsEnd(CLIENT, HOST), Server(server))
    assert told(server, host="other.test") == f"its certificate is not for other.test, but for {HOST}"


def test_names_that_nobody_can_read_are_not_told() -> None:
    no_text = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30\x04\x82\x02\xff\xfe")

    assert told(server_of(x509.Name([]), no_text), host="other.test") == (
        "its certificate is not for other.test"
    )


@pytest.mark.parametrize(
    ("since", "until", "words"), [(-9, -1, "has expired"), (1, 9, "is not valid yet")], ids=["over", "early"]
)
def test_a_good_certificate_of_an_authority_whose_time_is_over_is_not_called_expired(
    since: int, until: int, words: str
) -> None:
    builder = x509.CertificateBuilder().subject_name(AUTHORITY.subject).public_key(AUTHORITY.public_key())
    for extension in AUTHORITY.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    now = datetime.now(UTC)
    other_time = signed(builder, now + since * DAY, now + until * DAY)
    client = trusting(other_time.public_bytes(serialization.Encoding.PEM))

    assert told(server_context(), client) == f"an authority above its certificate {words}"


def test_an_authority_whose_own_root_is_missing_is_told_apart_from_an_unknown_one() -> None:
    between = CA.create_child_ca()
    server = server_context(between.issue_cert(HOST))

    shaken(TlsEnd(CLIENT, HOST), Server(server))
    assert told(server, trusting(between.cert_pem.bytes())) == (
        "sslrootcert has an authority of its certificate, but not the root above that"
    )
