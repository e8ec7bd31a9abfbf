"""Which environment is this? Pure, and exact under one law:

An environment is chosen only if it would be chosen whatever the unknown facts turn out to be.

Among the environments that stand, the highest priority wins; a tie chooses none; and where a production
environment and another both stand, none is chosen, whatever their priorities. For production a hint counts as
unknown: it can neither fulfil a match nor lift a forbid. Other environments take a hint at its value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum

from dbambassador.profiles.candidates import Candidate, candidate, forbid, proven
from dbambassador.profiles.completions import Budget, Constraint, TooManyCombinations, find
from dbambassador.profiles.conditions import Domains, Restriction, conjunction, domains
from dbambassador.profiles.reasons import Reason, Status, reason
from dbambassador.profiles.wording import few, found, shown
from dbambassador.settings.schema import Catalogue, Profile
from dbambassador.values import Facts

STEPS = 200_000
"""Restrictions examined before a question counts as undecided: about 0.2 s of a CPU. Ordinary catalogues
need some hundreds."""


MOST_TOLD = 3
"""Open facts in the sentence that says why; the table has more of them."""


class Verdict(Enum):
    CHOSEN = "chosen"
    NO_MATCH = "no-match"
    TIE = "tie"
    UNDECIDED = "undecided"
    """It depends on facts that are unknown."""
    CONFLICT = "conflict"
    """A production environment and another both stand."""
    FORBIDDEN = "forbidden"
    """Asked for by name, and its forbid holds or may hold."""
    MISMATCH = "mismatch"
    """Asked for by name, and its match is false whatever the unknown facts and the hints are worth."""
    NO_SUCH = "no-such-environment"


@dataclass(frozen=True, slots=True)
class Selection:
    """The outcome, and a reason for each environment."""

    verdict: Verdict
    profile: Profile | None
    """The chosen one; None for every other verdict."""
    why: str
    reasons: tuple[Reason, ...]
    """One for each environment, in the catalogue's order."""
    undecided: tuple[str, ...] = ()
    """Facts whose knowledge could change the outcome: unknown ones, and hints where only proof counts."""


def select(
    catalogue: Catalogue, facts: Facts, *, requested: str | None = None, override_match: bool = False
) -> Selection:
    """The environment that the facts lead to, or `requested` if nothing speaks against it.

    Asking by name settles ties, conflicts and unknowns. Against a match that is certainly false it needs
    `override_match`; a forbid that holds or may hold always blocks it.
    """
    spans = domains(catalogue.profiles)
    if requested is not None:
        return _by_name(catalogue, facts, spans, requested, override_match)
    candidates = [candidate(profile, facts, spans) for profile in catalogue.profiles]
    standing = [each for each in candidates if each.stands]
    winner = _certain_winner(standing)
    if winner is not None:
        reasons = _reasons(catalogue, facts, spans, winner.profile)
        return Selection(Verdict.CHOSEN, winner.profile, _why_chosen(winner, standing), reasons)
    reasons = _reasons(catalogue, facts, spans, None)
    budget = Budget(STEPS)
    choosable = [each for each in standing if _may(each.chosen(standing), spans, budget)]
    if choosable:
        undecided = _deciding(choosable, standing, spans, budget)
        return Selection(
            Verdict.UNDECIDED, None, _why_undecided(standing, facts, undecided), reasons, undecided
        )
    return _never_chosen(standing, spans, budget, reasons)


def _certain_winner(standing: Sequence[Candidate]) -> Candidate | None:
    """The one that stands whatever the unknown facts are, while no rival can.

    This is the law, exactly: if a rival stood in some completion, this one would not be chosen in it.
    """
    for each in standing:
        if not each.falls and not each.rivals(standing):
            return each
    return None


def _may(constraints: Sequence[Constraint], spans: Domains, budget: Budget) -> bool:
    """Out of budget, it may: undecided rather than wrong."""
    try:
        return find(spans, constraints, budget) is not None
    except TooManyCombinations:
        return True


def _deciding(
    choosable: Sequence[Candidate], standing: Sequence[Candidate], spans: Domains, budget: Budget
) -> tuple[str, ...]:
    """The unknown facts on which the outcome depends.

    It depends on a fact if in some completion an environment is chosen, and in another one that differs in
    this fact alone it is not. The second is asked for in the same search, with the fact under a second name.
    """
    ways = [(each.chosen(standing), each.not_chosen(standing)) for each in choosable]
    names = {name for _, out in ways for way in out for name in way}
    return tuple(name for name in sorted(names) if _decides(name, ways, spans, budget))


