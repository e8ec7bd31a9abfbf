"""The syntax of `${fact}` in endpoints, and the names that facts may have."""

from __future__ import annotations

import re

from dbambassador.settings.reading import Refused

FACT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,510}[A-Za-z0-9_]")
"""OpenTelemetry attribute names, and the labels of Kubernetes (`prefix/name`) appended to them."""


def pieces(text: str) -> tuple[tuple[str, str], ...]:
    """The text as pairs of literal text and the fact that follows it; the last pair has no fact.

    Raises `Refused` for a `$` that does not begin a `${fact}`: a typing error there must not become part
    of a host name.
    """
    found: list[tuple[str, str]] = []
    rest = text
    while "$" in rest:
        literal, _, after = rest.partition("$")
        name, closed, remainder = after.removeprefix("{").partition("}")
        if not after.startswith("{") or not closed or FACT_NAME.fullmatch(name) is None:
            raise Refused("${fact} with the name of a fact", hint="as in ${cloud.region}")
        found.append((literal, name))
        rest = remainder
    return (*found, (rest, ""))


def facts_in(text: str) -> frozenset[str]:
    """The names of the facts that a text mentions. Raises `Refused` for bad syntax."""
    return frozenset(fact for _, fact in pieces(text) if fact)
