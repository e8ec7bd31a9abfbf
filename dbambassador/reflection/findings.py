"""What a source of facts hands over, and the one gate that every value passes. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dbambassador.values import Confidence, Fact, State

MAX_VALUE = 1024
"""Characters. A label's value has 63 at most; the longest worth matching is a cloud's resource path."""

MAX_NAME = 400
"""Characters. The longest name is a prefix of ours and a label key, 253 + 1 + 63 characters."""

MAX_VALUES = 256
"""Of one fact; some clusters publish a bundle of more than a hundred authorities."""


@dataclass(frozen=True, slots=True)
class Findings:
    """Claims of one source; several may speak of the same name. A family is a fact named by its prefix."""

    facts: tuple[Fact, ...] = ()
    families: tuple[Fact, ...] = ()

    @classmethod
    def joined(cls, parts: Iterable[Findings]) -> Findings:
        parts = tuple(parts)
        return cls(
            tuple(fact for part in parts for fact in part.facts),
            tuple(family for part in parts for family in part.families),
        )


def fault(value: str) -> str:
    """Why a value cannot be a fact's, or ""; it is then never shown, as it could forge a log or a screen."""
    if len(value) > MAX_VALUE:
        return f"a value of {len(value)} characters, at most {MAX_VALUE} are accepted"
    if not value.isprintable():
        return "a value with control or other unprintable characters"
    return ""


def name_fault(name: str) -> str:
    """Why a text cannot be a fact's name, or ""."""
    if not name or len(name) > MAX_NAME:
        return f"a name of {len(name)} characters, 1 to {MAX_NAME} are accepted"
    if not name.isprintable() or " " in name or "=" in name:
        return "a name with spaces, `=` or unprintable characters"
    return ""


def found(name: str, value: str, confidence: Confidence, source: str) -> Fact:
    """A present fact; unknown where the value is not fit to be one. `value` is not empty."""
    if problem := fault(value):
        return unknown(name, f"{source}: {problem}", source=source, confidence=confidence)
    return Fact(name, State.PRESENT, value, confidence, source)


def found_several(name: str, values: Iterable[str], confidence: Confidence, source: str) -> Fact:
    """A present fact with all of these values, of which there is at least one."""
    each = sorted(set(values))
    if len(each) == 1:
        return found(name, each[0], confidence, source)
    problem = next(filter(None, map(fault, each)), "")
    if len(each) > MAX_VALUES:
        problem = f"{len(each)} values, at most {MAX_VALUES} are accepted"
    if problem:
        return unknown(name, f"{source}: {problem}", source=source, confidence=confidence)
    return Fact(name, State.PRESENT, ", ".join(each), confidence, source, several=tuple(each))


def absent(name: str, source: str, confidence: Confidence = Confidence.STRONG) -> Fact:
    """A source looked, and it is not there."""
    return Fact(name, State.ABSENT, "", confidence, source)


def unknown(
    name: str,
    reason: str,
    *,
    source: str = "",
    confidence: Confidence = Confidence.STRONG,
    retryable: bool = False,
) -> Fact:
    return Fact(name, State.UNKNOWN, "", confidence, source, reason, retryable)
