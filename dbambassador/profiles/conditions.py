"""What a requirement means, and a conjunction of requirements as the tokens it allows each fact.

A fact of unknown value ranges over its domain: every value that some requirement mentions for it, any other
value, and absent. No requirement can tell two other values apart, so this is exact. A known fact may have
several values (the authorities of a cluster while they are rotated); an unknown one is thought of as having
one at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum

from dbambassador.settings.schema import Operator, Profile, Requirement


class Unmentioned(Enum):
    """What a fact may turn out to be besides a value that is mentioned."""

    OTHER = "another value"
    ABSENT = "absent"


Token = str | Unmentioned
Held = tuple[Token, ...]
"""The values of a known fact; none for an absent one."""

Known = Callable[[str], Held | None]
"""Gives the values of a fact, or None where it is unknown."""

Domain = frozenset[Token]
Domains = Mapping[str, Domain]
Restriction = Mapping[str, Domain]
"""A conjunction: each fact named has one of its tokens. An empty restriction always holds."""


def holds(requirement: Requirement, held: Held) -> bool:
    """As a Kubernetes label selector: `NotIn` holds for an absent fact too.

    Of a fact with several values, `In` holds if any of them is named, and `NotIn` if none is.
    """
    if not held:
        return fulfils(requirement, Unmentioned.ABSENT)
    together = all if requirement.operator is Operator.NOT_IN else any
    return together(fulfils(requirement, value) for value in held)


def fulfils(requirement: Requirement, token: Token) -> bool:
    """Whether a fact that is this, and nothing else, fulfils the requirement."""
    match requirement.operator:
        case Operator.IN:
            return token in requirement.values
        case Operator.NOT_IN:
            return token not in requirement.values
        case Operator.EXISTS:
            return token is not Unmentioned.ABSENT
        case Operator.DOES_NOT_EXIST:
            return token is Unmentioned.ABSENT


def domains(profiles: Iterable[Profile]) -> dict[str, Domain]:
    """The domain of every fact that a `match` or a `forbid` mentions."""
    mentioned: dict[str, set[Token]] = {}
    for profile in profiles:
        for requirement in (*(profile.match or ()), *profile.forbid):
            tokens = mentioned.setdefault(requirement.key, {Unmentioned.OTHER, Unmentioned.ABSENT})
            tokens.update(requirement.values)
    return {key: frozenset(tokens) for key, tokens in mentioned.items()}


def conjunction(requirements: Iterable[Requirement], known: Known, domains: Domains) -> Restriction | None:
    """What the requirements, all together, still ask of the unknown facts; None if they cannot hold."""
    allowed: dict[str, Domain] = {}
    for requirement in requirements:
        held = known(requirement.key)
        if held is not None:
            if not holds(requirement, held):
                return None
            continue
        before = allowed.get(requirement.key, domains[requirement.key])
        after = frozenset(token for token in before if fulfils(requirement, token))
        if not after:
            return None
        allowed[requirement.key] = after
    return {key: tokens for key, tokens in allowed.items() if tokens != domains[key]}


def both(one: Restriction, other: Restriction) -> Restriction | None:
    """The conjunction of two restrictions; None if they contradict each other."""
    joined = dict(one)
    for key, tokens in other.items():
        joined[key] = joined[key] & tokens if key in joined else tokens
        if not joined[key]:
            return None
    return joined
