"""Random catalogues and facts, made by a seed: fast, always the same, and rich in near misses.

Environments are derived from each other as often as made anew, so that ties, covers and contradictions, which
independent ones hardly ever have, are ordinary here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from random import Random

from dbambassador.settings.schema import Kind, Operator, Profile, Requirement
from dbambassador.values import Confidence, Fact, Facts, State

NAMES = ("k8s.namespace.name", "k8s.node.label.zone", "k8s.node.label.pool", "cloud.region", "host.name")
VALUES = ("a", "b", "c")
UNHEARD = "unheard of"
"""A value that no requirement mentions."""

MOST_WORLDS = 1000
"""Completions of one case, so that tens of thousands of cases take seconds; about three unknown facts."""

KINDS = (*Kind, Kind.PRODUCTION, Kind.PRODUCTION)
OPPOSITE = {
    Operator.IN: Operator.NOT_IN,
    Operator.NOT_IN: Operator.IN,
    Operator.EXISTS: Operator.DOES_NOT_EXIST,
    Operator.DOES_NOT_EXIST: Operator.EXISTS,
}


@dataclass(frozen=True)
class Case:
    """One catalogue in one place, and how an environment is asked for by name in it."""

    profiles: tuple[Profile, ...]
    facts: Facts
    requested: str
    override: bool


def cases(seed: int, count: int) -> Iterator[Case]:
    """The same ones for the same seed, on every machine."""
    random = Random(seed)
    for _ in range(count):
        yield _case(random)


def _case(random: Random) -> Case:
    names = random.sample(NAMES, random.randint(1, len(NAMES)))
    profiles: list[Profile] = []
    for number in range(random.choice((1, 2, 3, 3, 4, 4, 5, 6))):
        profiles.append(_profile(random, f"environment-{number}", names, profiles))
    facts = _facts(random, tuple(profiles))
    requested = f"environment-{random.randint(0, len(profiles))}"
    return Case(tuple(profiles), facts, requested, random.random() < 0.4)


def _profile(random: Random, name: str, names: list[str], others: list[Profile]) -> Profile:
    kind, priority = random.choice(KINDS), random.randint(0, 2)
    if others and random.random() < 0.5:
        return _variation(random, random.choice(others), name, kind, names)
    match = (
        tuple(_requirements(random, names, 1, random.choice((2, 2, 4)))) if random.random() < 0.95 else None
    )
    forbid = tuple(_requirements(random, names, 1, 3)) if random.random() < 0.35 else ()
    return Profile(name=name, file=f"{name}.yaml", kind=kind, priority=priority, match=match, forbid=forbid)


def _variation(random: Random, base: Profile, name: str, kind: Kind, names: list[str]) -> Profile:
    """Another environment with one thing changed: such two tie, cover or exclude each other."""
    match, forbid, priority = list(base.match or ()), list(base.forbid), base.priority
    change = random.randrange(6)
    if change == 0 and match:
        place = random.randrange(len(match))
        match[place] = _negated(match[place])
    elif change == 1:
        match += _requirements(random, names, 1, 1)
    elif change == 2 and len(match) > 1:
        match.pop()
    elif change == 3 and match:
        forbid = [random.choice(match)]
    elif change == 4:
        priority += random.choice((-1, 1))
    kept_kind = kind if change == 5 or random.random() < 0.5 else base.kind
    return replace(
        base,
        name=name,
        file=f"{name}.yaml",
        kind=kept_kind,
        priority=priority,
        match=tuple(match) or None,
        forbid=tuple(forbid),
    )


def _requirements(random: Random, names: list[str], least: int, most: int) -> Iterator[Requirement]:
    """Repeated ones and ones that contradict each other included."""
    made: list[Requirement] = []
    for _ in range(random.randint(least, most)):
        chance = random.random()
        if made and chance < 0.1:
            made.append(random.choice(made))
        elif made and chance < 0.2:
            made.append(_negated(random.choice(made)))
        else:
            made.append(_requirement(random, random.choice(names)))
    yield from made


def _requirement(random: Random, name: str) -> Requirement:
    operator = random.choice((Operator.IN, Operator.IN, *Operator))
    if operator in (Operator.EXISTS, Operator.DOES_NOT_EXIST):
        return Requirement(name, operator)
    return Requirement(name, operator, tuple(random.sample(VALUES, random.randint(1, 2))))


def _negated(requirement: Requirement) -> Requirement:
    return Requirement(requirement.key, OPPOSITE[requirement.operator], requirement.values)


def _facts(random: Random, profiles: tuple[Profile, ...]) -> Facts:
    """Every state and confidence; facts of several values, names that nothing speaks of, and families."""
    doubt = random.choice((0.1, 0.4, 0.8))
    exact = {name: _fact(random, name, doubt) for name in NAMES if random.random() < 0.9}
    for requirement in random.choice(profiles).match or ():
        # Places where one environment matches, or nearly: chance alone seldom makes one.
        if requirement.operator is Operator.IN and requirement.key in exact and random.random() < 0.7:
            known = replace(
                exact[requirement.key], state=State.PRESENT, value=requirement.values[0], several=()
            )
            exact[requirement.key] = known if random.random() > doubt else exact[requirement.key]
    families = []
    if random.random() < 0.3:
        state = random.choice((State.UNKNOWN, State.ABSENT))
        families.append(Fact("k8s.node.label.", state, confidence=random.choice(tuple(Confidence))))
    while _worlds(profiles, Facts.of(exact.values(), families)) > MOST_WORLDS:
        settled = random.choice(NAMES)
        exact[settled] = replace(_fact(random, settled, 0.0), confidence=Confidence.STRONG)
    return Facts.of(exact.values(), families)


def _fact(random: Random, name: str, doubt: float) -> Fact:
    confidence = random.choice((Confidence.HINT, Confidence.STRONG, Confidence.STRONG, Confidence.EXPLICIT))
    if random.random() < doubt:
        return Fact(name, State.UNKNOWN, confidence=confidence, reason="nobody answered")
    if random.random() < 0.25:
        return Fact(name, State.ABSENT, confidence=confidence)
    if random.random() < 0.15:
        return several(name, random.sample((*VALUES, UNHEARD), random.randint(2, 3)), confidence)
    return Fact(name, State.PRESENT, random.choice((*VALUES, *VALUES, UNHEARD)), confidence)


def several(name: str, values: Sequence[str], confidence: Confidence) -> Fact:
    """A known fact with all of these values."""
    each = tuple(sorted(set(values)))
    return Fact(name, State.PRESENT, ", ".join(each), confidence, several=each if len(each) > 1 else ())


def _worlds(profiles: tuple[Profile, ...], facts: Facts) -> int:
    mentioned: dict[str, set[str]] = {}
    for profile in profiles:
        for requirement in (*(profile.match or ()), *profile.forbid):
            mentioned.setdefault(requirement.key, set()).update(requirement.values)
    open_names = [
        name for name in mentioned if facts.get(name).unknown or facts.get(name).confidence is Confidence.HINT
    ]
    return prod(len(mentioned[name]) + 2 for name in open_names)
