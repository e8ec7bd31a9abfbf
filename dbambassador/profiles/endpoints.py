"""Can two environments lead to the same endpoint? Compared by name: what DNS answers is not known offline."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv6Address, ip_address
from itertools import product

from dbambassador.profiles.candidates import Candidate
from dbambassador.profiles.completions import Budget
from dbambassador.profiles.conditions import Restriction
from dbambassador.profiles.interpolation import template
from dbambassador.settings.schema import Endpoint, HostEndpoint
from dbambassador.settings.template import facts_in, pieces

MOST_SPELLINGS = 1000
"""Combinations of values that a template is spelled out in; beyond, its facts count as open."""

Spelling = tuple[str | None, ...]
"""Literal text, and None where a fact of any value stands."""


def overlap(one: Candidate, other: Candidate, budget: Budget) -> Iterator[tuple[str, bool]]:
    """The endpoints that both can lead to, and whether that is certain or only cannot be ruled out.

    Raises `TooManyCombinations` where there are more pairs of names to compare than the budget has steps.
    """
    theirs = []
    for endpoint in _endpoints(other):
        for spelling in spellings(endpoint, other):
            budget.spend(1)
            theirs.append((endpoint, spelling))
    seen = set()
    for ours in _endpoints(one):
        for spelling in spellings(ours, one):
            budget.spend(1 + len(theirs))
            for endpoint, against in theirs:
                if _service(ours) != _service(endpoint) or not _may_equal(spelling, against):
                    continue
                # The same template on both sides leads to one place wherever its facts have equal values.
                certain = spelling == against
                plain = certain and None not in spelling
                shown = "".join(part or "" for part in spelling) if plain else template(ours)
                text = f"srv:{shown}" if not isinstance(ours, HostEndpoint) else f"{shown}:{ours.port}"
                if text not in seen:
                    seen.add(text)
                    yield text, certain


def _endpoints(candidate: Candidate) -> Iterator[Endpoint]:
    for database in candidate.profile.databases:
        yield from database.endpoints


def _service(endpoint: Endpoint) -> int | None:
    """What must agree besides the name: the port; a SRV name gives its own."""
    return endpoint.port if isinstance(endpoint, HostEndpoint) else None


def spellings(endpoint: Endpoint, candidate: Candidate) -> Iterator[Spelling]:
    """The names an endpoint can have where its match holds, lower-case as DNS compares them."""
    parts = pieces(template(endpoint).lower())
    written = pieces(template(endpoint))
    mentioned = sorted(facts_in(template(endpoint)))
    choices = [_values(name, candidate.match or {}) for name in mentioned]
    total = 1
    for choice in choices:
        total *= len(choice)
    if total > MOST_SPELLINGS:
        choices = [(None,) for _ in mentioned]
    for values in product(*choices):
        given = dict(zip(mentioned, values, strict=True))
        spelled: list[str | None] = []
        for (literal, _), (_, name) in zip(parts, written, strict=True):
            spelled.append(literal)
            if name:
                value = given[name]
                spelled.append(value.lower() if value is not None else None)
        joined = _joined(spelled)
        yield joined if None in joined else (canonical("".join(part or "" for part in joined)),)


def _values(name: str, match: Restriction) -> tuple[str | None, ...]:
    """The values that a match leaves to a fact; None stands for values that nothing names."""
    tokens = match.get(name)
    if tokens is None or not all(isinstance(token, str) for token in tokens):
        return (None,)
    return tuple(sorted(token for token in tokens if isinstance(token, str)))


def canonical(name: str) -> str:
    """One spelling for one place, as far as the name tells: DNS ignores case, an IPv4 address mapped into
    IPv6 (RFC 4291 section 2.5.5.2) is that IPv4 address, and only a link-local one needs its zone (RFC 4007).
    """
    try:
        address = ip_address(name)
    except ValueError:
        return name.lower().removesuffix(".")
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or (address if address.is_link_local else IPv6Address(int(address))))


def _joined(parts: list[str | None]) -> Spelling:
    """Neighbouring texts joined, so that equal names compare equal."""
    joined: list[str | None] = []
    for part in parts:
        if joined and part is not None and joined[-1] is not None:
            joined[-1] += part
        else:
            joined.append(part)
    return tuple(joined)


def _may_equal(one: Spelling, other: Spelling) -> bool:
    """Exact for literal names; with open facts, only the text before the first and after the last counts."""
    if None not in one and None not in other:
        return one == other
    return _agree(one[0], other[0], str.startswith) and _agree(one[-1], other[-1], str.endswith)


def _agree(one: str | None, other: str | None, fits: Callable[[str, str], bool]) -> bool:
    ours, theirs = one or "", other or ""
    return fits(ours, theirs) or fits(theirs, ours)
