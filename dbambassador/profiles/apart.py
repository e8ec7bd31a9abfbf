"""Production and the rest lead to different places, also where a fact is part of a name.

`check` proves it as far as the files tell. What a fact makes of a name is known only where the program runs:
there a name made of facts must not be one that the other side of the line leads to. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from dbambassador.errors import InvalidConfiguration, Problem
from dbambassador.profiles.candidates import Candidate, candidate
from dbambassador.profiles.conditions import Domains, Unmentioned, domains
from dbambassador.profiles.endpoints import canonical, spellings
from dbambassador.profiles.interpolation import interpolate, template
from dbambassador.settings.schema import Catalogue, Endpoint, HostEndpoint, Profile
from dbambassador.settings.template import facts_in, pieces
from dbambassador.values import Fact, Facts, State

Place = tuple[str, int | None]
"""A name and a port; a SRV name gives its own port."""


def led(profile: Profile, facts: Facts, catalogue: Catalogue) -> Profile:
    """The profile with every `${fact}` of its endpoints replaced.

    Raises:
        InvalidConfiguration: as `interpolate` does, and where a fact would lead staging to a database of
            production, or production to another one's.
    """
    interpolated = interpolate(profile, facts)
    problems = tuple(_problems(profile, interpolated, facts, catalogue))
    if problems:
        raise InvalidConfiguration(problems)
    return interpolated


def _problems(
    written: Profile, interpolated: Profile, facts: Facts, catalogue: Catalogue
) -> Iterator[Problem]:
    made = [
        (database.name, endpoint, after)
        for database, replaced in zip(written.databases, interpolated.databases, strict=True)
        for endpoint, after in zip(database.endpoints, replaced.endpoints, strict=True)
        # A literal name of staging may be one that facts make for production, which `check` cannot tell.
        if facts_in(template(endpoint)) or not written.production
    ]
    if not made:
        return
    others = [other for other in catalogue.profiles if other.production is not written.production]
    theirs: dict[Place, str] = {}
    made_theirs: dict[Place, str] = {}
    spans = domains(catalogue.profiles)
    nothing_known = Facts.of(Fact(name, State.UNKNOWN) for name in spans)
    for other in others:
        rival = candidate(other, nothing_known, spans)
        for place in _places(rival, facts, spans):
            theirs.setdefault(place, other.name)
        for place in _made_here(rival, facts, spans):
            made_theirs.setdefault(place, other.name)
    for database, endpoint, after in made:
        place = (canonical(template(after)), _port(after))
        name = (theirs if facts_in(template(endpoint)) else made_theirs).get(place)
        if name is not None:
            found = f"{template(after)}, which {name} leads to"
            kind = "another one" if written.production else "production"
            expected = f"a place that is not of {kind}; {template(endpoint)} leads there by facts found here"
            yield Problem(written.file, f"databases.{database}.endpoint", found, expected)


def _places(other: Candidate, facts: Facts, spans: Domains) -> Iterator[Place]:
    """Where another environment can lead: with values that its match names, else with those found here."""
    for database in other.profile.databases:
        for endpoint in database.endpoints:
            port = _port(endpoint)
            for spelling in spellings(endpoint, other):
                if None not in spelling:
                    yield canonical("".join(part or "" for part in spelling)), port
    yield from _made_here(other, facts, spans)


def _made_here(other: Candidate, facts: Facts, spans: Domains) -> Iterator[Place]:
    """Where facts that were found here would lead it."""
    for database in other.profile.databases:
        for endpoint in database.endpoints:
            for name in _spelled_here(endpoint, other, facts, spans):
                yield canonical(name), _port(endpoint)


def _spelled_here(endpoint: Endpoint, other: Candidate, facts: Facts, spans: Domains) -> Iterator[str]:
    parts = pieces(template(endpoint))
    choices = [
        [literal + value for value in (_values_here(name, other, facts, spans) if name else ("",))]
        for literal, name in parts
    ]
    if any(name for _, name in parts):
        yield from ("".join(chosen) for chosen in product(*choices))


def _values_here(name: str, other: Candidate, facts: Facts, spans: Domains) -> tuple[str, ...]:
    """The values found here that the other's match allows."""
    allowed = (other.match or {}).get(name)
    return tuple(
        value
        for value in facts.get(name).values
        if allowed is None or value in allowed or (value not in spans[name] and Unmentioned.OTHER in allowed)
    )


def _port(endpoint: Endpoint) -> int | None:
    return endpoint.port if isinstance(endpoint, HostEndpoint) else None
