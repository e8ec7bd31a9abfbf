"""The `databases` of an environment file → frozen `Database`s."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from dbambassador.settings.addresses import (
    ENDPOINT_FORMS,
    LISTEN_FORMS,
    duration,
    endpoint,
    host_name,
    listen,
)
from dbambassador.settings.format import DATABASE_KEYS, ENDPOINT_KEYS, HOLD_EXPECTED, LONGEST_HOLD
from dbambassador.settings.reading import Refused, Report, Section, items, text, whole_number
from dbambassador.settings.schema import (
    Check,
    Database,
    Endpoint,
    HostEndpoint,
    Listen,
    Protocol,
    TargetSessionAttrs,
    TcpListen,
)
from dbambassador.settings.tree import Entries, Node, Place, described, shortened

DATABASE_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
READ_ONLY_ROLES = ("read-only", "standby", "prefer-standby")
"""Values of libpq that need a pool of readers."""

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
    protocol = section.read("protocol", _protocol, Protocol.TCP)
    addresses = _listens(name, section, bound)
    endpoints = _endpoints(section, protocol, addresses)
    return Database(
        name=name,
        protocol=protocol,
        listen=addresses,
        endpoints=endpoints,
        target_session_attrs=section.read("target_session_attrs", _role(protocol), TargetSessionAttrs.ANY),
        hold=section.read("hold", _hold, 5.0),
        check=section.read("check", _check, Check.PROTOCOL),
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


def _endpoints(section: Section, protocol: Protocol, addresses: tuple[Listen, ...]) -> tuple[Endpoint, ...]:
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
            port=entry.read("port", whole_number(1, 65535, "a port from 1 to 65535"), 1),
            weight=entry.read("weight", whole_number(1, 65535, "a whole number from 1 to 65535"), 1),
            zone=entry.read("zone", text("the name of a zone"), ""),
        )
        report.attempt(item, _not_itself(candidate, addresses), None)
        listed.append(candidate)
    if len({candidate.weight for candidate in listed}) > 1:
        hint = "this version uses one address at a time, in order, and cannot share load by weight"
        report.add(several.place, "different weights", "the same weight for all, or none", hint)
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


def _role(protocol: Protocol) -> Callable[[Node], TargetSessionAttrs]:
    expected = "any, read-write or primary" if protocol is Protocol.POSTGRESQL else "any"

    def parse(node: Node) -> TargetSessionAttrs:
        written = text(expected)(node)
        if written in READ_ONLY_ROLES:
            raise Refused(expected, hint="this version cannot choose readers")
        try:
            role = TargetSessionAttrs(written)
        except ValueError:
            raise Refused(expected) from None
        if role is not TargetSessionAttrs.ANY and protocol is not Protocol.POSTGRESQL:
            raise Refused(expected, hint=f"this version cannot learn roles over {protocol.value}")
        return role

    return parse


def _hold(node: Node) -> float:
    return duration(text(HOLD_EXPECTED)(node), LONGEST_HOLD, HOLD_EXPECTED)


def _check(node: Node) -> Check:
    if isinstance(node, Entries):
        hint = "this version checks without credentials and not over HTTP: leave check out for its own check"
        raise Refused("passive", hint=hint)
    if text("passive")(node) != Check.PASSIVE.value:
        raise Refused("passive", hint="leave check out for the database's own handshake")
    return Check.PASSIVE
