"""Which address may be used?"""

from __future__ import annotations

from dataclasses import dataclass

from dbambassador.events.event import Event
from dbambassador.values import Address, Choice


@dataclass(frozen=True, slots=True)
class AddressChanged(Event):
    database: str
    address: Address
    before: str
    now: str
    why: str


@dataclass(frozen=True, slots=True)
class ProbeEnded(Event):
    database: str
    address: Address
    outcome: str
    seconds: float


@dataclass(frozen=True, slots=True)
class CheckBlocked(Event):
    """The server refuses this host (MySQL 1129, 1130): checks stop, a person is needed."""

    database: str
    address: Address
    message: str


@dataclass(frozen=True, slots=True)
class CheckDenied(Event):
    """The server refuses the credentials of the check: it is alive, and its role stays unknown."""

    database: str
    address: Address
    message: str


@dataclass(frozen=True, slots=True)
class CheckRestored(Event):
    """The server takes the credentials of the check again."""

    database: str
    address: Address


@dataclass(frozen=True, slots=True)
class RoleChanged(Event):
    """A server has another role than it had when it last told."""

    database: str
    address: Address
    before: str
    now: str


@dataclass(frozen=True, slots=True)
class ChoiceChanged(Event):
    database: str
    choice: Choice
    outage: float = 0.0
    """Seconds without a usable address that end with this choice; 0 if none does."""
