"""Why no TLS comes about with a server, as a person would say it."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from typing import Any

_OF_TIME = {9: "is not valid yet", 10: "has expired"}
_OF_VERIFICATION = {
    2: "sslrootcert has an authority of its certificate, but not the root above that",
    18: "its certificate is signed by itself, and is not in sslrootcert",
    19: "its certificate comes from an authority that is not in sslrootcert",
    20: "its certificate comes from an authority that is not in sslrootcert",
    23: "its certificate was revoked",
    24: "a certificate in its chain is none of an authority",
    26: "its certificate is not meant for servers",
}
"""By OpenSSL's number, as those of `_OF_TIME`: include/openssl/x509_vfy.h."""
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


def no_tls(why: object) -> str:
    """What is told of a server with which no TLS comes about."""
    return f"no TLS with the server: {why}"


class TlsFailed(Exception):
    """The connection cannot go on; the message says why, as a person would."""


class Untrusted(TlsFailed):
    """The server's certificate is not accepted."""


def shown(connection: ssl.SSLObject | ssl.SSLSocket) -> Mapping[str, Any]:
    """The server's certificate, verified or not, as `SSLSocket.getpeercert` tells it; empty if nobody can
    read it."""
    chain = connection._sslobj.get_unverified_chain()  # type: ignore[union-attr]  # public in 3.13
    try:
        return chain[0].get_info() if chain else {}
    except (OSError, ValueError):
        return {}


def failure(
    error: ssl.SSLError | ssl.CertificateError, host: str, certificate: Mapping[str, Any] | None = None
) -> TlsFailed:
    """OpenSSL's error with a server of this name, as a person would say it.

    Args:
      certificate: the server's, as `shown` tells it, if that is known.
    """
    distrusts = isinstance(error, ssl.SSLCertVerificationError)
    return (Untrusted if distrusts else TlsFailed)(_described(error, host, certificate or {}))


def _described(error: ssl.SSLError | ssl.CertificateError, host: str, certificate: Mapping[str, Any]) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        code = error.verify_code
        if code in _OF_HOST:
            return f"its certificate is not for {host}{_but_for(_names(certificate))}"
        if code in _OF_TIME:
            whose = "an authority above its certificate" if _in_time(certificate) else "its certificate"
            return f"{whose} {_OF_TIME[code]}"
        return _OF_VERIFICATION.get(code, f"its certificate is refused: {error.verify_message}")
    reason = getattr(error, "reason", None) or ""
    if isinstance(error, ssl.SSLEOFError):
        return "closed the connection"
    if _ALERT in reason:
        words = reason.partition(_ALERT)[2].replace("_", " ").lower()
        told = _OF_PROTOCOL.get(reason) or _OF_CLIENT_CERTIFICATE.get(words)
        return told or f"the server broke it off ({words})"
    return _OF_PROTOCOL.get(reason, reason.replace("_", " ").lower() or str(error))


def _in_time(certificate: Mapping[str, Any]) -> bool:
    """Whether this one is good now, as far as that is known: OpenSSL does not tell whose time is over."""
    try:
        since, until = (ssl.cert_time_to_seconds(certificate[each]) for each in ("notBefore", "notAfter"))
    except (KeyError, ValueError):
        return False
    return since <= time.time() <= until


def _names(certificate: Mapping[str, Any]) -> tuple[str, ...]:
    """Whom a certificate is for: its common name counts where it has no other."""
    named = certificate.get("subjectAltName", ())
    hosts = tuple(name for kind, name in named if kind in _KINDS_OF_HOST)
    subject = (pair for part in certificate.get("subject", ()) for pair in part)
    return hosts or tuple(name for kind, name in subject if kind == "commonName")


def _but_for(names: tuple[str, ...]) -> str:
    if not names:
        return ""
    first = ", ".join(name[:LONGEST_NAME] for name in names[:SHOWN_NAMES])
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return f", but for {first}{more}"
