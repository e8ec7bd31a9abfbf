"""The state of one address, as a table. Pure.

All transitions live here. A pair that is not in the table changes nothing. What `rise` and `fall` count, and
when a circuit opens, is decided before the table is asked: it sees a `Cause`, not a bare signal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from dbambassador.health.evidence import Evidence, Role, Signal
from dbambassador.settings.schema import Check
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
    OPEN = "open"
    """Its circuit is open: sessions in a row could not be opened there, whatever checks say."""
    HALF_OPEN = "half-open"
    """The next session decides, and no other one is let through meanwhile."""
    DOWN = "down"
    """Failed: its sessions end."""


class Cause(Enum):
    """What a signal amounts to, once it is counted."""

    ANSWERED = "answered"
    """A good check; of a failed address, the `rise`-th in a row."""
    RISING = "answered, fewer than rise times"
    SERVED = "served a session"
    NOT_READY = "not ready"
    WAVERED = "a check failed, fewer than fall times"
    FAILED = "a check failed, fall times"
    FALTERED = "a session could not be opened"
    TRIPPED = "several in a row could not be opened"
    DOUBTED = "a session broke, hesitated or stalled"
    RETRY_DUE = "retry due"


TRANSITIONS: dict[tuple[State, Cause], State] = {
    (State.NEW, Cause.ANSWERED): State.UP,
    (State.NEW, Cause.NOT_READY): State.NOT_READY,
    (State.NEW, Cause.WAVERED): State.NOT_READY,
    (State.NEW, Cause.FAILED): State.DOWN,
    (State.NEW, Cause.RETRY_DUE): State.HALF_OPEN,
    (State.UP, Cause.NOT_READY): State.NOT_READY,
    (State.UP, Cause.WAVERED): State.NOT_READY,
    (State.UP, Cause.FAILED): State.DOWN,
    (State.UP, Cause.FALTERED): State.NOT_READY,
    (State.UP, Cause.TRIPPED): State.OPEN,
    (State.UP, Cause.DOUBTED): State.SUSPECT,
    (State.SUSPECT, Cause.ANSWERED): State.UP,
    (State.SUSPECT, Cause.SERVED): State.UP,
    (State.SUSPECT, Cause.NOT_READY): State.NOT_READY,
    (State.SUSPECT, Cause.WAVERED): State.NOT_READY,
    (State.SUSPECT, Cause.FAILED): State.DOWN,
    (State.SUSPECT, Cause.FALTERED): State.NOT_READY,
    (State.SUSPECT, Cause.TRIPPED): State.OPEN,
    (State.NOT_READY, Cause.ANSWERED): State.UP,
    (State.NOT_READY, Cause.FAILED): State.DOWN,
    (State.NOT_READY, Cause.RETRY_DUE): State.HALF_OPEN,
    (State.OPEN, Cause.FAILED): State.DOWN,
    (State.OPEN, Cause.RETRY_DUE): State.HALF_OPEN,
    (State.HALF_OPEN, Cause.SERVED): State.UP,
    (State.HALF_OPEN, Cause.NOT_READY): State.NOT_READY,
    (State.HALF_OPEN, Cause.FAILED): State.DOWN,
    (State.HALF_OPEN, Cause.FALTERED): State.OPEN,
    (State.HALF_OPEN, Cause.TRIPPED): State.OPEN,
    (State.DOWN, Cause.ANSWERED): State.UP,
    (State.DOWN, Cause.RISING): State.NOT_READY,
    (State.DOWN, Cause.NOT_READY): State.NOT_READY,
    (State.DOWN, Cause.RETRY_DUE): State.HALF_OPEN,
}

USABLE = frozenset({State.UP, State.SUSPECT, State.HALF_OPEN})
"""States in which an address may get a session."""

DOUBTFUL = frozenset({State.NEW, State.SUSPECT, State.NOT_READY, State.HALF_OPEN, State.DOWN})
"""States in which an address is checked again soon."""

TRIP_AFTER = 5
"""Sessions in a row that could not be opened, although checks pass, until the circuit opens; as Envoy's
consecutive_5xx. Without checks `fall` takes its place: then nothing else could tell."""
SILENT_FALL = 2
"""Checks in a row without any answer that count as a failure: the first may have met a busy server."""
STALLED_FALL = 3
"""Without checks: stalls in a row that count as a failure; one that lasts is observed once a second."""
STALL_PAUSE = 2.0
"""Seconds between two stalls at most, if they are one that lasts."""


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
    good: int = 0
    """Good checks in a row."""
    bad: int = 0
    """Failed checks in a row."""
    unopened: int = 0
    """Sessions in a row that could not be opened."""
    trips: int = 0
    """How often its circuit opened since it last served a session."""
    answered_at: float = 0.0
    """When a check or a session was last answered, on trio's clock."""
    stalled_at: float = 0.0
    """Without checks: when a stall was last seen."""
    tried_at: float = 0.0
    """When a session was let through on trial that has not told yet."""

    @property
    def usable(self) -> bool:
        return self.state in USABLE

    @property
    def role_outdated(self) -> bool:
        """A role was seen, and is too old to believe."""
        return self.role is Role.UNKNOWN and self.role_seen_at > 0


