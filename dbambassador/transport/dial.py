"""Dialling one address: every end of it is a value."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import trio
from trio.socket import SocketType

from dbambassador.transport.own_listeners import is_own
from dbambassador.values import Address

DIAL_TIMEOUT = 3.0
"""Seconds. Linux repeats a lost SYN after 1 s and 3 s, so this forgives one lost packet."""

HEAD_START = 0.25
"""Seconds between the dials of one host's addresses: RFC 8305 (5), Connection Attempt Delay."""

KEEPALIVE_IDLE = 15
KEEPALIVE_INTERVAL = 5
KEEPALIVE_COUNT = 3
"""Seconds, seconds, probes: a silent peer of an idle connection is noticed after 30 s."""


class Outcome(Enum):
    """How a dial ended."""

    CONNECTED = "connected"
    REFUSED = "refused"
    RESET = "reset"
    TIMED_OUT = "timed out"
    UNREACHABLE = "unreachable"
    EXHAUSTED = "out of local resources"
    """No descriptor or local port left: says nothing about the address."""


UNIX = int(socket.AF_UNIX)
_NONBLOCK = getattr(socket, "SOCK_NONBLOCK", 0)
_LOCAL = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN}
_OUTCOMES = {
    errno.ECONNREFUSED: Outcome.REFUSED,
    errno.ECONNRESET: Outcome.RESET,
    errno.EPIPE: Outcome.RESET,
    errno.ETIMEDOUT: Outcome.TIMED_OUT,
}


@dataclass(frozen=True, slots=True)
class Dialled:
    """The end of a dial; the socket, if any, is the caller's to close."""

    outcome: Outcome
    socket: SocketType | None = None
    detail: str = ""
    seconds: float = 0.0


_CONNECTED = Dialled(Outcome.CONNECTED)


def prepare(family: int) -> socket.socket:
    """A socket to dial with: it does not block, and has TCP_NODELAY and keepalive set.

    Raises:
      OSError: no descriptor is left, or the host has no such family.
    """
    prepared = socket.socket(family, socket.SOCK_STREAM | _NONBLOCK)
    if not _NONBLOCK:
        prepared.setblocking(False)
    tune(prepared)
    return prepared


def begin(address: Address, prepared: socket.socket | None = None) -> socket.socket | Dialled:
    """Begins to connect, and does not wait: `progress` tells how it goes, whenever the socket is writable.

    Args:
      prepared: a socket of `prepare`, to save the time; this takes it over.

    Resource handling: the socket is the caller's to close.
    """
    family = family_to(address)
    connection = prepared
    try:
        if is_own(address):
            raise OSError("this is the ambassador's own listener")
        if connection is None:
            connection = prepare(family)
        elif family_of(connection) != family:
            connection.close()
            connection = prepare(family)
        code = connection.connect_ex((address.host, address.port))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
    except OSError as error:
        if connection is not None:
            connection.close()
        return Dialled(_outcome(error, address), None, describe(error))
    return connection


def progress(connection: socket.socket, address: Address) -> Dialled | None:
    """How a connection that was begun stands; None: it is under way. A failed one is left to be closed.

    Connecting once more is what tells (connect(2)): on loopback it has succeeded by then, as a rule.
    """
    code = connection.connect_ex((address.host, address.port))
    if code == errno.EALREADY:
        return None
    if code in (0, errno.EISCONN):
        return _CONNECTED
    error = OSError(code, os.strerror(code))
    return Dialled(_outcome(error, address), None, describe(error))


async def dial(
    address: Address, timeout: float = DIAL_TIMEOUT, begun: socket.socket | Dialled | None = None
) -> Dialled:
    """Connects to an address.

    Args:
      timeout: seconds.
      begun: what `begin` returned; this takes it over.

    Resource handling: a cancelled or failed dial leaves no socket behind. The connected socket has
    TCP_NODELAY and keepalive set.

    Error handling: never raises for the network's or the host's reasons.
    """
    started = trio.current_time()
    connection = begun or begin(address)
    if isinstance(connection, Dialled):
        if connection.socket is None:
            await trio.lowlevel.checkpoint()
        return connection
    end: Dialled | None = None
    try:
        with trio.move_on_after(timeout):
            while (end := progress(connection, address)) is None:
                await trio.lowlevel.wait_writable(connection)
    finally:
        if end is None or end.outcome is not Outcome.CONNECTED:
            connection.close()
    seconds = trio.current_time() - started
    if end is None:
        return Dialled(Outcome.TIMED_OUT, None, f"no answer in {timeout:g} s", seconds)
    if end.outcome is not Outcome.CONNECTED:
        await trio.lowlevel.checkpoint()  # it may have failed at once: others are to hear of it
        return Dialled(end.outcome, None, end.detail, seconds)
    return Dialled(Outcome.CONNECTED, trio.socket.from_stdlib_socket(connection), "", seconds)


