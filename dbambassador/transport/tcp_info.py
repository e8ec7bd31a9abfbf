"""What the kernel knows of a TCP connection: tcp(7), TCP_INFO."""

from __future__ import annotations

import fcntl
import select
import socket
import struct
import sys
import termios
from dataclasses import dataclass

from trio.socket import SocketType

_LENGTH = 128
"""Bytes of struct tcp_info up to tcpi_bytes_acked, which Linux has since 4.1: include/uapi/linux/tcp.h."""
_RETRANSMITS = 2
_UNACKED = struct.Struct("=I")
_UNACKED_AT, _LAST_ACK_AT, _BYTES_ACKED_AT = 24, 56, 120
_BYTES_ACKED = struct.Struct("=Q")


@dataclass(frozen=True, slots=True)
class Delivery:
    """How well the peer's kernel takes what we sent."""

    unacknowledged: bool
    """Something is under way that it has not confirmed."""
    acknowledged: int
    """Bytes that it has, all in all."""
    silent: float
    """Seconds since it confirmed anything."""
    retransmits: int
    """How often the oldest unconfirmed segment was sent again by timeout, in a row."""


def delivery(connection: socket.socket) -> Delivery | None:
    """None where the kernel does not tell, or the socket is closed."""
    if sys.platform != "linux":
        return None
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LENGTH)
    except OSError:
        return None
    if len(info) < _LENGTH:
        return None
    return Delivery(
        unacknowledged=_UNACKED.unpack_from(info, _UNACKED_AT)[0] > 0,
        acknowledged=_BYTES_ACKED.unpack_from(info, _BYTES_ACKED_AT)[0],
        silent=_UNACKED.unpack_from(info, _LAST_ACK_AT)[0] / 1000,
        retransmits=info[_RETRANSMITS],
    )


def has_left(connection: SocketType) -> bool:
    """Whether the peer has closed, and nothing that it said before waits to be read. Reads nothing itself."""
    return has_ended(connection) and not unread(connection)


def has_ended(connection: SocketType) -> bool:
    """Whether the peer will say no more than what waits to be read, if anything does."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLRDHUP)
    events = dict(poll.poll(0)).get(connection.fileno(), 0)
    return bool(events & (select.POLLRDHUP | select.POLLHUP | select.POLLERR | select.POLLNVAL))


def unread(connection: SocketType) -> int:
    """Bytes that can be read at once."""
    try:
        count = fcntl.ioctl(connection.fileno(), termios.FIONREAD, bytes(4))
    except OSError:
        return 0
    return int.from_bytes(count, sys.byteorder)
