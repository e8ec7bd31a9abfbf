"""A selection in words: one screen that a tired person understands, and the same for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from dbambassador.errors import InvalidConfiguration
from dbambassador.profiles.apart import led
from dbambassador.profiles.interpolation import interpolate, needed
from dbambassador.profiles.reasons import Reason, Status
from dbambassador.profiles.selection import Selection, Verdict
from dbambassador.profiles.table import GAP, UNBREAKABLE, WIDTH, short_path, table, whole_commands, wrap
from dbambassador.profiles.ways_out import ways_out
from dbambassador.profiles.wording import LONGEST_VALUE, shown, values
from dbambassador.settings.schema import Catalogue, Profile
from dbambassador.values import Confidence, Fact, Facts, State

MOST_FACTS = 10
MOST_ENVIRONMENTS = 16
"""Rows, those of environments of up to two lines: with the verdict and what to do they fill a screen of about
fifty lines; --all shows every one."""

MOST_KEPT = 50
"""Facts, and environments that were not chosen, in a running ambassador's status."""

MOST_GROUPS = 6
MOST_MEMBERS = 4
"""Of the environments that have no row of their own: groups with one reason, and names told of each."""

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
CONFIDENCE = {Confidence.HINT: "hint", Confidence.STRONG: "strong", Confidence.EXPLICIT: "explicit"}


def explain(catalogue: Catalogue, facts: Facts, selection: Selection, *, everything: bool = False) -> str:
    """The verdict, what to do, the facts that mattered, the chosen environment, and why not the others.

    `everything`: every fact and every environment in a row of its own, however many lines that takes.
    """
    unusable = [] if selection.profile is None else missing(selection.profile, facts, catalogue)
    lines = [_headline(selection, unusable), *_sentence(f"because {selection.why}.")]
    for number, step in enumerate(ways_out(catalogue, facts, selection)):
        first, *commands = step.split("\n")
        lead = "What to do: " if number == 0 else ""
        lines += _sentence(f"{lead}{first}")
        lines += [f"      {command}" for command in commands]
    if selection.profile is not None:
        lines += ["", "Databases", *_databases(selection.profile, facts, unusable)]
    lines += ["", "Facts that mattered", *_facts(mattered(catalogue, selection), facts, everything)]
    lines += ["", f"Environments in {catalogue.directory}", *_environments(selection, everything)]
    return "\n".join(lines)


def missing(profile: Profile, facts: Facts, catalogue: Catalogue) -> list[str]:
    """What its endpoints need and cannot have here, each problem in words; empty if they are clear."""
    try:
        led(profile, facts, catalogue)
    except InvalidConfiguration as error:
        return [str(problem) for problem in error.problems]
    return []


def explain_json(catalogue: Catalogue, facts: Facts, selection: Selection) -> dict[str, Any]:
    """All of it, in the form of `schema explain`."""
    return {
        "verdict": selection.verdict.value,
        "environment": selection.profile.name if selection.profile else None,
        "kind": selection.profile.kind.value if selection.profile else None,
        "why": selection.why,
        "missing": [] if selection.profile is None else missing(selection.profile, facts, catalogue),
        "what_to_do": list(ways_out(catalogue, facts, selection)),
        "undecided": list(selection.undecided),
        "directory": catalogue.directory,
        "facts": [_fact_json(facts.get(name)) for name in mattered(catalogue, selection)],
        "environments": [_environment_json(reason) for reason in selection.reasons],
    }


def chosen_json(profile: Profile, facts: Facts, selection: Selection) -> dict[str, Any]:
    """What made it this one: the facts that it depends on, and the environments that are nearest to it.

    For a status that is asked for every second: bounded, however many environments and facts there are.
    """
    others = [reason for reason in selection.reasons if reason.environment != profile.name]
    others.sort(key=lambda reason: ORDER.index(reason.status))
    return {
        "facts": [_fact_json(facts.get(name)) for name in deciding(profile)[:MOST_KEPT]],
        "others": [_environment_json(reason) for reason in others[:MOST_KEPT]],
        "others_in_all": len(others),
    }


def mattered(catalogue: Catalogue, selection: Selection) -> tuple[str, ...]:
    """The facts behind the outcome: undecided ones, those of the environments that match, and those of the
    other reasons, the one that speaks of most environments first."""
    names = dict.fromkeys(selection.undecided)
    matching = {reason.environment for reason in selection.reasons if reason.status == Status.MATCHES}
    if selection.profile is not None:
        names |= dict.fromkeys(deciding(selection.profile))
    for profile in catalogue.profiles:
        if profile.name in matching:
            names |= dict.fromkeys(_conditions(profile))
    spoken_of = Counter(reason.fact for reason in selection.reasons if reason.fact)
    names |= dict.fromkeys(name for name, _ in spoken_of.most_common())
    return tuple(names)


def deciding(profile: Profile) -> tuple[str, ...]:
    """The facts that its conditions and its endpoints are about."""
    return tuple(dict.fromkeys((*_conditions(profile), *sorted(needed(profile)))))


