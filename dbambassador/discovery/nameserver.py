"""How a nameserver is written: `HOST[:PORT]`, where HOST is an IP address. Pure."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address

from dbambassador.errors import UsageError
from dbambassador.values import Address

DNS_PORT = 53


def parse_nameserver(text: str) -> Address:
    """The address of a nameserver written as `10.0.0.53`, `10.0.0.53:5300`, `fd00::53` or `[fd00::53]:5300`.

    A host name is refused: it would have to be resolved by the very nameserver it names.

    Raises:
        UsageError: anything else.
    """
    host, port = _split(text)
    try:
        return Address(str(ip_address(host)), _port(port))
    except ValueError:
        raise UsageError(
            f"nameserver: found {text!r}, expected HOST[:PORT] with an IP address as HOST",
            hint="for example 10.0.0.53, 127.0.0.1:5300 or [fd00::53]:5300",
        ) from None


def _split(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if bracket and not rest:
            return _ipv6(host), str(DNS_PORT)
        if bracket and rest.startswith(":"):
            return _ipv6(host), rest[1:]
        return "", ""
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return _ipv4(host), port
    return text, str(DNS_PORT)


def _ipv6(host: str) -> str:
    try:
        return str(IPv6Address(host))
    except AddressValueError:
        return ""


def _ipv4(host: str) -> str:
    try:
        return str(IPv4Address(host))
    except AddressValueError:
        return ""


def _port(text: str) -> int:
    # `int` alone would take "+53", " 53 " and digits of other scripts.
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise ValueError(text)
    port = int(text)
    if not 1 <= port <= 65535:
        raise ValueError(text)
    return port
