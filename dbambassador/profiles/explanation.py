"""A selection in words: one screen that a tired person understands, and the same for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dbambassador.errors import InvalidConfiguration
from dbambassador.profiles.interpolation import interpolate, needed
from dbambassador.profiles.reasons import Reason, Status
from dbambassador.profiles.selection import Selection, Verdict
from dbambassador.profiles.wording import shown
from dbambassador.settings.schema import Catalogue, Profile
from dbambassador.values import Confidence, Fact, Facts, State

MOST_FACTS = 16
MOST_ENVIRONMENTS = 24
"""Rows: with the verdict they fill a screen of about fifty lines; --json has all of them."""

LONGEST_REQUIREMENT = 72

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
    lines = [_headline(selection), f"  because {selection.why}."]
    if selection.verdict in HINTS:
        lines.append(f"  What to do: {HINTS[selection.verdict]}.")
    if selection.profile is not None:
        lines += ["", "Databases", *_databases(selection.profile, facts)]
    lines += ["", "Facts that mattered", *_facts(mattered(selection), facts)]
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
        "facts": [_fact_json(facts.get(name)) for name in mattered(selection)],
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


def mattered(selection: Selection) -> tuple[str, ...]:
    """The facts behind the outcome: undecided ones, the chosen environment's, and each reason's."""
    names = dict.fromkeys(selection.undecided)
    if selection.profile is not None:
        requirements = (*(selection.profile.match or ()), *selection.profile.forbid)
        names |= dict.fromkeys(requirement.key for requirement in requirements)
        names |= dict.fromkeys(sorted(needed(selection.profile)))
    names |= dict.fromkeys(reason.fact for reason in selection.reasons if reason.fact)
    return tuple(names)


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
        unusable = [f"  {problem}" for problem in error.problems]
    rows = []
    for database in profile.databases:
        listens = ", ".join(str(address) for address in database.listen)
        rows.append((database.name, listens, "→ " + ", ".join(str(each) for each in database.endpoints)))
    return [*_table(rows), *unusable]


def _facts(names: Sequence[str], facts: Facts) -> list[str]:
    rows = [_fact_row(facts.get(name)) for name in names[:MOST_FACTS]]
    return [*_table(rows), *_more(len(names) - MOST_FACTS, "facts")]


def _fact_row(fact: Fact) -> tuple[str, ...]:
    if fact.state is State.UNKNOWN:
        return (fact.name, "unknown", shown(fact.reason, 100))
    value = shown(fact.value) if fact.present else "absent"
    weight = "a hint: " if fact.confidence is Confidence.HINT else ""
    return (fact.name, value, weight + shown(fact.source, 100))


def _environments(selection: Selection) -> list[str]:
    reasons = sorted(selection.reasons, key=lambda reason: ORDER.index(reason.status))
    rows = [_environment_row(reason) for reason in reasons[:MOST_ENVIRONMENTS]]
    return [*_table(rows), *_more(len(reasons) - MOST_ENVIRONMENTS, "environments")]


def _environment_row(reason: Reason) -> tuple[str, ...]:
    wanted = shown(reason.requirement, LONGEST_REQUIREMENT)
    condition = ""
    match reason.status:
        case Status.RULED_OUT:
            condition = f"needs {wanted}; found {reason.found}"
        case Status.MAY_MATCH:
            condition = f"needs {wanted}; {reason.found}"
        case Status.FORBIDDEN | Status.MAY_BE_FORBIDDEN:
            condition = f"forbidden by {wanted}; found {reason.found}"
    return (reason.environment, reason.kind, f"priority {reason.priority}", PLAIN[reason.status], condition)


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Aligned columns; the last one runs free."""
    if not rows:
        return ["  none"]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[-1] = 0
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


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
