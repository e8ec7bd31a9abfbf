"""One environment's conditions against the facts, and what it takes that it is, or is not, the one chosen.

A candidate *stands* in a completion of the unknown facts when its match holds there and its forbid does not.
It is *chosen* there when it stands and none of its rivals does: an equal or higher priority on its own side
of the line between production and the rest, or anyone on the other side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dbambassador.profiles.completions import Constraint
from dbambassador.profiles.conditions import Domains, Held, Known, Restriction, both, conjunction
from dbambassador.settings.schema import Profile
from dbambassador.values import Confidence, Fact, Facts


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """What a profile still asks of the unknown facts."""

    profile: Profile
    match: Restriction | None
    """None: cannot hold."""
    forbid: Restriction | None
    """None: cannot hold. Empty: holds, whatever the unknown facts are."""
    stands: Constraint
    """The ways in which it stands; none if it cannot."""
    falls: Constraint
    """The ways in which it does not stand; none if it stands whatever the unknown facts are."""

    def rivals(self, candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
        return tuple(
            other
            for other in candidates
            if other is not self
            and (
                other.profile.production is not self.profile.production
                or other.profile.priority >= self.profile.priority
            )
        )

    def chosen(self, candidates: Sequence[Candidate]) -> list[Constraint]:
        """All that must hold where it is chosen."""
        return [self.stands, *(rival.falls for rival in self.rivals(candidates))]

    def not_chosen(self, candidates: Sequence[Candidate]) -> Constraint:
        """The ways in which it is not chosen."""
        return (*self.falls, *(way for rival in self.rivals(candidates) for way in rival.stands))


def _outside(restriction: Restriction, domains: Domains) -> Constraint:
    """The ways in which a conjunction does not hold: one of its facts is something else."""
    return tuple({key: domains[key] - tokens} for key, tokens in restriction.items())


def held(fact: Fact) -> Held | None:
    """What a requirement is compared with; None where the fact is unknown."""
    return None if fact.unknown else fact.values


def believed(facts: Facts) -> Known:
    """Every known fact at its value, hints too: outside production."""
    return lambda key: held(facts.get(key))


def proven(facts: Facts) -> Known:
    """A hint counts as unknown: for production, where it may neither fulfil a match nor lift a forbid."""

    def known(key: str) -> Held | None:
        fact = facts.get(key)
        return None if fact.confidence is Confidence.HINT else held(fact)

    return known


def trusted(profile: Profile, facts: Facts) -> Known:
    """What counts as known for this profile."""
    return proven(facts) if profile.production else believed(facts)


def candidate(profile: Profile, facts: Facts, domains: Domains) -> Candidate:
    """A profile against facts. One without a match never stands: it is chosen only by name."""
    known = trusted(profile, facts)
    match = None if profile.match is None else conjunction(profile.match, known, domains)
    forbidding = forbid(profile, facts, domains)
    return Candidate(
        profile, match, forbidding, _stands(match, forbidding, domains), _falls(match, forbidding, domains)
    )


def _stands(match: Restriction | None, forbid: Restriction | None, domains: Domains) -> Constraint:
    if match is None:
        return ()
    if forbid is None:
        return (match,)
    ways = (both(match, outside) for outside in _outside(forbid, domains))
    return tuple(way for way in ways if way is not None)


def _falls(match: Restriction | None, forbid: Restriction | None, domains: Domains) -> Constraint:
    if match is None:
        return ({},)
    forbidden = () if forbid is None else (forbid,)
    return (*_outside(match, domains), *forbidden)


def forbid(profile: Profile, facts: Facts, domains: Domains) -> Restriction | None:
    """What is still asked for the forbid to hold; None if it cannot hold (an empty forbid never does)."""
    return conjunction(profile.forbid, trusted(profile, facts), domains) if profile.forbid else None
