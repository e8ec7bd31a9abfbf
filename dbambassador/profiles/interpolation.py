"""What facts make of a profile: the `${fact}`s of its endpoints, and the zone it runs in.

A fact in an endpoint that is unknown or absent is an error, never an empty string. Where no fact tells the
zone, no address is nearer than another.
"""

from __future__ import annotations

import dataclasses

from dbambassador.errors import InvalidConfiguration, Problem
from dbambassador.profiles.wording import found, shown
from dbambassador.settings.addresses import host_name
from dbambassador.settings.reading import Refused
from dbambassador.settings.schema import Database, Endpoint, HostEndpoint, Profile, SrvEndpoint
from dbambassador.settings.template import facts_in, pieces
from dbambassador.values import Confidence, Fact, Facts

ZONES = (
    "cloud.availability_zone",
    "k8s.node.label.topology.kubernetes.io/zone",
    "k8s.pod.label.topology.kubernetes.io/zone",
)
"""Facts that tell it, the best first; of any confidence: a wrong zone costs a longer way and nothing else."""


def template(endpoint: Endpoint) -> str:
    """The part of an endpoint that may hold `${fact}`."""
    return endpoint.name if isinstance(endpoint, SrvEndpoint) else endpoint.host


def needed(profile: Profile) -> frozenset[str]:
    """The names of the facts that its endpoints mention."""
    return frozenset(
        name
        for database in profile.databases
        for endpoint in database.endpoints
        for name in facts_in(template(endpoint))
    )


def interpolate(profile: Profile, facts: Facts) -> Profile:
    """The profile with every `${fact}` of its endpoints replaced, and its databases told their zone.

    In a production environment a hint counts as unknown here too: nobody may lead production elsewhere by
    setting a variable that nothing verifies.

    Raises:
        InvalidConfiguration: for facts that are unknown or absent, or whose value makes no host name.
    """
    problems: list[Problem] = []
    databases = tuple(_database(profile, database, facts, problems) for database in profile.databases)
    if problems:
        raise InvalidConfiguration(tuple(problems))
    return dataclasses.replace(profile, databases=databases)


def _database(profile: Profile, database: Database, facts: Facts, problems: list[Problem]) -> Database:
    endpoints = []
    for index, endpoint in enumerate(database.endpoints):
        several = len(database.endpoints) > 1
        path = f"databases.{database.name}.endpoint" + (f"s[{index}].host" if several else "")
        endpoints.append(_endpoint(profile, endpoint, facts, path, problems))
    zone = zone_of(database, facts)
    return dataclasses.replace(database, endpoints=tuple(endpoints), zone="" if zone is None else zone.value)


def zone_of(database: Database, facts: Facts) -> Fact | None:
    """The fact that tells in which zone we are; None if none does, or no endpoint names a zone."""
    if not any(isinstance(endpoint, HostEndpoint) and endpoint.zone for endpoint in database.endpoints):
        return None
    known = (facts.get(name) for name in ZONES)
    return next((fact for fact in known if fact.present and not fact.several), None)


def _endpoint(
    profile: Profile, endpoint: Endpoint, facts: Facts, path: str, problems: list[Problem]
) -> Endpoint:
    written = template(endpoint)
    mentioned = sorted(facts_in(written))
    if not mentioned:
        return endpoint
    unusable = [facts.get(name) for name in mentioned if not usable(facts.get(name), profile)]
    for fact in unusable:
        text = f"${{{fact.name}}}, which is {found(fact, proof_needed=profile.production)}"
        expected = "a fact with one value here" if fact.several else "a fact that is present here"
        problems.append(Problem(profile.file, path, text, expected))
    if unusable:
        return endpoint
    value = "".join(literal + (facts.get(name).value if name else "") for literal, name in pieces(written))
    try:
        name = host_name(value)
    except Refused as refused:
        hint = "; ".join(f"{name} is {found(facts.get(name))}" for name in mentioned)
        problems.append(Problem(profile.file, path, f"'{shown(value)}'", refused.expected, hint=hint))
        return endpoint
    if isinstance(endpoint, HostEndpoint):
        return dataclasses.replace(endpoint, host=name)
    return dataclasses.replace(endpoint, name=name)


def usable(fact: Fact, profile: Profile) -> bool:
    """Whether it can be part of a name: known well enough, and one value rather than several."""
    return (
        fact.present and not fact.several and not (profile.production and fact.confidence is Confidence.HINT)
    )