_NEW_REASONS = {(State.UP, Signal.ANSWERED)} | {
    (state, signal)
    for state in (State.DOWN, State.NOT_READY)
    for signal in (Signal.FAILED, Signal.SILENT, Signal.NOT_READY)
}
"""What tells why an address still is what it is."""

FRESH = 0.1
"""Seconds for which one session's success stands for those of others."""


def is_news(record: Record, evidence: Evidence, now: float) -> bool:
    """Whether an observation could change a record: of many sessions that an address serves, few do."""
    if evidence.signal is not Signal.SERVED or evidence.role_hidden or record.state is not State.UP:
        return True
    if record.bad or record.unopened or record.trips or now >= record.answered_at + FRESH:
        return True
    if evidence.role is Role.UNKNOWN:
        return False
    return evidence.role is not record.role or record.tried_at > 0 or now >= record.role_seen_at + FRESH


def after(record: Record, evidence: Evidence, now: float, check: Check) -> Record:
    """The record once the evidence is in. A server that failed may come back in another role."""
    record, cause = _count(record, evidence.signal, now, check)
    state = TRANSITIONS.get((record.state, cause), record.state)
    if state is not record.state:
        record = replace(record, state=state, since=now, why=evidence.detail, tried_at=0.0)
        if state is State.DOWN:
            record = replace(record, role=Role.UNKNOWN, role_seen_at=0.0, unopened=0)
        if state is State.OPEN:
            record = replace(record, trips=record.trips + 1)
    elif (state, evidence.signal) in _NEW_REASONS:
        record = replace(record, why=evidence.detail)
    if evidence.role is not Role.UNKNOWN:
        record = replace(record, role=evidence.role, role_seen_at=now, tried_at=0.0)
    elif evidence.role_hidden and record.role_outdated:
        record = replace(record, role_seen_at=0.0, tried_at=0.0)
    return record


def without_role(record: Record) -> Record:
    """The record once its role is too old to believe."""
    return replace(record, role=Role.UNKNOWN)


def _count(record: Record, signal: Signal, now: float, check: Check) -> tuple[Record, Cause]:
    match signal:
        case Signal.ANSWERED:
            record = replace(record, good=record.good + 1, bad=0, answered_at=now)
            failed = record.state in (State.DOWN, State.NOT_READY) and record.good < check.rise
            return record, Cause.RISING if failed else Cause.ANSWERED
        case Signal.SERVED:
            return replace(record, bad=0, unopened=0, trips=0, answered_at=now), Cause.SERVED
        case Signal.NOT_READY:
            return replace(record, good=0, bad=0, unopened=0, answered_at=now), Cause.NOT_READY
        case Signal.FAILED | Signal.SILENT:
            record = replace(record, good=0, bad=record.bad + 1)
            enough = max(check.fall, SILENT_FALL) if signal is Signal.SILENT else check.fall
            return record, Cause.FAILED if record.bad >= enough else Cause.WAVERED
        case Signal.FALTERED if record.state is State.NOT_READY:
            return record, Cause.FALTERED  # the check that is due decides
        case Signal.FALTERED:
            return _falter(replace(record, unopened=record.unopened + 1), check)
        case Signal.STALLED if check.passive:
            goes_on = now < record.stalled_at + STALL_PAUSE
            record = replace(record, good=0, bad=record.bad + 1 if goes_on else 1, stalled_at=now)
            return record, Cause.FAILED if record.bad >= STALLED_FALL else Cause.DOUBTED
        case Signal.STALLED:  # counts as one silent check: the next one decides
            return replace(record, good=0, bad=max(record.bad, 1)), Cause.DOUBTED
        case Signal.RETRY_DUE:
            return record, Cause.RETRY_DUE
        case _:
            return record, Cause.DOUBTED


def _falter(record: Record, check: Check) -> tuple[Record, Cause]:
    if record.unopened >= (check.fall if check.passive else TRIP_AFTER):
        return replace(record, unopened=0), Cause.TRIPPED
    trial = record.state is State.HALF_OPEN
    return record, Cause.DOUBTED if check.passive and not trial else Cause.FALTERED