def _conditions(profile: Profile) -> list[str]:
    """The facts that its conditions are about."""
    return [requirement.key for requirement in (*(profile.match or ()), *profile.forbid)]


def _headline(selection: Selection, unusable: Sequence[str]) -> str:
    if selection.profile is not None:
        but = ", but where its databases are cannot be told here" if unusable else ""
        return f"Chosen: {selection.profile.name} ({selection.profile.kind.value}){but}"
    return {
        Verdict.NO_MATCH: "No environment: none matches",
        Verdict.TIE: "No environment: several match equally well",
        Verdict.UNDECIDED: "No environment: it depends on facts that are unknown",
        Verdict.CONFLICT: "No environment: production and another both match",
        Verdict.FORBIDDEN: "No environment: forbidden here",
        Verdict.MISMATCH: "No environment: the one asked for does not match",
    }.get(selection.verdict, "No environment: there is none of that name")


def _databases(profile: Profile, facts: Facts, unusable: Sequence[str]) -> list[str]:
    if not unusable:
        profile = interpolate(profile, facts)
    rows = []
    for database in profile.databases:
        listens = ", ".join(str(address) for address in database.listen)
        rows.append((database.name, listens, "→ " + ", ".join(str(each) for each in database.endpoints)))
    return [*_table(rows), *(f"  {problem}" for problem in unusable)]


def _facts(names: Sequence[str], facts: Facts, everything: bool) -> list[str]:
    most = len(names) if everything else MOST_FACTS
    rows = [_fact_row(facts.get(name)) for name in names[:most]]
    name, source = (max((len(row[column]) for row in rows), default=0) for column in (0, 2))
    room = max(WIDTH - 3 * len(GAP) - name - min(source, LONGEST_SOURCE), SHORTEST_VALUE)
    rows = [(name, shown(value, min(room, LONGEST_VALUE)), source) for name, value, source in rows]
    more = len(names) - most
    return [*_table(rows), *([f"  … and {more} more (--all shows every one)"] if more > 0 else [])]


def _fact_row(fact: Fact) -> tuple[str, str, str]:
    if fact.state is State.UNKNOWN:
        return (fact.name, "unknown", whole_commands(shown(fact.reason, LONGEST_REASON)))
    weight = "a hint: " if fact.confidence is Confidence.HINT else ""
    source = weight + short_path(shown(fact.source, LONGEST_REASON))
    return (fact.name, values(fact) if fact.present else "absent", source)


def _environments(selection: Selection, everything: bool) -> list[str]:
    reasons = sorted(selection.reasons, key=lambda reason: ORDER.index(reason.status))
    if everything or len(reasons) <= MOST_ENVIRONMENTS:
        return _rows(reasons)
    # Those that are ruled out, and what can be had only by name, tell the least.
    near = [reason for reason in reasons if reason.status not in (Status.RULED_OUT, Status.ONLY_BY_NAME)]
    near = near[: MOST_ENVIRONMENTS - MOST_GROUPS]
    others = [reason for reason in reasons if reason not in near]
    rows = _rows(near) if near else []
    return [*rows, f"  {len(others)} others (--all shows every one):", *_grouped(others)]


def _rows(reasons: Sequence[Reason]) -> list[str]:
    ranked = len({reason.priority for reason in reasons}) > 1
    rows = [_environment_row(reason, ranked=ranked) for reason in reasons]
    return table(rows, narrowest=WIDTH)  # a condition is one thought: better a line of its own than broken


def _grouped(reasons: Iterable[Reason]) -> list[str]:
    """Environments with one reason in one line, the largest groups first."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for reason in reasons:
        groups.setdefault((reason.status, reason.fact, reason.found), []).append(reason.environment)
    largest = sorted(groups.items(), key=lambda group: -len(group[1]))
    lines = []
    for (status, fact, found), names in largest[:MOST_GROUPS]:
        by = f" by {fact}, found {found}" if fact else ""
        more = len(names) - MOST_MEMBERS
        members = ", ".join(names[:MOST_MEMBERS]) + (f" and {more} more" if more > 0 else "")
        lines.append(f"    {len(names)} {PLAIN[status]}{by}: {members}")
    rest = largest[MOST_GROUPS:]
    if rest:
        lines.append(f"    {sum(len(names) for _, names in rest)} for {len(rest)} more reasons")
    return lines


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


def _environment_json(reason: Reason) -> dict[str, Any]:
    return {
        "name": reason.environment,
        "kind": reason.kind,
        "priority": reason.priority,
        "status": reason.status,
        "requirement": reason.requirement or None,
        "found": reason.found or None,
    }


def _fact_json(fact: Fact) -> dict[str, Any]:
    return {
        "name": fact.name,
        "state": fact.state.value,
        "value": fact.value if fact.present else None,
        "values": list(fact.values),
        "confidence": CONFIDENCE[fact.confidence],
        "source": fact.source,
        "reason": fact.reason,
    }
