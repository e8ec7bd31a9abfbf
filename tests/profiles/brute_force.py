"""The law of selection by brute force, written from its statement and from nothing of the implementation.

Every unknown fact is completed in every way: each value that any environment mentions for it, one value that
none mentions, and absent. In each completion the outcome is read off directly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from dbambassador.settings.schema import Kind, Operator, Profile, Requirement
from dbambassador.values import Confidence, Facts, State

NOWHERE_MENTIONED = "no requirement says this"
World = dict[str, frozenset[str]]
"""The values of each fact: none where it is absent, and several where several are known."""


@dataclass(frozen=True)
class Answer:
    verdict: str
    chosen: str | None
    undecided: frozenset[str]


def satisfied(requirement: Requirement, values: frozenset[str]) -> bool:
    if requirement.operator is Operator.EXISTS:
        return len(values) > 0
    if requirement.operator is Operator.DOES_NOT_EXIST:
        return len(values) == 0
    common = values & frozenset(requirement.values)
    return len(common) > 0 if requirement.operator is Operator.IN else len(common) == 0


def all_satisfied(requirements: tuple[Requirement, ...], world: World) -> bool:
    return all(satisfied(requirement, world[requirement.key]) for requirement in requirements)


def completions(
    profiles: tuple[Profile, ...], facts: Facts
) -> tuple[list[str], Iterator[tuple[World, World]]]:
    """The names left open, and each world twice: as hints tell it, and with hints completed as unknown."""
    possible: dict[str, set[frozenset[str]]] = {}
    for profile in profiles:
        for requirement in [*(profile.match or ()), *profile.forbid]:
            each = possible.setdefault(requirement.key, {frozenset(), frozenset({NOWHERE_MENTIONED})})
            each.update(frozenset({value}) for value in requirement.values)
    told: World = {}
    open_names = []
    for name in sorted(possible):
        fact = facts.get(name)
        if fact.state is not State.UNKNOWN:
            told[name] = frozenset(fact.several or (fact.value,) if fact.state is State.PRESENT else ())
        if fact.state is State.UNKNOWN or fact.confidence is Confidence.HINT:
            open_names.append(name)

    def worlds() -> Iterator[tuple[World, World]]:
        for values in product(*(sorted(possible[name], key=sorted) for name in open_names)):
            completion = dict(zip(open_names, values, strict=True))
            yield {**completion, **told}, {**told, **completion}

    return open_names, worlds()


def in_force(profiles: tuple[Profile, ...], believed: World, proven: World) -> list[Profile]:
    """The environments whose match holds and whose forbid does not."""
    return [
        profile
        for profile in profiles
        if profile.match is not None
        and all_satisfied(profile.match, proven if profile.kind is Kind.PRODUCTION else believed)
        and not (
            profile.forbid
            and all_satisfied(profile.forbid, proven if profile.kind is Kind.PRODUCTION else believed)
        )
    ]


def verdict_in_one_world(standing: list[Profile]) -> tuple[str, str | None]:
    if not standing:
        return "no-match", None
    if len({profile.kind is Kind.PRODUCTION for profile in standing}) == 2:
        return "conflict", None
    highest = max(profile.priority for profile in standing)
    best = [profile for profile in standing if profile.priority == highest]
    return ("chosen", best[0].name) if len(best) == 1 else ("tie", None)


def answer(profiles: tuple[Profile, ...], facts: Facts) -> Answer:
    open_names, worlds = completions(profiles, facts)
    outcomes: dict[tuple[frozenset[str], ...], str | None] = {}
    verdicts = set()
    for believed, proven in worlds:
        verdict, chosen = verdict_in_one_world(in_force(profiles, believed, proven))
        verdicts.add(verdict)
        outcomes[tuple(proven[name] for name in open_names)] = chosen
    distinct = set(outcomes.values())
    if len(distinct) == 1:
        only = distinct.pop()
        if only is not None:
            return Answer("chosen", only, frozenset())
        worst = next(name for name in ("conflict", "tie", "no-match") if name in verdicts)
        return Answer(worst, None, frozenset())
    matter = set()
    for position, name in enumerate(open_names):
        seen: dict[tuple[frozenset[str], ...], str | None] = {}
        for values, outcome in outcomes.items():
            others = values[:position] + values[position + 1 :]
            if seen.setdefault(others, outcome) != outcome:
                matter.add(name)
    return Answer("undecided", None, frozenset(matter))


def answer_by_name(profiles: tuple[Profile, ...], facts: Facts, name: str, override: bool) -> str:
    profile = next((profile for profile in profiles if profile.name == name), None)
    if profile is None:
        return "no-such-environment"
    _, worlds = completions(profiles, facts)
    matches, forbidden = set(), set()
    for believed, proven in worlds:
        matches.add(all_satisfied(profile.match or (), proven))
        world = proven if profile.kind is Kind.PRODUCTION else believed
        forbidden.add(bool(profile.forbid) and all_satisfied(profile.forbid, world))
    if forbidden == {True}:
        return "forbidden"
    if matches == {False} and not override:
        return "mismatch"
    return "forbidden" if True in forbidden else "chosen"
