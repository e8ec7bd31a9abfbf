"""Facts in words, safe to print: values come from the surroundings and may hold anything."""

from __future__ import annotations

from dbambassador.values import Confidence, Fact, State

LONGEST_VALUE = 48
"""Characters: a row of the table must fit a terminal."""


def shown(value: str, longest: int = LONGEST_VALUE) -> str:
    printable = "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in value)
    return printable if len(printable) <= longest else printable[: longest - 1] + "…"


def found(fact: Fact, *, proof_needed: bool = False) -> str:
    """What reflection found. `proof_needed`: for a production environment's match, where hints count not."""
    if fact.state is State.UNKNOWN:
        return f"unknown: {shown(fact.reason, 160)}" if fact.reason else "unknown"
    value = shown(fact.value) if fact.present else "absent"
    if proof_needed and fact.confidence is Confidence.HINT:
        return f"{value} (only a hint, which does not count for production)"
    return value


def listed(names: list[str], conjunction: str = "and") -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {conjunction} {names[-1]}"
