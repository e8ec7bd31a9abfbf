"""A selection in words: one screen that a tired person understands, and the same for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dbambassador.errors import InvalidConfiguration
from dbambassador.profiles.interpolation import interpolate, needed
from dbambassador.profiles.reasons import Reason, Status
from dbambassador.profiles.selection import Selection, Verdict
from dbambassador.profiles.table import GAP, UNBREAKABLE, WIDTH, short_path, table, whole_commands, wrap
from dbambassador.profiles.wording import LONGEST_VALUE, shown
from dbambassador.settings.schema import Catalogue, Profile
from dbambassador.values import Confidence, Fact, Facts, State

MOST_FACTS = 16
MOST_ENVIRONMENTS = 16
"""Rows, those of environments with two lines each: with the verdict they fill a screen of about sixty lines;
--json has all of them."""

LONGEST_REQUIREMENT = 72
LONGEST_REASON = 1000
"""Characters: a 403's holds the commands that would permit the question, and half a command is none."""
SHORTEST_VALUE, LONGEST_SOURCE = 16, 28
"""Columns beside which a value is cut: no value is cut further, and a longer source goes on below."""

PLAIN = {
    Status.CHOSEN: "chosen",
    Status.MATCHES: "matches",
    Status.MAY_MATCH: "may match",
    Status.RULED_OUT: "ruled out",
    Status.FORBIDDEN: "forbidden",
    Status.MAY_BE_FORBIDDEN: "may be forbidden",
    Status.ONLY_BY_NAME: "only by name",
}
ORDER = list(PLAIN)
HINTS = {
    Verdict.NO_MATCH: "`dbambassador reflect` shows all facts; --environment NAME chooses one by name",
    Verdict.TIE: "give one of them a higher priority, or choose with --environment NAME",
    Verdict.UNDECIDED: "make the unknown facts known, or choose with --environment NAME",
    Verdict.CONFLICT: "change their conditions so that never both match, or choose with --environment NAME",
}
CONFIDENCE = {Confidence.HINT: "hint", Confidence.STRONG: "strong", Confidence.EXPLICIT: "explicit"}


def explain(catalogue: Catalogue, facts: Facts, selection: Selection) -> str:
    """The verdict, the facts that mattered, the chosen environment, and why not the others."""
    lines = [_headline(selection), *_sentence(f"because {selection.why}.")]
    if selection.verdict in HINTS:
        lines += _sentence(f"What to do: {HINTS[selection.verdict]}.")
    if selection.profile is not None:
        lines += ["", "Databases", *_databases(selection.profile, facts)]
    lines += ["", "Facts that mattered", *_facts(mattered(catalogue, selection), facts)]
    lines += ["", f"Environments in {catalogue.directory}", *_environments(selection)]
    return "\n".join(lines)


def explain_json(catalogue: Catalogue, facts: Facts, selection: Selection) -> dict[str, Any]:
    """All of it, in the form of `schema explain`."""
    return {
        "verdict": selection.verdict.value,
        "environment": selection.profile.name if selection.profile else None,
        "kind": selection.profile.kind.value if selection.profile else None,
        "why": selection.why,
        "undecided": list(selection.undecided),
        "directory": catalogue.directory,
        "facts": [_fact_json(facts.get(name)) for name in mattered(catalogue, selection)],
        "environments": [
            {
                "name": reason.environment,
                "kind": reason.kind,
                "priority": reason.priority,
                "status": reason.status,
                "requirement": reason.requirement or None,
                "found": reason.found or None,
            }
            for reason in selection.reasons
        ],
    }


def mattered(catalogue: Catalogue, selection: Selection) -> tuple[str, ...]:
    """The facts behind the outcome: undecided ones, those of the environments that match, each reason's."""
    names = dict.fromkeys(selection.undecided)
    matching = {reason.environment for reason in selection.reasons if reason.status == Status.MATCHES}
    if selection.profile is not None:
        names |= dict.fromkeys((*_conditions(selection.profile), *sorted(needed(selection.profile))))
    for profile in catalogue.profiles:
        if profile.name in matching:
            names |= dict.fromkeys(_conditions(profile))
    names |= dict.fromkeys(reason.fact for reason in selection.reasons if reason.fact)
    return tuple(names)


def _conditions(profile: Profile) -> list[str]:
    """The facts that its conditions are about."""
    return [requirement.key for requirement in (*(profile.match or ()), *profile.forbid)]


