"""The choice of an address: decided each time from the whole present situation. Pure.

A writer has one active address. It is kept while it is usable; it is left when it failed, when it turned out
to be a standby, or when two answers of the DNS, the second past the cache, no longer name it and another
address passed its check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dbambassador.health.evidence import Role
from dbambassador.health.states import Record, State
from dbambassador.settings.schema import Database, TargetSessionAttrs
from dbambassador.values import Address, Choice, Target, Targets

PREFERENCE_DELAY = 0.25
"""Seconds that an address in use for the first time waits for the check of one that comes before it.

As RFC 8305 (5) waits between attempts; without it the faster answer would decide, not the order."""
SETTLE_LIMIT = 3.0
"""Seconds that a decision waits at most for a fresh lookup and first checks before clients may be refused.

A nameserver that does not answer must not make `hold: 0s` mean half a minute."""


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a decision depends on."""

    database: Database
    targets: Targets
    records: Mapping[Address, Record]
    now: float
    """On trio's clock, as all times here."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The present choice, and what the next one must remember of it."""

    choice: Choice
    lost_at: float | None
    """Since when no address is usable but on trial; None while one is."""
    active: Target | None = None
    """Whose sessions are alive: the chosen one, or the last one while it takes no new sessions."""
    omitted_at: float | None = None
    """When the question was put whose answer first omitted the active address."""


def choose(before: Standing, situation: Situation) -> Standing:
    """The standing after this situation."""
    standing = _note_omission(before, situation.targets)
    active = standing.active
    candidates = _candidates(situation)
    if (
        active is not None
        and _may_serve(active, situation)
        and not _dismissed(standing, situation, candidates)
    ):
        return _serve(standing, active, situation)
    if candidates and not _better_to_come(candidates[0], situation):
        return _serve(standing, candidates[0], situation)
    return _without(standing, situation)


def wants_answer(standing: Standing, targets: Targets) -> bool:
    """True while a fresh answer of the DNS could change the choice for the better."""
    unconfirmed = standing.omitted_at is not None and targets.asked_at <= standing.omitted_at
    return standing.choice.target is None or unconfirmed


def _note_omission(standing: Standing, targets: Targets) -> Standing:
    if standing.active is None or targets.stale or standing.active.address in targets.addresses:
        return replace(standing, omitted_at=None)
    if standing.omitted_at is None:
        return replace(standing, omitted_at=targets.asked_at)
    return standing


def _dismissed(standing: Standing, situation: Situation, candidates: list[Target]) -> bool:
    """Two answers omit the active address, and another may serve, or the name leads nowhere."""
    if standing.omitted_at is None or situation.targets.asked_at <= standing.omitted_at:
        return False
    return bool(candidates) or not situation.targets.targets


def _may_serve(target: Target, situation: Situation) -> bool:
    record = situation.records.get(target.address)
    return record is not None and record.usable and _has_role(record, situation.database)


def _has_role(record: Record, database: Database) -> bool:
    return database.target_session_attrs is TargetSessionAttrs.ANY or record.role is not Role.STANDBY


def _candidates(situation: Situation) -> list[Target]:
    """Usable targets, best first: by priority, one on trial last, else in the order of discovery."""
    usable = [target for target in situation.targets.targets if _may_serve(target, situation)]
    return sorted(usable, key=lambda target: (_on_trial(target, situation), target.priority))


def _on_trial(target: Target, situation: Situation) -> bool:
    """True where only the next session can tell whether the target is of use."""
    record = situation.records[target.address]
    writer = situation.database.target_session_attrs is not TargetSessionAttrs.ANY
    return record.state is State.HALF_OPEN or (writer and record.role_outdated)


def _better_to_come(best: Target, situation: Situation) -> bool:
    """True while an address that would be preferred is still in its first check."""
    for target in sorted(situation.targets.targets, key=lambda target: target.priority):
        if target.address == best.address:
            return False
        record = situation.records.get(target.address)
        if record is None or (record.state is State.NEW and situation.now < record.since + PREFERENCE_DELAY):
            return True
    return False


def _serve(standing: Standing, target: Target, situation: Situation) -> Standing:
    same = standing.active is not None and standing.active.address == target.address
    epoch = standing.choice.epoch if same else standing.choice.epoch + 1
    record = situation.records[target.address]
    why = f"{target.address} is {record.state.value}"
    on_trial = _on_trial(target, situation)
    choice = Choice(epoch, target, True, 0.0, why, on_trial)
    lost_at = standing.lost_at if on_trial else None
    return Standing(choice, lost_at, target, standing.omitted_at if same else None)


def _without(standing: Standing, situation: Situation) -> Standing:
    active, epoch = standing.active, standing.choice.epoch
    if active is not None and _sessions_must_end(active, situation):
        active, epoch = None, epoch + 1
    lost_at = situation.now if standing.lost_at is None else standing.lost_at
    settled = situation.now >= lost_at + SETTLE_LIMIT or (
        situation.targets.asked_at >= lost_at and not _unchecked(situation)
    )
    choice = Choice(epoch, None, settled, lost_at + situation.database.hold, _why_none(situation))
    return Standing(choice, lost_at, active, standing.omitted_at if active else None)


def _sessions_must_end(active: Target, situation: Situation) -> bool:
    record = situation.records.get(active.address)
    return record is None or record.state is State.DOWN or not _has_role(record, situation.database)


def _unchecked(situation: Situation) -> bool:
    records = [situation.records.get(target.address) for target in situation.targets.targets]
    return any(record is None or record.state is State.NEW for record in records)


def _why_none(situation: Situation) -> str:
    if not situation.targets.targets:
        return situation.targets.failure or "not resolved yet"
    return "; ".join(
        _why_not(target.address, situation.records.get(target.address), situation.database)
        for target in situation.targets.targets[:4]
    )


def _why_not(address: Address, record: Record | None, database: Database) -> str:
    if record is None:
        return f"{address}: not checked yet"
    if not _has_role(record, database):
        return f"{address}: a hot standby"
    return f"{address}: {record.why}"
