"""Catalogues and facts for tests, in few words."""

from __future__ import annotations

from dbambassador.profiles.catalogue import Catalogue
from dbambassador.settings.schema import Kind, Operator, Profile, Requirement
from dbambassador.values import Confidence, Fact, Facts, State

OPERATORS = {operator.value: operator for operator in Operator}


def requirement(text: str) -> Requirement:
    """`a=x`, `a In x,y`, `a NotIn x`, `a Exists`, `a DoesNotExist`."""
    if "=" in text:
        key, _, value = text.partition("=")
        return Requirement(key, Operator.IN, (value,))
    key, operator, *values = text.split()
    return Requirement(key, OPERATORS[operator], tuple(values[0].split(",")) if values else ())


def profile(
    name: str, *match: str, kind: Kind = Kind.STAGING, priority: int = 0, forbid: tuple[str, ...] = ()
) -> Profile:
    """Without any `match`: chosen only by name."""
    return Profile(
        name=name,
        file=f"environments/{name}.yaml",
        kind=kind,
        priority=priority,
        match=tuple(map(requirement, match)) or None,
        forbid=tuple(map(requirement, forbid)),
    )


def production(name: str, *match: str, priority: int = 0, forbid: tuple[str, ...] = ()) -> Profile:
    return profile(name, *match, kind=Kind.PRODUCTION, priority=priority, forbid=forbid)


def catalogue(*profiles: Profile) -> Catalogue:
    return Catalogue("environments", tuple(sorted(profiles, key=lambda each: each.name)))


def facts(*known: Fact, **values: str) -> Facts:
    return Facts.of([*known, *(Fact(name, State.PRESENT, value) for name, value in values.items())])


def unknown(name: str, reason: str = "nobody answered") -> Fact:
    return Fact(name, State.UNKNOWN, reason=reason)


def hint(name: str, value: str = "") -> Fact:
    return Fact(name, State.PRESENT if value else State.ABSENT, value, Confidence.HINT, "a guess")
