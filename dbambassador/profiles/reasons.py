"""Why an environment was chosen, ruled out or left open: one reason for each, for people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dbambassador.profiles.candidates import candidate, trusted
from dbambassador.profiles.conditions import Domains, Known, conjunction
from dbambassador.profiles.wording import found
from dbambassador.settings.schema import Profile, Requirement
from dbambassador.values import Facts


class Status:
    """What `Reason.status` can be; part of the `explain --json` contract."""

    CHOSEN = "chosen"
    MATCHES = "matches"
    MAY_MATCH = "may-match"
    RULED_OUT = "ruled-out"
    FORBIDDEN = "forbidden"
    MAY_BE_FORBIDDEN = "may-be-forbidden"
    ONLY_BY_NAME = "only-by-name"


@dataclass(frozen=True, slots=True)
class Reason:
    environment: str
    status: str
    requirement: str
    """The first one that failed, is undecided or forbids, as text; empty if none does."""
    found: str
    """The requirement's fact as found: its value, absent, or unknown and why."""
    priority: int
    kind: str
    fact: str = ""
    """The name of that fact."""


def reason(profile: Profile, facts: Facts, domains: Domains, *, chosen: bool) -> Reason:
    known = trusted(profile, facts)
    status = Status.CHOSEN if chosen else _status(profile, facts, domains)
    requirement: Requirement | None = None
    proof_needed = False
    match status:
        case Status.RULED_OUT:
            requirement = _first_impossible(profile.match or (), known, domains)
            proof_needed = profile.production
        case Status.MAY_MATCH:
            requirement = _first_open(profile.match or (), known, domains)
            proof_needed = profile.production
        case Status.FORBIDDEN | Status.MAY_BE_FORBIDDEN:
            requirement = _first_open(profile.forbid, known, domains) or profile.forbid[0]
    if requirement is None:
        return Reason(profile.name, status, "", "", profile.priority, profile.kind.value)
    text = found(facts.get(requirement.key), proof_needed=proof_needed)
    return Reason(
        profile.name, status, str(requirement), text, profile.priority, profile.kind.value, requirement.key
    )


def _status(profile: Profile, facts: Facts, domains: Domains) -> str:
    one = candidate(profile, facts, domains)
    if profile.match is not None and one.match is None:
        return Status.RULED_OUT
    if one.forbid == {} or (profile.match is not None and not one.stands):
        return Status.FORBIDDEN
    if one.match:
        return Status.MAY_MATCH
    if one.forbid is not None:
        return Status.MAY_BE_FORBIDDEN
    return Status.ONLY_BY_NAME if profile.match is None else Status.MATCHES


def _first_impossible(
    requirements: Iterable[Requirement], known: Known, domains: Domains
) -> Requirement | None:
    """The first one that fails, or that contradicts those before it."""
    before: list[Requirement] = []
    for requirement in requirements:
        before.append(requirement)
        if conjunction(before, known, domains) is None:
            return requirement
    return None


def _first_open(requirements: Iterable[Requirement], known: Known, domains: Domains) -> Requirement | None:
    """The first one on an unknown fact that does not hold whatever that fact turns out to be."""
    return next((one for one in requirements if conjunction([one], known, domains)), None)
