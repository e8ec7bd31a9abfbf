"""The choice of addresses: decided each time from the whole present situation. Pure.

Without `balance` one host has all sessions. It is kept while it is usable; it is left when it failed, when it
turned out to have the wrong role, or when two answers of the DNS, the second past the cache, omit it and
another one passed its check.

With `balance` all usable hosts of the best rank share new sessions. One that DNS no longer names gets none
and keeps those it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from dbambassador.health.candidates import (
    Situation,
    better_to_come,
    candidates,
    in_doubt,
    is_second_best,
    must_end,
    on_trial,
    trial_ends_at,
    unchecked,
    usable_part,
    why_none,
)
from dbambassador.values import Address, Choice, Target, Targets

SETTLE_LIMIT = 3.0
"""Seconds that a decision waits at most for a fresh lookup and first checks before clients may be refused.

A nameserver that does not answer must not make `hold: 0s` mean half a minute."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The present choice, and what the next one must remember of it."""

    choice: Choice
    lost_at: float | None
    """Since when no address is usable but on trial; None while one is."""
    active: Target | None = None
    """Without balance: whose sessions are alive, be it the chosen host or one that takes no new ones."""
    omitted_at: float | None = None
    """When the question was put whose answer first omitted the active host."""


def choose(before: Standing, situation: Situation) -> Standing:
    """The standing after this situation."""
    if situation.database.balance is not None:
        return _choose_pool(before, situation)
    return _choose_one(before, situation)


def wants_answer(standing: Standing, targets: Targets) -> bool:
    """True while a fresh answer of the DNS could change the choice for the better."""
    unconfirmed = standing.omitted_at is not None and targets.asked_at <= standing.omitted_at
    return standing.choice.target is None or unconfirmed


def _choose_one(before: Standing, situation: Situation) -> Standing:
    standing = _note_omission(before, situation.targets)
    active, omitted = standing.active, standing.omitted_at is not None
    usable = candidates(situation)
    dismissed = _dismissed(standing, situation, usable)
    same = next((host for host in usable if active is not None and _same_host(host, active)), None)
    if active is not None and not dismissed:
        # Until an omission is certain, what the answer names instead waits as well.
        present = usable_part(active, situation) if omitted else same
        if present is not None:
            return _serve_one(standing, present, situation, _kept(standing.choice.tenures, situation))
        if in_doubt(active, situation):
            return _without(standing, situation)
    best = same or next(iter(usable), None)
    if best is None or better_to_come(best, situation, in_order=True):
        return _without(standing, situation)
    kept = _kept(standing.choice.tenures, situation) if same is not None else {}
    named = {address: since for address, since in kept.items() if address in situation.targets.addresses}
    return _serve_one(standing, best, situation, named)


def _note_omission(standing: Standing, targets: Targets) -> Standing:
    """An answer omits the host if it lacks one of the addresses that have sessions."""
    named = standing.choice.tenures.keys() <= set(targets.addresses)
    if standing.active is None or targets.stale or named:
        return replace(standing, omitted_at=None)
    if standing.omitted_at is None:
        return replace(standing, omitted_at=targets.asked_at)
    return standing


def _dismissed(standing: Standing, situation: Situation, usable: list[Target]) -> bool:
    """Two answers omit the active host, and another may serve, or the name leads nowhere: the name of its own
    endpoint, for what others are called says nothing of it."""
    if standing.omitted_at is None or situation.targets.asked_at <= standing.omitted_at:
        return False
    return bool(usable) or not (situation.targets.targets or _is_retired(standing.active, situation))


def _is_retired(host: Target | None, situation: Situation) -> bool:
    return host is not None and not situation.retired.isdisjoint(host.addresses)


def _same_host(one: Target, other: Target) -> bool:
    return not set(one.addresses).isdisjoint(other.addresses)


def _serve_one(
    standing: Standing, target: Target, situation: Situation, kept: dict[Address, int]
) -> Standing:
    choice = _serving(standing.choice, kept, (target,), situation)
    lost_at = standing.lost_at if choice.on_trial else None
    return Standing(choice, lost_at, target, standing.omitted_at if kept else None)


