"""Sessions, from the dial to their end."""

from __future__ import annotations

from dataclasses import dataclass

from dbambassador.events.event import Event
from dbambassador.values import Address, PeerProcess


@dataclass(frozen=True, slots=True)
class DialEnded(Event):
    database: str
    address: Address
    outcome: str
    seconds: float


@dataclass(frozen=True, slots=True)
class SessionOpened(Event):
    database: str
    address: Address
    client: PeerProcess | None = None
    """None: it came over TCP."""


@dataclass(frozen=True, slots=True)
class SessionEnded(Event):
    database: str
    address: Address
    how: str
    seconds: float
    to_server: int
    """Bytes."""
    to_client: int


@dataclass(frozen=True, slots=True)
class SessionsEvicted(Event):
    """Sessions were closed because their address failed, lost its role, or was replaced."""

    database: str
    address: Address
    sessions: int
    why: str


@dataclass(frozen=True, slots=True)
class SessionCrashed(Event):
    """A bug: a session ended with an exception that is no outcome of the network."""

    database: str
    error: str
