"""The seam of the relay engine: what a session hands over, and what it gets back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from socket import socket
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Tapped:
    """What a tap makes of some bytes from the server."""

    forward: bytes = b""
    done: bool = False
    """The tap has seen enough: it is not called again."""
    refuse: bool = False
    """Nothing more passes: the session ends once `forward` has reached the client."""
    tell: Callable[[], None] | None = None
    """Called in trio's thread, before anything that the client may do about `forward` is seen there."""


Tap = Callable[[bytes], Tapped]
"""Pure: an engine may call it in a thread of its own. What others are to know of it goes through `tell`."""


@dataclass(slots=True)
class Traffic:
    """What can be seen of one session while an engine carries it."""

    to_server: int = 0
    """Bytes that the kernel took for delivery; counted as they go."""
    to_client: int = 0
    asked: bool = False
    """What passed last came from the client, which may wait for an answer."""
    server: socket | None = None
    """The server's socket while the engine has it, for TCP_INFO; None before and after. Not to be used
    otherwise."""
    began_at: float = 0.0
    """When the engine got the session, and when it was over: seconds of the monotonic clock."""
    ended_at: float = 0.0
    still: bool = True
    """Set by whoever watches the session: nothing has passed since."""
    on_move: Callable[[], object] | None = None
    """Called when something passes while it is still; in the engine's thread, as a rule."""

    def move(self) -> None:
        """Something has passed, and is counted."""
        self.still = False
        if self.on_move is not None:
            self.on_move()


@dataclass(frozen=True, slots=True)
class Link:
    """Two connected sockets that do not block, and the bytes already read from each."""

    client: socket
    server: socket
    to_server: bytes = b""
    to_client: bytes = b""
    tap: Tap | None = None
    """Sees the server's bytes that follow `to_client`."""
    traffic: Traffic = field(default_factory=Traffic)
    on_server_end: Callable[[], None] | None = None
    """Called in trio's thread when the server ends its side, or breaks, before the client ended its own, and
    not when the session is over: a client that keeps an idle connection notices the loss of its server only
    when it uses it."""


@dataclass(frozen=True, slots=True)
class Work:
    """What an engine has done, ever. Between the two lies how well it batches."""

    wakes: int
    """Times that it woke to look after its sessions."""
    events: int
    """Sockets that it found with something to do."""


class How(Enum):
    """How a session ended."""

    CLIENT_CLOSED = "client closed"
    SERVER_CLOSED = "server closed"
    CLIENT_RESET = "client reset"
    SERVER_RESET = "server reset"
    REFUSED = "refused by the tap"
    CUT = "cut"


Over = Callable[[How | Exception], None]
"""Called in trio's thread, once, when both sockets of a session are closed. An exception is a bug's."""


class Carried(Protocol):
    """A session that an engine carries."""

    def cut(self) -> None:
        """Resets both sides, unless the session is over. In trio's thread."""
        ...


class Engine(Protocol):
    """The sole owner of a session's two sockets from hand-over to end."""

    def carry(self, link: Link, over: Over) -> Carried:
        """Carries bytes both ways until both directions have ended, or the session is cut.

        Delivered bytes are a prefix of those sent, and equal to them on an orderly close. A half-close is
        passed on as a half-close, a reset as a reset. An urgent byte is no part of the stream and is dropped.

        Error handling: a peer that goes away is a `How`, never an exception.
        """
        ...

    async def settle(self) -> None:
        """Waits until trio's thread has heard of all that the engine has done by now."""
        ...

    def silence(self) -> float:
        """Seconds for which the engine has owed a sign of life. Each call asks it for another one."""
        ...

    def work(self) -> Work | None:
        """What it has done so far; None for an engine that does not count."""
        ...
