"""The `databases` of an environment file → frozen `Database`s."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from dbambassador.settings.addresses import (
    ENDPOINT_FORMS,
    LISTEN_FORMS,
    endpoint,
    host_name,
    listen,
    read_duration,
)
from dbambassador.settings.check import decode_check
from dbambassador.settings.database_format import (
    DATABASE_KEYS,
    ENDPOINT_KEYS,
    HOLD_EXPECTED,
    IDLE_EXPECTED,
    LONGEST_HOLD,
    LONGEST_IDLE,
    PORT_EXPECTED,
    SHORTEST_IDLE,
)
from dbambassador.settings.reading import Refused, Report, Section, items, text, whole_number
from dbambassador.settings.schema import (
    Database,
    Endpoint,
    HostEndpoint,
    Listen,
    Protocol,
    TargetSessionAttrs,
    TcpListen,
)
from dbambassador.settings.sharing import decode_balance, decode_role, refuse_weights
from dbambassador.settings.tls import decode_tls
from dbambassador.settings.tree import Entries, Node, Place, described, shortened
from dbambassador.settings.unix_sockets import decode_access, decode_cleartext

DATABASE_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")

Bound = tuple[Listen, str]
"""A listen address and the database that has it."""


def decode_databases(node: Node | None, parent: Place, report: Report) -> tuple[Database, ...]:
    if node is None:
        return ()
    if not isinstance(node, Entries) or not (node.entries or report.partial):
        report.add(node.place, described(node), "a mapping of at least one database")
        return ()
    bound: list[Bound] = []
    databases = []
    for name, written in node.entries.items():
        if DATABASE_NAME.fullmatch(name) is None:
            expected = "a name of at most 63 letters, digits, '-', '_' and '.'"
            report.add(written.place, f"the name {shortened(name)}", expected)
        databases.append(_database(name, written, report, bound))
    return tuple(databases)


def _database(name: str, node: Node, report: Report, bound: list[Bound]) -> Database:
    section = Section(node, DATABASE_KEYS, report)
    protocol = section.read("protocol", _protocol, None)
    problems = len(report.problems)
    addresses = _listens(name, section, bound)
    whole = len(report.problems) == problems and not report.partial
    socket_mode, socket_group = decode_access(section, addresses, whole=whole)
    check = decode_check(section, protocol)
    role = decode_role(section, protocol, check)
    return Database(
        name=name,
        protocol=protocol or Protocol.TCP,
        listen=addresses,
        endpoints=_endpoints(section, protocol or Protocol.TCP, addresses, role),
        target_session_attrs=role or TargetSessionAttrs.ANY,
        balance=decode_balance(section, protocol, role),
        hold=section.read("hold", _hold, 5.0),
        client_idle_timeout=section.read("client_idle_timeout", _idle, 0.0),
        unix_socket_mode=socket_mode,
        unix_socket_group=socket_group,
        allow_cleartext_passwords=decode_cleartext(section, addresses, protocol, whole=whole),
        check=check,
        tls=decode_tls(section, protocol),
    )


def _protocol(node: Node) -> Protocol:
    written = text("postgresql, mysql or tcp")(node)
    if written == "redis":
        raise Refused("postgresql, mysql or tcp", hint="no Redis yet; tcp forwards it as it is")
    try:
        return Protocol(written)
    except ValueError:
        alias = {"postgres": "postgresql", "pg": "postgresql", "mariadb": "mysql"}.get(written.lower())
        raise Refused("postgresql, mysql or tcp", hint=f"write {alias}" if alias else "") from None


def _listens(name: str, section: Section, bound: list[Bound]) -> tuple[Listen, ...]:
    node = section.node("listen")
    if node is None:
        return ()
    found: list[Listen] = []
    for item in items(node, f"a list of {LISTEN_FORMS}", section.report):
        addresses: tuple[Listen, ...] = section.report.attempt(item, _listen, ())
        taken = next(((ours, other) for ours in addresses for other in bound if _clash(ours, other[0])), None)
        if taken is not None:
            ours, (theirs, owner) = taken
            where = "twice in one list" if owner == name else f"where {owner} already listens"
            same = "" if str(ours) == str(theirs) else f" (with {theirs})"
            section.report.add(item.place, f"{ours}{same}, {where}", "an address that no other one uses")
        bound += [(address, name) for address in addresses]
        found += addresses
    return tuple(found)


def _listen(node: Node) -> tuple[Listen, ...]:
    return listen(text(LISTEN_FORMS)(node))


def _clash(one: Listen, other: Listen) -> bool:
    """Whether the kernel would refuse to bind both."""
    if not (isinstance(one, TcpListen) and isinstance(other, TcpListen)):
        return one == other
    if one.port != other.port:
        return False
    ours, theirs = ipaddress.ip_address(one.host), ipaddress.ip_address(other.host)
    return ours.version == theirs.version and (ours == theirs or ours.is_unspecified or theirs.is_unspecified)


def _endpoints(
    section: Section, protocol: Protocol, addresses: tuple[Listen, ...], role: TargetSessionAttrs | None
) -> tuple[Endpoint, ...]:
    one, several = section.node("endpoint"), section.node("endpoints")
    if one is not None and several is not None:
        section.report.add(several.place, "endpoint and endpoints", "only one of them")
        return ()
    if one is not None:
        found = section.report.attempt(one, lambda node: _endpoint(node, protocol, addresses), None)
        return () if found is None else (found,)
    if several is None:
        if section.readable:
            section.report.missing(section.place, "endpoint", ENDPOINT_FORMS)
        return ()
    report = section.report
    listed: list[HostEndpoint] = []
    for item in items(several, "a list of {host, port, weight, zone}", report):
        entry = Section(item, ENDPOINT_KEYS, report)
        candidate = HostEndpoint(
            host=entry.read("host", _host, "unknown"),
            port=entry.read("port", whole_number(1, 65535, PORT_EXPECTED), 1),
            weight=entry.read("weight", whole_number(1, 65535, "a whole number from 1 to 65535"), 1),
            zone=entry.read("zone", text("the name of a zone"), ""),
        )
        report.attempt(item, _not_itself(candidate, addresses), None)
        listed.append(candidate)
    refuse_weights(section, several, listed, role)
    return tuple(listed)


def _host(node: Node) -> str:
    return host_name(text("a host name or IP address")(node))


def _endpoint(node: Node, protocol: Protocol, addresses: tuple[Listen, ...]) -> Endpoint:
    found = endpoint(text(ENDPOINT_FORMS)(node), protocol)
    _not_itself(found, addresses)(node)
    return found


def _not_itself(found: Endpoint, addresses: tuple[Listen, ...]) -> Callable[[Node], None]:
    """An endpoint on one of the database's own listen addresses would forward to itself for ever."""

    def parse(_: Node) -> None:
        if not isinstance(found, HostEndpoint):
            return
        hosts = ("127.0.0.1", "::1") if found.host.lower() == "localhost" else (found.host,)
        for address in addresses:
            if isinstance(address, TcpListen) and address.port == found.port and address.host in hosts:
                raise Refused("another address", found=f"{address}, where this database itself is listening")

    return parse


def _hold(node: Node) -> float:
    return read_duration(node, LONGEST_HOLD, HOLD_EXPECTED)


def _idle(node: Node) -> float:
    seconds = read_duration(node, LONGEST_IDLE, IDLE_EXPECTED)
    if 0 < seconds < SHORTEST_IDLE:
        raise Refused(IDLE_EXPECTED)
    return seconds
