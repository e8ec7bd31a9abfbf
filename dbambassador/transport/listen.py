"""Opening listening sockets, with errors that name what is in the way."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

import trio

from dbambassador.errors import CannotListen
from dbambassador.transport import own_listeners
from dbambassador.transport.dial import describe, tune
from dbambassador.values import Address

BACKLOG = 1024
"""Clients that may wait to be accepted while the loop is busy; the kernel caps it at net.core.somaxconn."""

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
        raise _cannot(f"{host} port {port}", error, _holder(port)) from None
    own_listeners.note(Address(*listening.getsockname()[:2]))
    return trio.SocketListener(listening)


def close_tcp(listener: trio.SocketListener) -> None:
    """Closes a listener of `listen_tcp`."""
    own_listeners.forget(Address(*listener.socket.getsockname()[:2]))
    listener.socket.close()


async def listen_unix(path: str) -> trio.SocketListener:
    """Listens on a unix socket that everyone who can reach its directory may use, as on loopback.

    The socket that a dead process left there is replaced; the caller removes ours with `remove_unix`.

    Raises:
      CannotListen: a live process listens there, something else is in the way, or the directory does not
        let us.
    """
    await _clear_unix(path)
    listening = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        await listening.bind(path)
        os.chmod(path, 0o777)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise _cannot(path, error, "") from None
    return trio.SocketListener(listening)


def remove_unix(path: str) -> None:
    """Removes a socket that we listened on."""
    try:
        os.unlink(path)
    except OSError:
        pass  # somebody tidied up before us


async def _clear_unix(path: str) -> None:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise CannotListen(
            f"cannot listen on {path}: something that is no socket is there", hint="move it away"
        )
    with trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        try:
            await trial.connect(path)
        except ConnectionRefusedError:
            remove_unix(path)
            return
        except OSError as error:
            raise _cannot(path, error, "") from None
    raise CannotListen(
        f"cannot listen on {path}: a live process listens there",
        hint=f"find it with: ss -xlp src {path}",
    )


def _cannot(where: str, error: OSError, holder: str) -> CannotListen:
    if error.errno == errno.EADDRINUSE:
        return CannotListen(
            f"cannot listen on {where}: the port is taken by {holder or 'another process'}",
            hint="stop it, or give the database another `listen` address",
        )
    return CannotListen(f"cannot listen on {where}: {describe(error)}")


def _holder(port: int) -> str:
    """The process that listens on a port, as far as /proc lets us see; empty if it does not."""
    inodes = _listening_inodes(port)
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


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for columns in map(str.split, lines):
            if columns[3] == "0A" and int(columns[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{columns[9]}]")
    return inodes