@dataclass(frozen=True, slots=True)
class Race:
    """The dials of one host's addresses."""

    address: Address
    dialled: Dialled
    """The connection, or the end of the last dial."""
    lost: tuple[tuple[Address, Dialled | None], ...] = ()
    """The others that were begun; None: overtaken while it had no answer."""


async def dial_host(
    addresses: Sequence[Address],
    timeout: float = DIAL_TIMEOUT,
    begun: socket.socket | Dialled | None = None,
) -> Race:
    """Connects to the first address of one host that answers (RFC 8305, Happy Eyeballs).

    Each address has `HEAD_START` seconds before the next is dialled as well, unless it failed before.

    Args:
      begun: what `begin` returned for the first address; this takes it over.

    Resource handling and error handling: as `dial`; only the returned connection stays open.
    """
    if len(addresses) == 1:
        return Race(addresses[0], await dial(addresses[0], timeout, begun))
    ended: dict[Address, Dialled] = {}
    started: list[Address] = []

    async def attempt(address: Address, over: trio.Event, everyone: trio.CancelScope) -> None:
        dialled = await dial(address, timeout, begun if address == addresses[0] else None)
        winner = next((each for each in ended.values() if each.socket), None)
        if dialled.socket is not None and winner is not None:
            dialled.socket.close()  # both answered in the same turn of the loop
            return
        ended[address] = dialled
        over.set()
        if dialled.socket is not None:
            everyone.cancel()

    try:
        async with trio.open_nursery() as nursery:
            for address in addresses:
                over = trio.Event()
                started.append(address)
                nursery.start_soon(attempt, address, over, nursery.cancel_scope)
                with trio.move_on_after(HEAD_START):
                    await over.wait()
                if any(dialled.socket for dialled in ended.values()):
                    break
    except BaseException:
        for dialled in ended.values():
            if dialled.socket is not None:
                dialled.socket.close()
        raise
    chosen = next((address for address, dialled in ended.items() if dialled.socket), started[-1])
    others = tuple((address, ended.get(address)) for address in started if address != chosen)
    return Race(chosen, ended[chosen], others)


def detached(connection: SocketType) -> socket.socket:
    """The plain socket in place of trio's, which is as good as closed. The caller has to close it."""
    taken = socket.socket(connection.family, connection.type, connection.proto, fileno=connection.detach())
    taken.setblocking(False)
    if taken.family != socket.AF_UNIX and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        # Trio's streams keep little in the kernel, to be of late opinion; a bulk stream pays a third for it.
        taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 0)
    return taken


def family_to(address: Address) -> int:
    """The family of the sockets that reach an address."""
    return socket.AF_INET6 if ":" in address.host else socket.AF_INET


def family_of(connection: socket.socket) -> int:
    """Its family, without the detour over an enum that costs as much as a system call."""
    return super(socket.socket, connection).family


def tune(connection: SocketType | socket.socket) -> None:
    """TCP_NODELAY and keepalive on a TCP socket; a unix socket needs neither.

    What a listener accepts on Linux is born with the listener's.

    Raises:
      OSError: the peer is gone already.
    """
    if connection.family == socket.AF_UNIX:
        return
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_COUNT)


def reset_on_close(connection: trio.SocketStream | SocketType | socket.socket, wanted: bool) -> None:
    """Whether closing a connection resets it, as it should until a MySQL server has greeted.

    A hung server finds the connections of its time later, in its kernel's queue. One that was closed is an
    aborted handshake, counted against this host; one that was reset it never sees (accept(2), ECONNABORTED).
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", wanted, 0))


def describe(error: OSError) -> str:
    """An OSError in the host's own words, without what Python and trio add."""
    return (os.strerror(error.errno) if error.errno else str(error)).lower()


def broken(error: trio.BrokenResourceError) -> str:
    """What broke a stream, in the host's own words."""
    return describe(error.__cause__) if isinstance(error.__cause__, OSError) else "connection broken"


def _outcome(error: OSError, address: Address) -> Outcome:
    if error.errno in _LOCAL or (error.errno == errno.EADDRNOTAVAIL and _has_way_to(address)):
        return Outcome.EXHAUSTED
    return _OUTCOMES.get(error.errno or 0, Outcome.UNREACHABLE)


def _has_way_to(address: Address) -> bool:
    """True if this host has an address to reach that one from, as it has none where IPv6 is switched off.

    For TCP, Linux says the same when only its ports are used up; of UDP it has others, and connecting sends
    nothing.
    """
    family = family_to(address)
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as trial:
            trial.connect((address.host, address.port))
    except OSError:
        return False
    return True