def _decides(
    name: str, ways: Sequence[tuple[list[Constraint], Constraint]], spans: Domains, budget: Budget
) -> bool:
    second = name + "\0"
    doubled = {**spans, second: spans[name]}
    for chosen, out in ways:
        try:
            budget.spend(len(out))
        except TooManyCombinations:
            return True
        elsewhere = tuple(_renamed(way, name, second) for way in out if name in way)
        if elsewhere and _may([*chosen, elsewhere], doubled, budget):
            return True
    return False


def _renamed(restriction: Restriction, name: str, second: str) -> Restriction:
    return {(second if key == name else key): tokens for key, tokens in restriction.items()}


def _never_chosen(
    standing: Sequence[Candidate], spans: Domains, budget: Budget, reasons: tuple[Reason, ...]
) -> Selection:
    """No completion chooses one: nothing stands, or wherever something does, another stands against it."""
    if not standing:
        return Selection(Verdict.NO_MATCH, None, "no environment's match holds here", reasons)
    for one in standing:
        for other in standing:
            apart = one.profile.production and not other.profile.production
            if apart and _may([one.stands, other.stands], spans, budget):
                names = (
                    f"{one.profile.name} (production) and {other.profile.name} ({other.profile.kind.value})"
                )
                return Selection(Verdict.CONFLICT, None, f"{names} both match", reasons)
    highest = max(each.profile.priority for each in standing)
    equal = [each.profile.name for each in standing if each.profile.priority == highest]
    why = f"{few(equal)} match with the same priority {highest}"
    return Selection(Verdict.TIE, None, why, reasons)


def _by_name(
    catalogue: Catalogue, facts: Facts, spans: Domains, requested: str, override_match: bool
) -> Selection:
    profile = next((profile for profile in catalogue.profiles if profile.name == requested), None)
    if profile is None:
        known = few([profile.name for profile in catalogue.profiles])
        reasons = _reasons(catalogue, facts, spans, None)
        meant = get_close_matches(requested, [profile.name for profile in catalogue.profiles], n=1)
        guess = f" (did you mean {meant[0]}?)" if meant else ""
        why = f"there is no environment {shown(requested)} in {catalogue.directory}, only {known}{guess}"
        return Selection(Verdict.NO_SUCH, None, why, reasons)
    blocking = forbid(profile, facts, spans)
    # A person who names an environment overrules hints, whatever its kind; only proof speaks against them.
    match = conjunction(profile.match or (), proven(facts), spans)
    asked = f"{requested} was asked for by name"
    verdict, why, undecided = Verdict.CHOSEN, asked, tuple[str, ...]()
    if blocking == {}:
        conditions = " and ".join(str(requirement) for requirement in profile.forbid)
        verdict, why = Verdict.FORBIDDEN, f"{asked}, but its forbid holds here: {shown(conditions, 160)}"
    elif match is None and not override_match:
        verdict, why = Verdict.MISMATCH, f"{asked}, but its match is false here (--override-match insists)"
    elif blocking is not None:
        undecided = tuple(sorted(blocking))
        verdict, why = Verdict.FORBIDDEN, f"{asked}, but its forbid may hold: {_unknown(facts, undecided)}"
    elif match is None:
        why = f"{asked}, and its match, which is false here, was overridden"
    elif match:
        why = f"{asked}; the facts neither confirm its match nor speak against it"
    chosen = profile if verdict is Verdict.CHOSEN else None
    return Selection(verdict, chosen, why, _reasons(catalogue, facts, spans, chosen), undecided)


def _reasons(
    catalogue: Catalogue, facts: Facts, spans: Domains, chosen: Profile | None
) -> tuple[Reason, ...]:
    return tuple(reason(profile, facts, spans, chosen=profile is chosen) for profile in catalogue.profiles)


def _why_chosen(winner: Candidate, standing: Sequence[Candidate]) -> str:
    others = [each.profile.name for each in standing if each is not winner]
    if not others:
        return "its match holds, and no other environment's can"
    may = "matches" if len(others) == 1 else "match"
    return f"its priority {winner.profile.priority} is the highest; {few(others)} {may} or may match too"


def _why_undecided(standing: Sequence[Candidate], facts: Facts, undecided: tuple[str, ...]) -> str:
    names = few([each.profile.name for each in standing], "or")
    return f"it may be {names}, but {_unknown(facts, undecided)}"


def _unknown(facts: Facts, names: tuple[str, ...]) -> str:
    told = [f"{name} is {found(facts.get(name), proof_needed=True)}" for name in names[:MOST_TOLD]]
    more = [f"{len(names) - MOST_TOLD} more facts are open"] if len(names) > MOST_TOLD else []
    return "; ".join([*told, *more])


__all__ = ["Reason", "Selection", "Status", "Verdict", "select"]
