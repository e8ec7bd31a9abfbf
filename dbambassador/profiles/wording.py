"""Facts in words, safe to print: values come from the surroundings and may hold anything."""

from __future__ import annotations

from collections.abc import Iterable

from dbambassador.printable import printable, shortened
from dbambassador.values import Confidence, Fact, State

LONGEST_VALUE = 48
"""Characters: a row of the table must fit a terminal."""

MOST_VALUES = 3

MOST_NAMES = 5
"""Of environments or facts in one sentence."""

LONGEST_CURE = 800
"""Characters: two commands with names of Kubernetes' greatest lengths."""


def shown(value: str, longest: int = LONGEST_VALUE) -> str:
    return shortened(printable(value), longest)


def values(fact: Fact) -> str:
    """The values of a present fact; of many, the first."""
    if not fact.several:
        return shown(fact.value)
    few = [shown(value, LONGEST_VALUE // 2) for value in fact.several[:MOST_VALUES]]
    more = len(fact.several) - len(few)
    return ", ".join(few) + (f" and {more} more" if more else "")


CURE = "; to allow it: "
"""In the reason of a fact that somebody refused to tell: what comes after it are the commands that permit it,
joined by `&&`."""


def cure(fact: Fact) -> str:
    """The commands that would make it known; empty where there are none."""
    return shown(fact.reason.partition(CURE)[2].partition("; ")[0], LONGEST_CURE) if fact.unknown else ""


def why_unknown(fact: Fact, longest: int) -> str:
    """The reason without the cure, which is too long for a row."""
    before, _, after = fact.reason.partition(CURE)
    _, semicolon, others = after.partition("; ")
    return shown(before + semicolon + others, longest)


def found(fact: Fact, *, proof_needed: bool = False) -> str:
    """What reflection found. `proof_needed`: for a production environment's match, where hints count not."""
    if fact.state is State.UNKNOWN:
        return f"unknown: {why_unknown(fact, 160)}" if fact.reason else "unknown"
    value = values(fact) if fact.present else "absent"
    if proof_needed and fact.confidence is Confidence.HINT:
        return f"{value} (only a hint, which does not count for production)"
    return value


def listed(names: list[str], conjunction: str = "and") -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {conjunction} {names[-1]}"


def few(names: Iterable[str], conjunction: str = "and") -> str:
    """As `listed`, but of many only the first."""
    names = list(names)
    if len(names) > MOST_NAMES:
        names = [*names[: MOST_NAMES - 1], f"{len(names) - MOST_NAMES + 1} more"]
    return listed(names, conjunction)
