"""What facts that changed since the choice would change about it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

from dbambassador.profiles.conditions import domains
from dbambassador.profiles.interpolation import needed
from dbambassador.profiles.selection import Selection
from dbambassador.settings.schema import Profile
from dbambassador.values import Fact, Facts


@dataclass(frozen=True, slots=True)
class Drift:
    """Chosen today, the environment would be another, or lead elsewhere."""

    facts: tuple[str, ...]
    """Names of those that changed and that an environment mentions."""
    would_choose: str | None
    """None: no environment would be chosen."""
    why: str


def between(
    before: Facts,
    now: Facts,
    chosen: Profile,
    profiles: tuple[Profile, ...],
    choose: Callable[[Facts], Selection],
) -> Drift | None:
    """None: what changed, if anything, changes nothing about the choice.

    Args:
        chosen: as it was written, before its endpoints were interpolated.
        choose: the selection that was made at the start, for any facts.
    """
    now = _with_what_was_known(before, now)
    where = needed(chosen)
    changed = tuple(name for name in sorted(where | set(domains(profiles))) if _differs(before, now, name))
    if not changed:
        return None
    selection = choose(now)
    if selection.profile is None or selection.profile.name != chosen.name:
        would_choose = None if selection.profile is None else selection.profile.name
        return Drift(changed, would_choose, selection.why)
    if any(before.get(name).values != now.get(name).values for name in where):
        return Drift(changed, chosen.name, "its endpoints would be others")
    return None


def _differs(before: Facts, now: Facts, name: str) -> bool:
    return _essence(before.get(name)) != _essence(now.get(name))


def _essence(fact: Fact) -> tuple[object, ...]:
    return fact.state, fact.value, fact.confidence


def _with_what_was_known(before: Facts, now: Facts) -> Facts:
    """`now`, where what can no longer be told is as it was: to lose sight of a fact is no change of it."""
    lost = {fact.name: fact for fact in before if not fact.unknown and now.get(fact.name).unknown}
    families = {
        prefix: family
        for prefix, family in before.families.items()
        if not family.unknown and (prefix not in now.families or now.families[prefix].unknown)
    }
    return Facts(MappingProxyType({**now.exact, **lost}), MappingProxyType({**now.families, **families}))
