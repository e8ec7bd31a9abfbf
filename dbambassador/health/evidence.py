"""Evidence: the only way back up. What dials, checks and sessions saw of one address."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dbambassador.transport.dial import Dialled, Outcome
from dbambassador.values import Address


class Signal(Enum):
    """What was seen, as the state table knows it."""

    ANSWERED = "answered"
    """The database spoke its protocol and takes sessions."""
    NOT_READY = "not ready"
    """It spoke, and takes no sessions now: starting, shutting down, recovering."""
    FAILED = "failed"
    """A check was refused, reset, or met something else than this protocol."""
    SILENT = "silent"
    """A check got no answer in time: a dead host, or a busy one. The second in a row decides."""
    FALTERED = "faltered"
    """A session could not be opened. One client's word: it stops new sessions, a check must confirm it."""
    SESSION_BROKE = "session broke"
    """The server ended a session; perhaps alone, perhaps because it died."""
    RETRY_DUE = "retry due"
    """Without checks: long enough unused to let one session try."""


class Role(Enum):
    """What a server is in its replication."""

    UNKNOWN = "unknown"
    PRIMARY = "primary"
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


def of_failed_dial(address: Address, dialled: Dialled, signal: Signal) -> Evidence | None:
    """The evidence in a dial that did not connect; None if the fault was this host's own."""
    if dialled.outcome is Outcome.EXHAUSTED:
        return None
    return Evidence(address, signal, dialled.detail or dialled.outcome.value)
