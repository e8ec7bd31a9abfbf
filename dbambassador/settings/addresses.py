"""The spellings of listen addresses, endpoints, host names and durations. Pure text → values."""

from __future__ import annotations

import ipaddress
import posixpath
import re

from dbambassador.settings import reading
from dbambassador.settings.reading import Refused
from dbambassador.settings.schema import (
    Endpoint,
    HostEndpoint,
    Listen,
    Protocol,
    SrvEndpoint,
    TcpListen,
    UnixListen,
)
from dbambassador.settings.template import pieces
from dbambassador.settings.tree import Node, Scalar

LONGEST_SOCKET_PATH = 107
"""sockaddr_un has 108 bytes for the path and its closing zero (unix(7))."""
LONGEST_NAME = 253
"""Characters of a host name without the trailing dot (RFC 1035, 2.3.4: 255 octets on the wire)."""
LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
"""RFC 1123 with underscores, which compose uses in service names."""
NAME_CHARACTERS = re.compile(r"[A-Za-z0-9_.-]*")
SRV_PREFIX = re.compile(r"_[A-Za-z0-9-]{1,62}\._tcp\.")
DURATION = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(ms|s|m)")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}

LISTEN_FORMS = "localhost:PORT, IP:PORT, [IPv6]:PORT or unix:/PATH"
ENDPOINT_FORMS = "HOST:PORT, [IPv6]:PORT or srv:_SERVICE._tcp.NAME"
USUAL_PORT = {Protocol.POSTGRESQL: 5432, Protocol.MYSQL: 3306}


def read_duration(node: Node, longest: float, expected: str, *, shortest: float = 0.0) -> float:
    """Seconds. Raises `Refused`."""
    if isinstance(node, Scalar) and node.kind in ("int", "float"):
        raise Refused(expected, hint=f"with a unit: {node.text}s or {node.text}ms")
    return duration(reading.text(expected)(node), longest, expected, shortest=shortest)


def duration(written: str, longest: float, expected: str, *, shortest: float = 0.0) -> float:
    """Seconds. Raises `Refused`."""
    parts = DURATION.fullmatch(written)
    if parts is None:
        bare = re.fullmatch(r"[0-9.]+", written)
        raise Refused(expected, hint=f"with a unit: {written}s or {written}ms" if bare else "")
    seconds = float(parts[1]) * SECONDS[parts[2]]
    if not shortest <= seconds <= longest:
        raise Refused(expected)
    return seconds


def listen(text: str) -> tuple[Listen, ...]:
    """The addresses that one `listen` item stands for: two for `localhost`. Raises `Refused`."""
    if text.startswith("unix:"):
        return (UnixListen(_socket_path(text.removeprefix("unix:"))),)
    if text.startswith("/"):
        raise Refused(LISTEN_FORMS, hint=f"write unix:{text}")
    host, port = _host_and_port(text, LISTEN_FORMS)
    if host.lower() == "localhost":
        # A host without IPv6 has no ::1, and clients on it never ask for it.
        return (TcpListen("127.0.0.1", port), TcpListen("::1", port, optional=True))
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        hint = "listening takes an address of this host: localhost or an IP address, not a name"
        raise Refused(LISTEN_FORMS, hint=hint) from None
    if isinstance(address, ipaddress.IPv6Address) and (address.scope_id or address.ipv4_mapped):
        raise Refused(LISTEN_FORMS, hint="without a zone, and IPv4 as IPv4")
    return (TcpListen(str(address), port),)


def _socket_path(path: str) -> str:
    if not path.startswith("/") or path.endswith("/"):
        raise Refused("unix:/PATH, absolute")
    if "\0" in path:
        raise Refused("a path without zero bytes")
    if len(path.encode()) > LONGEST_SOCKET_PATH:
        found = f"a path of {len(path.encode())} bytes"
        raise Refused(f"at most {LONGEST_SOCKET_PATH} bytes (the kernel's limit)", found=found)
    return posixpath.normpath(path)


def endpoint(text: str, protocol: Protocol) -> Endpoint:
    """One endpoint, with `${fact}` left in place. Raises `Refused`."""
    if text.startswith("srv:"):
        name = text.removeprefix("srv:")
        if SRV_PREFIX.match(name) is None:
            raise Refused("srv:_SERVICE._tcp.NAME", hint="a SRV name begins with its service (RFC 2782)")
        return SrvEndpoint(host_name(name))
    if "://" in text or "@" in text:
        # Such a text may hold a password, which no message may repeat.
        raise Refused(ENDPOINT_FORMS, found="a URL or user name", hint="host and port alone")
    host, port = _host_and_port(text, ENDPOINT_FORMS, usual_port=USUAL_PORT.get(protocol))
    return HostEndpoint(host_name(host), port)


def _host_and_port(text: str, forms: str, *, usual_port: int | None = None) -> tuple[str, int]:
    usual = f"{shorthand(text)}:{usual_port or 'PORT'}"
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or not rest.startswith(":"):
            raise Refused(forms, hint=f"the port is missing: {text}:{usual_port or 'PORT'}" if closed else "")
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise Refused(forms, hint="only an IPv6 address stands in brackets") from None
        return host, _port(rest[1:], forms)
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        pass
    else:
        raise Refused(forms, hint=f"the port is missing: {usual}")
    host, colon, port = text.rpartition(":")
    if not colon or "}" in port or not port:
        raise Refused(forms, hint=f"the port is missing: {usual}")
    if not host:
        raise Refused(forms, hint="the host is missing")
    if ":" in "".join(literal for literal, _ in pieces(host)):
        raise Refused(forms, hint=f"an IPv6 address stands in brackets: [{host}]:{port}")
    return host, _port(port, forms)


def shorthand(text: str) -> str:
    bare = text.rstrip(":")
    return f"[{bare}]" if ":" in bare and not bare.startswith("[") and "${" not in bare else bare


def _port(text: str, forms: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise Refused(forms, hint="the port is a number from 1 to 65535")
    return int(text)


def host_name(text: str) -> str:
    """An IP address literal or a host name; a trailing dot, which keeps the search list away, stays.

    Raises `Refused`. While it holds a `${fact}`, only the characters around it can be checked.
    """
    parts = pieces(text)
    if any(fact for _, fact in parts):
        if not all(NAME_CHARACTERS.fullmatch(literal) for literal, _ in parts):
            raise Refused("a host name around ${fact}")
        return text
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    name = text.removesuffix(".")
    if not name.isascii():
        raise Refused("a host name", hint="write an internationalised name in its ASCII form (xn--…)")
    if len(name) > LONGEST_NAME or not all(LABEL.fullmatch(label) for label in name.split(".")):
        raise Refused("a host name or IP address")
    if re.fullmatch(r"[0-9.]+", name):
        raise Refused("a host name or IP address", hint="this looks like an IPv4 address, and is none")
    return text