def _choose_pool(before: Standing, situation: Situation) -> Standing:
    usable = candidates(situation)
    if usable and better_to_come(usable[0], situation, in_order=False):
        return _without(before, situation)
    leaving = situation.retired.difference(situation.targets.addresses) if usable else frozenset[Address]()
    if not usable:
        # The answer names only what is of no use yet: who served until now goes on meanwhile.
        pool = [
            host for host in before.choice.pool if situation.targets.targets or _is_retired(host, situation)
        ]
        usable = [part for host in pool if (part := usable_part(host, situation)) is not None]
    if not usable:
        return _without(before, situation)
    kept = {a: at for a, at in _kept(before.choice.tenures, situation).items() if a not in leaving}
    choice = _serving(before.choice, kept, _best_rank(usable, situation), situation)
    return Standing(choice, before.lost_at if choice.on_trial else None)


def _best_rank(usable: list[Target], situation: Situation) -> tuple[Target, ...]:
    """Those of the first one's role class and priority; of them those in our zone, if it has a sound one."""

    def rank(target: Target) -> tuple[bool, int]:
        return is_second_best(target, situation), target.priority

    first = next((each for each in usable if not on_trial(each.address, situation)), usable[0])
    equals = [target for target in usable if rank(target) == rank(first)]
    zone = situation.database.zone
    near = [target for target in equals if zone and target.zone == zone]
    sound = [target for target in near if not on_trial(target.address, situation)]
    order = {target.address: place for place, target in enumerate(situation.targets.targets)}
    return tuple(sorted(near if sound else equals, key=lambda each: order.get(each.address, len(order))))


def _kept(tenures: Mapping[Address, int], situation: Situation) -> dict[Address, int]:
    return {address: since for address, since in tenures.items() if not must_end(address, situation)}


def _serving(
    before: Choice, kept: dict[Address, int], pool: tuple[Target, ...], situation: Situation
) -> Choice:
    serving = [address for target in pool for address in target.addresses]
    epoch, tenures = _tenures(before, kept, serving)
    trials = frozenset(address for address in serving if on_trial(address, situation))
    return Choice(epoch, pool, tenures, True, 0.0, _why(pool, situation), trials)


def _tenures(
    before: Choice, kept: Mapping[Address, int], beginning: Iterable[Address]
) -> tuple[int, Mapping[Address, int]]:
    """The epoch and tenures, once those kept go on and these begin."""
    tenures = {**dict.fromkeys(beginning, before.epoch + 1), **kept}
    if tenures == dict(before.tenures):
        return before.epoch, before.tenures
    return before.epoch + 1, MappingProxyType(tenures)


def _why(pool: tuple[Target, ...], situation: Situation) -> str:
    if situation.retired.difference(situation.targets.addresses).issuperset(each.address for each in pool):
        return f"the former endpoint serves, until the new one does: {why_none(situation)}"
    if situation.database.balance is None:
        return f"{pool[0].address} is {situation.records[pool[0].address].state.value}"
    known = len(situation.targets.targets)
    return f"{len(pool)} of {known} {'addresses' if known > 1 else 'address'}"


def _without(standing: Standing, situation: Situation) -> Standing:
    epoch, tenures = _tenures(standing.choice, _kept(standing.choice.tenures, situation), ())
    active = standing.active
    if active is not None and tenures.keys().isdisjoint(active.addresses):
        active = None
    lost_at = situation.now if standing.lost_at is None else standing.lost_at
    settled = situation.now >= lost_at + SETTLE_LIMIT or (
        situation.targets.asked_at >= lost_at and not unchecked(situation)
    )
    held_until = max(lost_at + situation.database.hold, trial_ends_at(situation))
    choice = Choice(epoch, (), tenures, settled, held_until, why_none(situation))
    return Standing(choice, lost_at, active, standing.omitted_at if active else None)
