"""Evidence: the only way back up. What dials, checks and sessions saw of one address."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dbambassador.printable import shortened
from dbambassador.transport.dial import Dialled, Outcome
from dbambassador.transport.tls_failures import no_tls
from dbambassador.values import Address

ACCEPTS = "accepts connections"

LONGEST_REASON = 300
"""Characters told of why a login was refused."""


class Blocked(Exception):
    """The server refuses this host as such (MySQL 1129, 1130): another check would not help."""


class Signal(Enum):
    """What was seen of an address."""

    ANSWERED = "answered"
    """A check: the database spoke its protocol and takes sessions."""
    SERVED = "served"
    """The server answered a session's opening."""
    NOT_READY = "not ready"
    """It spoke, and takes no sessions now: starting, shutting down, recovering."""
    FAILED = "failed"
    """A check was refused, reset, or met something else than this protocol."""
    SILENT = "silent"
    """A check got no answer in time: a dead host, or a busy one."""
    FALTERED = "faltered"
    """A session could not be opened. One client's word: it stops new sessions, a check must confirm it."""
    SESSION_BROKE = "session broke"
    """The server ended a session; perhaps alone, perhaps because it died."""
    HESITATED = "hesitated"
    """It accepted a session's connection and says nothing."""
    STALLED = "stalled"
    """Its kernel acknowledges nothing any more: neither data of a session nor the wish for a connection."""
    RETRY_DUE = "retry due"
    """Without checks, or with its circuit open: long enough unused to let one session try."""


class Role(Enum):
    """What a server is in its replication."""

    UNKNOWN = "unknown"
    PRIMARY = "primary"
    READ_ONLY = "read-only"
    """No standby, but its sessions are read-only by default: fenced, or out of space."""
    STANDBY = "standby"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One observation of one address."""

    address: Address
    signal: Signal
    detail: str
    """As a person would say it: `connection refused`."""
    role: Role = Role.UNKNOWN
    """Unknown where the observation says nothing of it."""
    role_hidden: bool = False
    """The session is encrypted end to end: whatever its server is will not be seen."""
    denied: bool = False
    """The server is alive, but refused the check's credentials."""


def of_failed_dial(address: Address, dialled: Dialled, signal: Signal) -> Evidence | None:
    """The evidence in a dial that did not connect; None if the fault was this host's own."""
    if dialled.outcome is Outcome.EXHAUSTED:
        return None
    return Evidence(address, signal, dialled.detail or dialled.outcome.value)


def of_failed_tls(address: Address, why: str) -> Evidence:
    """The evidence in a check whose TLS did not come about. It says nothing of sessions that have theirs."""
    return Evidence(address, Signal.NOT_READY, no_tls(why))


def of_denied_login(address: Address, why: str) -> Evidence:
    """The evidence where a server takes sessions, but not the check's. `why`: as `refused …`."""
    why = shortened(" ".join(why.split()), LONGEST_REASON)
    return Evidence(address, Signal.ANSWERED, f"takes sessions, but {why}", denied=True)
