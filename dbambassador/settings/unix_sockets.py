"""Who may use a database's unix sockets, and what MySQL's clients may send over them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from dbambassador.settings.database_format import (
    GROUP_EXPECTED,
    HIGHEST_GROUP,
    LONGEST_GROUP,
    MODE_EXPECTED,
    UNIX_SOCKET_MODE,
)
from dbambassador.settings.reading import Refused, Section, boolean, text
from dbambassador.settings.schema import FOR_ALL, Listen, Protocol, UnixListen
from dbambassador.settings.tree import Node, Scalar, described

T = TypeVar("T")


def decode_access(section: Section, addresses: tuple[Listen, ...], *, whole: bool) -> tuple[int, str]:
    """Mode and group; an empty group is that of the process.

    Args:
      whole: these are all of the database's addresses; else nobody knows yet whether one is a unix socket.
    """
    idle = _NO_SOCKET if whole and not _any_unix(addresses) else ""
    return (
        section.read("unix_socket_mode", _of_use(_mode, "unix_socket_mode", idle), FOR_ALL),
        section.read("unix_socket_group", _of_use(_group, "unix_socket_group", idle), ""),
    )


def decode_cleartext(
    section: Section, addresses: tuple[Listen, ...], protocol: Protocol | None, *, whole: bool
) -> bool:
    """Whether passwords may go on in clear. `protocol`: None if it is not known here; `whole`: see above."""
    idle = _NO_SOCKET if whole and not _any_unix(addresses) else ""
    if protocol not in (None, Protocol.MYSQL):
        idle = "only with protocol: mysql do clients send passwords by what they take a socket for"
    return section.read(
        "allow_cleartext_passwords", _of_use(boolean, "allow_cleartext_passwords", idle), False
    )


def _any_unix(addresses: tuple[Listen, ...]) -> bool:
    return any(isinstance(address, UnixListen) for address in addresses)


_NO_SOCKET = "this database listens on no unix socket: add unix:/PATH to listen"


def _of_use(parse: Callable[[Node], T], name: str, idle: str) -> Callable[[Node], T]:
    """`idle`: why it would change nothing, if that is so."""

    def parse_unless_idle(node: Node) -> T:
        if idle:
            raise Refused(f"no {name}", hint=idle, found=f"{name}: {described(node)}")
        return parse(node)

    return parse_unless_idle


def _mode(node: Node) -> int:
    written = text(MODE_EXPECTED)(node)
    if not re.fullmatch(r"0?[0-7]{3}", written):
        raise Refused(MODE_EXPECTED)
    if not re.fullmatch(UNIX_SOCKET_MODE, written):
        raise Refused(MODE_EXPECTED, hint="to connect is to write, and this lets nobody write")
    return int(written, 8)


def _group(node: Node) -> str:
    written = node.text if isinstance(node, Scalar) and node.kind == "int" else text(GROUP_EXPECTED)(node)
    if not re.fullmatch(f"[^:]{{1,{LONGEST_GROUP}}}", written):
        raise Refused(GROUP_EXPECTED)
    number = re.fullmatch(r"[-+]?[0-9_]+", written) is not None
    if number and not (re.fullmatch(r"0|[1-9][0-9]{0,9}", written) and int(written) <= HIGHEST_GROUP):
        raise Refused(GROUP_EXPECTED)
    return written
