"""Which of a database's targets may get a session now, best first. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from dbambassador.health.evidence import Role
from dbambassador.health.roles import fits, second_best
from dbambassador.health.states import Record, State
from dbambassador.settings.schema import Database, Protocol, TargetSessionAttrs
from dbambassador.values import Address, Target, Targets

PREFERENCE_DELAY = 0.25
"""Seconds that an address in use for the first time waits for the check of one that comes before it.

As RFC 8305 (5) waits between attempts; without it the faster answer would decide, not the order."""
TRIAL_LIMIT = 1.0
"""Seconds after which another session may try an address, should the one on trial not tell by then: it may
be asking a person for a password."""


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a decision depends on."""

    database: Database
    targets: Targets
    records: Mapping[Address, Record]
    now: float
    """On trio's clock, as all times here."""
    retired: frozenset[Address] = frozenset()
    """Where former endpoints led: of a pool, these end their sessions once what the endpoints lead to now has
    taken their place. Where one address serves at a time, it is so anyway."""


def candidates(situation: Situation) -> list[Target]:
    """Hosts with a usable address, best first: by role, then by SRV's priority, then as discovered."""
    usable = [
        present
        for host in hosts(situation.targets.targets, situation.database.protocol)
        if (present := usable_part(host, situation)) is not None
    ]
    if situation.database.balance is None and any(_is_tried(each, situation) for each in situation.records):
        # What the session on trial is about to tell decides, and no second one is spent on another address.
        usable = [target for target in usable if not on_trial(target.address, situation)]
    return sorted(usable, key=lambda target: (*_class(target, situation), target.priority))


def hosts(targets: Iterable[Target], protocol: Protocol) -> list[Target]:
    """The targets; a name with just one address of either family is one host, with an alternate.

    Not for MySQL: dialling two addresses to drop one counts as an aborted handshake there.
    """
    groups: dict[tuple[str, int, int], list[Target]] = {}
    for target in targets:
        groups.setdefault((target.name, target.address.port, target.priority), []).append(target)
    folded: list[Target] = []
    for group in groups.values():
        families = [":" in target.address.host for target in group]
        if sorted(families) == [False, True] and protocol is not Protocol.MYSQL:
            folded.append(replace(group[0], alternate=group[1].address))
        else:
            folded += group
    return folded


def usable_part(host: Target, situation: Situation) -> Target | None:
    """The host with those of its addresses that may get a session."""
    usable = [address for address in host.addresses if may_serve(address, situation)]
    if not usable:
        return None
    return replace(host, address=usable[0], alternate=usable[1] if len(usable) > 1 else None)


def may_serve(address: Address, situation: Situation) -> bool:
    record = situation.records.get(address)
    if record is None or not record.usable or not has_role(record, situation.database):
        return False
    return not _is_tried(address, situation)


def _is_tried(address: Address, situation: Situation) -> bool:
    """Whether a session is on trial there now."""
    tried_at = situation.records[address].tried_at
    return on_trial(address, situation) and situation.now < tried_at + TRIAL_LIMIT


def must_end(address: Address, situation: Situation) -> bool:
    """Whether the sessions at an address are to be closed."""
    record = situation.records.get(address)
    return record is None or record.state is State.DOWN or not has_role(record, situation.database)


def in_doubt(host: Target, situation: Situation) -> bool:
    """Whether only a session's word, or fewer failed checks than `fall`, speak against a host: its sessions
    go on, so no other one may begin until the next check tells."""
    fall = situation.database.check.fall
    records = [situation.records.get(address) for address in host.addresses]
    return any(
        record is not None
        and record.state is State.NOT_READY
        and record.bad < fall
        and bool(record.bad or record.unopened)
        and has_role(record, situation.database)
        for record in records
    )


def trial_ends_at(situation: Situation) -> float:
    """Until when a session may be finding out if an address is of use; the past if none is."""
    records = [situation.records.get(target.address) for target in situation.targets.targets]
    return max((record.tried_at + TRIAL_LIMIT for record in records if record), default=0.0)


def has_role(record: Record, database: Database) -> bool:
    return fits(record.role, database.target_session_attrs)


def on_trial(address: Address, situation: Situation) -> bool:
    """True where only the next session can tell whether the address is of use."""
    record = situation.records[address]
    picky = situation.database.target_session_attrs is not TargetSessionAttrs.ANY
    return record.state is State.HALF_OPEN or (picky and record.role_outdated)


def better_to_come(best: Target, situation: Situation, *, in_order: bool) -> bool:
    """True while an address that would be preferred is still in its first check.

    Args:
      in_order: the order among equals counts as well, as it does where one address serves alone.
    """
    second = _class(best, situation)[0]
    for target in sorted(situation.targets.targets, key=lambda target: target.priority):
        if target.address in best.addresses:
            if not second:
                return False
            continue
        if not (second or in_order or target.priority < best.priority):
            continue
        record = situation.records.get(target.address)
        if record is None or (record.state is State.NEW and situation.now < record.since + PREFERENCE_DELAY):
            return True
    return False


def unchecked(situation: Situation) -> bool:
    """Whether an address has not had its first check."""
    records = [situation.records.get(target.address) for target in situation.targets.targets]
    return any(record is None or record.state is State.NEW for record in records)


def is_second_best(target: Target, situation: Situation) -> bool:
    """Whether it is used only while nothing better is usable."""
    record = situation.records[target.address]
    return second_best(record.role, situation.database.target_session_attrs)


def why_none(situation: Situation) -> str:
    """In words, why no address may get a session."""
    if not situation.targets.targets:
        return situation.targets.failure or "not resolved yet"
    return "; ".join(
        _why_not(target.address, situation.records.get(target.address), situation.database)
        for target in situation.targets.targets[:4]
    )


def _class(target: Target, situation: Situation) -> tuple[bool, bool, bool]:
    role = situation.records[target.address].role
    untold = situation.database.check.tells_role and role is Role.UNKNOWN
    return is_second_best(target, situation), on_trial(target.address, situation), untold


def _why_not(address: Address, record: Record | None, database: Database) -> str:
    if record is None:
        return f"{address}: not checked yet"
    if not has_role(record, database):
        return f"{address}: {record.role.value}, not {database.target_session_attrs.value}"
    return f"{address}: {'a session tries it' if record.usable else record.why}"
