"""No environment, or not yet: what a person can do about it, the cheapest way first. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import MappingProxyType

from dbambassador.profiles.candidates import trusted
from dbambassador.profiles.conditions import conjunction, domains
from dbambassador.profiles.interpolation import needed, usable
from dbambassador.profiles.reasons import Status
from dbambassador.profiles.selection import Selection, Verdict, select
from dbambassador.profiles.wording import cure, few, shown
from dbambassador.settings.schema import Catalogue, Operator, Profile, Requirement
from dbambassador.values import Confidence, Fact, Facts, State

MOST_TRIALS = 12
"""What-if selections for one advice. Of large catalogues fewer: there one selection takes half a second."""

MOST_PROFILES_TRIED = 1500
"""Environments looked at in all trials together."""

MOST_NAMED = 4
"""Facts, values or environments named in one line."""


def ways_out(catalogue: Catalogue, facts: Facts, selection: Selection) -> tuple[str, ...]:
    """Each a step of its own; after its first line come commands. Empty where nothing is to be done."""
    match selection.verdict:
        case Verdict.UNDECIDED:
            return tuple(_undecided(catalogue, facts, selection))
        case Verdict.NO_MATCH:
            return tuple(_no_match(catalogue, facts))
        case Verdict.TIE:
            tied = _by_name(catalogue, facts, _with(selection, Status.MATCHES, Status.MAY_MATCH))
            return ("give one of them a higher priority, or a condition that the others do not fulfil", *tied)
        case Verdict.CONFLICT:
            return tuple(_conflict(catalogue, facts, selection))
        case Verdict.FORBIDDEN:
            return tuple(_permissions(facts, selection.undecided)) + tuple(
                f"state what is true here: --fact {name}=VALUE" for name in selection.undecided[:MOST_NAMED]
            )
        case Verdict.MISMATCH:
            return ("if a fact is wrong, state it: --fact NAME=VALUE; --override-match insists on the name",)
        case Verdict.CHOSEN if selection.profile is not None:
            return tuple(_missing(facts, selection.profile))
        case _:
            return ()


def _missing(facts: Facts, profile: Profile) -> Iterator[str]:
    """The endpoints of the chosen one may need facts that cannot be had here."""
    names = [name for name in sorted(needed(profile)) if not usable(facts.get(name), profile)]
    yield from _permissions(facts, names)
    if names:
        yield "state what is true here: " + " ".join(f"--fact {name}=VALUE" for name in names[:MOST_NAMED])


def _undecided(catalogue: Catalogue, facts: Facts, selection: Selection) -> Iterator[str]:
    yield from _permissions(facts, selection.undecided)
    if any(facts.get(name).retryable for name in selection.undecided):
        yield "try again: something did not answer; `run` does so by itself"
    deciding = list(_deciding(catalogue, facts, selection.undecided))
    if deciding:
        told = " · ".join(f"--fact {name}={value} (then {chosen})" for name, value, chosen in deciding)
        yield f"state what is true here: {told}"
    elif selection.undecided:
        yield f"state what is true here, with --fact NAME=VALUE for each of {few(selection.undecided)}"
    yield from _by_name(
        catalogue, facts, _with(selection, Status.MATCHES, Status.MAY_MATCH, Status.MAY_BE_FORBIDDEN)
    )


def _permissions(facts: Facts, names: Iterable[str]) -> Iterator[str]:
    """What would let us ask, as it was told where we were refused."""
    cures = dict.fromkeys(cure(facts.get(name)) for name in names)
    for each in cures:
        if each:
            yield "\n".join(["permit the question:", *each.split(" && ")])


def _deciding(
    catalogue: Catalogue, facts: Facts, undecided: tuple[str, ...]
) -> Iterator[tuple[str, str, str]]:
    """Facts that alone would decide, each with the value it would need to have, and what it would choose."""
    spans = domains(catalogue.profiles)
    trials = min(MOST_TRIALS, MOST_PROFILES_TRIED // max(1, len(catalogue.profiles)))
    told = 0
    for name in undecided:
        fact = facts.get(name)
        # What a hint says is the likeliest value.
        values = dict.fromkeys(fact.values if fact.present else ())
        values |= dict.fromkeys(sorted(token for token in spans.get(name, ()) if isinstance(token, str)))
        for value in values:
            if trials <= 0 or told >= MOST_NAMED:
                return
            trials -= 1
            outcome = select(catalogue, stated(facts, name, value))
            if outcome.profile is not None:
                told += 1
                yield name, value, outcome.profile.name


def stated(facts: Facts, name: str, value: str) -> Facts:
    """`facts`, with this one as a person would state it."""
    fact = Fact(name, State.PRESENT, value, Confidence.EXPLICIT, "as supposed")
    return Facts(MappingProxyType({**facts.exact, name: fact}), facts.families)


def _by_name(catalogue: Catalogue, facts: Facts, names: list[str]) -> Iterator[str]:
    trials = MOST_PROFILES_TRIED // max(1, len(catalogue.profiles))
    open_to = [name for name in names[:trials] if select(catalogue, facts, requested=name).profile]
    if open_to:
        yield f"or choose by name: --environment {few(open_to, 'or')}"


def _no_match(catalogue: Catalogue, facts: Facts) -> Iterator[str]:
    failing = [
        (len(each), profile, each) for profile in catalogue.profiles if (each := _failing(profile, facts))
    ]
    failing.sort(key=lambda row: row[0])
    for count, profile, requirements in failing[:2]:
        if count > failing[0][0]:
            break
        wanted = few(str(requirement) for requirement in requirements)
        names = list(dict.fromkeys(requirement.key for requirement in requirements))[:MOST_NAMED]
        flags = " ".join(f"--fact {_wish(name, requirements)}" for name in names)
        yield f"nearest is {profile.name}, which needs {shown(wanted, 160)}; if that is true here: {flags}"
    yield "`dbambassador reflect` shows all facts"
    by_name = [profile.name for profile in catalogue.profiles if profile.match is None]
    if by_name:
        yield from _by_name(catalogue, facts, by_name)
    else:
        yield "or insist on one by name: --environment NAME --override-match"


def _failing(profile: Profile, facts: Facts) -> list[Requirement]:
    """The conditions of its match that fail here."""
    known, spans = trusted(profile, facts), domains([profile])
    return [each for each in profile.match or () if conjunction([each], known, spans) is None]


def _wish(name: str, requirements: list[Requirement]) -> str:
    values = [each.values[0] for each in requirements if each.key == name and each.operator is Operator.IN]
    return f"{name}={values[0] if values else 'VALUE'}"


def _conflict(catalogue: Catalogue, facts: Facts, selection: Selection) -> Iterator[str]:
    names = set(_with(selection, Status.MATCHES, Status.MAY_MATCH, Status.MAY_BE_FORBIDDEN))
    standing = [profile for profile in catalogue.profiles if profile.name in names]
    theirs = [profile for profile in standing if not profile.production]
    # What those others ask for as well would be forbidden to themselves.
    shared = {each.key for profile in theirs for each in profile.match or ()}
    for production in (profile for profile in standing if profile.production):
        own = (each for each in production.match or () if each.key not in shared)
        telling = next((each for each in own if each.operator is Operator.IN), None)
        if telling is not None and theirs:
            others = few([profile.name for profile in theirs])
            yield f"keep them apart: forbid in {others} what {production.name} is known by ({telling})"
            break
    yield from _by_name(catalogue, facts, sorted(names))


def _with(selection: Selection, *statuses: str) -> list[str]:
    return [reason.environment for reason in selection.reasons if reason.status in statuses]
