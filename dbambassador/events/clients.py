"""Clients that wait for a session, and those that get none."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dbambassador.events.event import Event


class Departure(Enum):
    """How a client ended that never had a session, and was told nothing."""

    LEFT = "left"
    GARBLED = "garbled"
    """It said something that is not its protocol."""
    TIMED_OUT = "timed out"
    """It did not say in time what it wants."""
    CROWDED_OUT = "crowded out"
    """The same, and was ended early to make room."""


class Refusal(Enum):
    """Why a client got an error of ours instead of a session."""

    NO_TARGET = "no usable address"
    TOO_MANY = "connection limit"
    NO_DESCRIPTORS = "no file descriptors left"
    ROLE = "server is in another role"
    UNSAFE = "unsafe session"
    NO_TLS = "it wants TLS, and has none with the ambassador (see sslmode)"
    GARBLED = "not understood"
    BROKEN_OFF = "its server broke off"
    """In the middle of the client's handshake with it."""
    DRAINING = "shutting down"


@dataclass(frozen=True, slots=True)
class ClientRefused(Event):
    database: str
    refusal: Refusal
    why: str = ""


@dataclass(frozen=True, slots=True)
class ClientLeft(Event):
    """The client was gone, or was given up, before it had a session."""

    database: str
    reason: str
    how: Departure = Departure.LEFT


@dataclass(frozen=True, slots=True)
class ClientHeld(Event):
    """A client's wait for a usable address is over."""

    database: str
    outcome: str
    """`served`, `left`, or a refusal in small letters."""
    seconds: float


@dataclass(frozen=True, slots=True)
class ClientCrowdedOut(Event):
    """The client said nothing, as too many others, and was ended to make room."""

    database: str


@dataclass(frozen=True, slots=True)
class CancelForwarded(Event):
    database: str
    found: bool
    """False: no session is known to have that key, so it went to every server in use."""