def _headline(selection: Selection) -> str:
    if selection.profile is not None:
        return f"Chosen: {selection.profile.name} ({selection.profile.kind.value})"
    return {
        Verdict.NO_MATCH: "No environment: none matches",
        Verdict.TIE: "No environment: several match equally well",
        Verdict.UNDECIDED: "No environment: it depends on facts that are unknown",
        Verdict.CONFLICT: "No environment: production and another both match",
        Verdict.FORBIDDEN: "No environment: forbidden here",
        Verdict.MISMATCH: "No environment: the one asked for does not match",
    }.get(selection.verdict, "No environment: there is none of that name")


def _databases(profile: Profile, facts: Facts) -> list[str]:
    unusable: list[str] = []
    try:
        profile = interpolate(profile, facts)
    except InvalidConfiguration as error:
        unusable = [line for problem in error.problems for line in _sentence(str(problem))]
    rows = []
    for database in profile.databases:
        listens = ", ".join(str(address) for address in database.listen)
        rows.append((database.name, listens, "→ " + ", ".join(str(each) for each in database.endpoints)))
    return [*_table(rows), *unusable]


def _facts(names: Sequence[str], facts: Facts) -> list[str]:
    rows = [_fact_row(facts.get(name)) for name in names[:MOST_FACTS]]
    name, source = (max((len(row[column]) for row in rows), default=0) for column in (0, 2))
    room = max(WIDTH - 3 * len(GAP) - name - min(source, LONGEST_SOURCE), SHORTEST_VALUE)
    rows = [(name, shown(value, min(room, LONGEST_VALUE)), source) for name, value, source in rows]
    return [*_table(rows), *_more(len(names) - MOST_FACTS, "facts")]


def _fact_row(fact: Fact) -> tuple[str, str, str]:
    if fact.state is State.UNKNOWN:
        return (fact.name, "unknown", whole_commands(shown(fact.reason, LONGEST_REASON)))
    weight = "a hint: " if fact.confidence is Confidence.HINT else ""
    source = weight + short_path(shown(fact.source, LONGEST_REASON))
    return (fact.name, fact.value if fact.present else "absent", source)


def _environments(selection: Selection) -> list[str]:
    reasons = sorted(selection.reasons, key=lambda reason: ORDER.index(reason.status))
    ranked = len({reason.priority for reason in reasons}) > 1
    rows = [_environment_row(reason, ranked=ranked) for reason in reasons[:MOST_ENVIRONMENTS]]
    lines = table(rows, narrowest=WIDTH)  # a condition is one thought: better a line of its own than broken
    return [*lines, *_more(len(reasons) - MOST_ENVIRONMENTS, "environments")]


def _environment_row(reason: Reason, *, ranked: bool) -> tuple[str, ...]:
    """`ranked`: the priorities differ, so that they say something."""
    # A requirement stays on one line: it is one thought.
    wanted = shown(reason.requirement, LONGEST_REQUIREMENT).replace(" ", UNBREAKABLE)
    # Why a fact is unknown is said among the facts.
    known = "unknown" if reason.found.startswith("unknown: ") else reason.found
    condition = ""
    match reason.status:
        case Status.RULED_OUT:
            condition = f"needs {wanted}; found {known}"
        case Status.MAY_MATCH:
            condition = f"needs {wanted}; {known}"
        case Status.FORBIDDEN | Status.MAY_BE_FORBIDDEN:
            condition = f"forbidden by {wanted}; found {known}"
    priority = [f"priority {reason.priority}"] if ranked else []
    return (reason.environment, reason.kind, *priority, PLAIN[reason.status], condition)


def _sentence(text: str) -> list[str]:
    first, *rest = wrap(text, WIDTH - len(GAP))
    return [GAP + first, *(f"{GAP}{GAP}{line}" for line in rest)]


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    return table(rows) or ["  none"]


def _more(count: int, what: str) -> list[str]:
    return [f"  … and {count} more {what} (--json shows all)"] if count > 0 else []


def _fact_json(fact: Fact) -> dict[str, Any]:
    return {
        "name": fact.name,
        "state": fact.state.value,
        "value": fact.value if fact.present else None,
        "confidence": CONFIDENCE[fact.confidence],
        "source": fact.source,
        "reason": fact.reason,
    }
