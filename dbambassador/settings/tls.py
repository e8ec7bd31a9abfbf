"""The TLS that the ambassador itself speaks with a database: libpq's keys, with libpq's meaning."""

from __future__ import annotations

from dbambassador.settings.reading import Refused, Section, listed, one_of, text
from dbambassador.settings.schema import SYSTEM_CAS, Negotiation, Protocol, SslMode, Tls
from dbambassador.settings.tree import Node, described

VERIFYING = frozenset({SslMode.VERIFY_CA, SslMode.VERIFY_FULL})
ENCRYPTING = VERIFYING | {SslMode.REQUIRE}
FILES = ("sslrootcert", "sslcert", "sslkey")
ROOTS_EXPECTED = f"the absolute path of a file with CA certificates, or {SYSTEM_CAS}"


def decode_tls(section: Section, protocol: Protocol | None) -> Tls | None:
    """None: the client's own TLS passes through. `protocol`: None if it is not known here."""
    mode = section.read("sslmode", one_of(SslMode, "a mode"), None)
    tls = Tls(
        mode=mode or SslMode.DISABLE,
        rootcert=section.read("sslrootcert", _roots, ""),
        cert=section.read("sslcert", _path, ""),
        key=section.read("sslkey", _path, ""),
        negotiation=section.read(
            "sslnegotiation", one_of(Negotiation, "a way to begin"), Negotiation.POSTGRES
        ),
    )
    if not section.report.partial:
        if "sslmode" in section.entries:
            _refuse_contradictions(section, mode, tls, protocol)
        else:
            _refuse_without_mode(section)
    return tls if mode is not None else None


def _refuse_without_mode(section: Section) -> None:
    given = [name for name in (*FILES, "sslnegotiation") if name in section.entries]
    if given:
        section.report.add(
            section.entries[given[0]].place,
            f"{listed(given)} without sslmode",
            f"sslmode as well: {listed([mode.value for mode in SslMode])}",
            "without it, the client's own TLS passes through",
        )


def _refuse_contradictions(
    section: Section, mode: SslMode | None, tls: Tls, protocol: Protocol | None
) -> None:
    entries, report = section.entries, section.report
    if mode in VERIFYING and "sslrootcert" not in entries:
        hint = f"{SYSTEM_CAS}: the authorities that the operating system trusts; only with verify-full"
        report.add(entries["sslmode"].place, f"{mode.value} without sslrootcert", ROOTS_EXPECTED, hint)
    if mode is SslMode.VERIFY_CA and tls.rootcert == SYSTEM_CAS:
        hint = "public authorities certify anybody's server: only the host's name tells yours"
        report.add(entries["sslrootcert"].place, f"{SYSTEM_CAS} with verify-ca", "verify-full", hint)
    if mode is SslMode.REQUIRE and "sslrootcert" in entries:
        hint = "require encrypts and verifies nothing"
        report.add(entries["sslrootcert"].place, "sslrootcert with require", "verify-ca or verify-full", hint)
    if ("sslcert" in entries) != ("sslkey" in entries):
        there, missing = ("sslcert", "sslkey") if "sslcert" in entries else ("sslkey", "sslcert")
        report.add(entries[there].place, f"{there} without {missing}", "both, or neither")
    if tls.negotiation is Negotiation.DIRECT:
        node = entries["sslnegotiation"]
        if protocol not in (None, Protocol.POSTGRESQL):
            report.add(
                node.place, described(node), "no sslnegotiation", "only PostgreSQL knows two ways to begin"
            )
        elif mode is SslMode.DISABLE:
            report.add(node.place, "direct with sslmode: disable", "require, verify-ca or verify-full")


def _roots(node: Node) -> str:
    if text(ROOTS_EXPECTED)(node) == SYSTEM_CAS:
        return SYSTEM_CAS
    return _path(node, ROOTS_EXPECTED)


def _path(node: Node, expected: str = "the absolute path of a PEM file") -> str:
    """The file is not looked at: where these settings are proven it need not exist."""
    path = text(expected)(node)
    if "-----BEGIN" in path:
        # A key may have been written here, which no message may repeat.
        raise Refused(expected, found="the text of a PEM file", hint="write it to a file and name that")
    if not path.startswith("/") or path.endswith("/"):
        raise Refused(expected)
    return path
