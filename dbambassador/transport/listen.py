"""Opening listening TCP sockets, with errors that name what is in the way."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import sys
from pathlib import Path
from typing import TypeAlias

import trio

from dbambassador.errors import CannotListen
from dbambassador.transport import own_listeners
from dbambassador.transport.dial import describe, tune
from dbambassador.values import Address

BACKLOG = 1024
"""Clients that may wait to be accepted while the loop is busy; the kernel caps it at net.core.somaxconn."""

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_NO_SUCH_ADDRESS = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT}


class NoSuchAddress(Exception):
    """This host has no such address, or not even its family: no IPv6, as a rule."""


async def listen_tcp(host: str, port: int) -> trio.SocketListener:
    """Listens on an IP address literal; port 0 lets the kernel choose.

    Raises:
      NoSuchAddress: this host does not have the address.
      CannotListen: the port is taken or forbidden; the message names what may hold it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening: trio.socket.SocketType | None = None
    try:
        listening = trio.socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        tune(listening)  # for what it accepts
        await listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        if listening is not None:
            listening.close()
        if error.errno in _NO_SUCH_ADDRESS:
            raise NoSuchAddress(describe(error)) from None
        raise _cannot(f"{host} port {port}", error, _holder(host, port)) from None
    own_listeners.note(Address(*listening.getsockname()[:2]))
    return trio.SocketListener(listening)


def close_tcp(listener: trio.SocketListener) -> None:
    """Closes a listener of `listen_tcp`."""
    own_listeners.forget(Address(*listener.socket.getsockname()[:2]))
    listener.socket.close()


def _cannot(where: str, error: OSError, holder: str) -> CannotListen:
    if error.errno == errno.EADDRINUSE:
        return CannotListen(
            f"cannot listen on {where}: the port is taken by {holder or 'another process'}",
            hint="stop it, or give the database another `listen` address",
        )
    return CannotListen(f"cannot listen on {where}: {describe(error)}")


def _holder(host: str, port: int) -> str:
    """The process that keeps us from listening there, as far as /proc lets us see; empty if it does not."""
    inodes = _inodes_in_the_way(host, port)
    if not inodes:
        return ""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            links = {os.readlink(descriptor) for descriptor in (process / "fd").iterdir()}
            if links & inodes:
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:
            continue
    return ""


def _inodes_in_the_way(host: str, port: int) -> set[str]:
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for columns in map(str.split, lines):
            local, _, local_port = columns[1].rpartition(":")
            if columns[3] != "0A" or int(local_port, 16) != port:
                continue
            if _collide(ipaddress.ip_address(host), _local_address(local)):
                inodes.add(f"socket:[{columns[9]}]")
    return inodes


def _local_address(told: str) -> IPAddress:
    """As proc(5) prints it: 32-bit words in hexadecimal, each with the bytes as this machine has them."""
    words = (int(told[start : start + 8], 16) for start in range(0, len(told), 8))
    address = ipaddress.ip_address(b"".join(word.to_bytes(4, sys.byteorder) for word in words))
    return getattr(address, "ipv4_mapped", None) or address


def _collide(ours: IPAddress, theirs: IPAddress) -> bool:
    """Whether two listeners on one port are in each other's way. `::` takes IPv4 as well, as a rule."""
    if ours.version != theirs.version:
        return theirs.version == 6 and theirs.is_unspecified
    return ours == theirs or ours.is_unspecified or theirs.is_unspecified
