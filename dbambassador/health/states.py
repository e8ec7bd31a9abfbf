"""The state of one address, as a table. Pure.

All transitions live here. A pair that is not in the table changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from dbambassador.health.evidence import Evidence, Role, Signal
from dbambassador.values import Address


class State(Enum):
    """What we hold of an address."""

    NEW = "new"
    """Never checked or used."""
    UP = "up"
    SUSPECT = "suspect"
    """In doubt: still used, and checked at once."""
    NOT_READY = "not-ready"
    """Takes no new session; those it has may go on."""
    DOWN = "down"
    HALF_OPEN = "half-open"
    """Without checks: the next session decides."""


TRANSITIONS: dict[tuple[State, Signal], State] = {
    (State.NEW, Signal.ANSWERED): State.UP,
    (State.NEW, Signal.NOT_READY): State.NOT_READY,
    (State.NEW, Signal.FALTERED): State.NOT_READY,
    (State.NEW, Signal.FAILED): State.DOWN,
    (State.NEW, Signal.SILENT): State.DOWN,
    (State.NEW, Signal.RETRY_DUE): State.HALF_OPEN,
    (State.UP, Signal.SESSION_BROKE): State.SUSPECT,
    (State.UP, Signal.NOT_READY): State.NOT_READY,
    (State.UP, Signal.FALTERED): State.NOT_READY,
    (State.UP, Signal.FAILED): State.DOWN,
    (State.UP, Signal.SILENT): State.NOT_READY,
    (State.SUSPECT, Signal.ANSWERED): State.UP,
    (State.SUSPECT, Signal.NOT_READY): State.NOT_READY,
    (State.SUSPECT, Signal.FALTERED): State.NOT_READY,
    (State.SUSPECT, Signal.FAILED): State.DOWN,
    (State.SUSPECT, Signal.SILENT): State.NOT_READY,
    (State.NOT_READY, Signal.ANSWERED): State.UP,
    (State.NOT_READY, Signal.FAILED): State.DOWN,
    (State.NOT_READY, Signal.SILENT): State.DOWN,
    (State.NOT_READY, Signal.RETRY_DUE): State.HALF_OPEN,
    (State.DOWN, Signal.ANSWERED): State.UP,
    (State.DOWN, Signal.NOT_READY): State.NOT_READY,
    (State.DOWN, Signal.RETRY_DUE): State.HALF_OPEN,
    (State.HALF_OPEN, Signal.ANSWERED): State.UP,
    (State.HALF_OPEN, Signal.NOT_READY): State.NOT_READY,
    (State.HALF_OPEN, Signal.FALTERED): State.DOWN,
    (State.HALF_OPEN, Signal.FAILED): State.DOWN,
    (State.HALF_OPEN, Signal.SILENT): State.DOWN,
}

USABLE = frozenset({State.UP, State.SUSPECT, State.HALF_OPEN})
"""States in which an address may get a session."""

DOUBTFUL = frozenset({State.NEW, State.SUSPECT, State.NOT_READY, State.DOWN})
"""States in which an address is checked again soon."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of one address."""

    address: Address
    since: float
    """When it entered this state, on trio's clock."""
    state: State = State.NEW
    role: Role = Role.UNKNOWN
    role_seen_at: float = 0.0
    """Zero where none was seen since it last failed."""
    why: str = "not checked yet"

    @property
    def usable(self) -> bool:
        return self.state in USABLE

    @property
    def role_outdated(self) -> bool:
        """A role was seen, and is too old to believe."""
        return self.role is Role.UNKNOWN and self.role_seen_at > 0


def after(record: Record, evidence: Evidence, now: float) -> Record:
    """The record once the evidence is in. A server that failed may come back in another role."""
    state = TRANSITIONS.get((record.state, evidence.signal), record.state)
    if state is not record.state:
        record = replace(record, state=state, since=now, why=evidence.detail)
        if state is State.DOWN:
            record = replace(record, role=Role.UNKNOWN, role_seen_at=0.0)
    if evidence.role is Role.STANDBY or evidence.role not in (Role.UNKNOWN, record.role):
        record = replace(record, role=evidence.role, role_seen_at=now)
    return record


def without_role(record: Record) -> Record:
    """The record once its role is too old to believe."""
    return replace(record, role=Role.UNKNOWN)
