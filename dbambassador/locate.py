"""Reflect, select, ask the API only if that could decide, select again: what every located command shares."""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

import trio

from dbambassador.errors import NoEnvironment, UsageError
from dbambassador.profiles.apart import led
from dbambassador.profiles.catalogue import Catalogue, load
from dbambassador.profiles.explanation import explain
from dbambassador.profiles.interpolation import needed, usable
from dbambassador.profiles.selection import Selection, Verdict, select
from dbambassador.reflection import explicit
from dbambassador.reflection.api_questions import objects_for, question
from dbambassador.reflection.ask_metadata import MetadataServices
from dbambassador.reflection.findings import Findings
from dbambassador.reflection.gather import gather
from dbambassador.reflection.inquiry import Inquiry
from dbambassador.settings.schema import Profile
from dbambassador.values import Facts

SHORTEST_DELAY, LONGEST_DELAY = 1.0, 15.0
"""Seconds between attempts while something does not answer."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """Where to look, and what a person asked for."""

    directory: Path
    """Of the environment files."""
    root: Path = Path("/")
    """In front of every file that reflection reads."""
    environ: Mapping[str, str]
    environment: str | None = None
    override_match: bool = False
    databases: tuple[str, ...] = ()
    """Only these; empty for all."""
    explicit: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Facts a person stated: name to value and where it was stated."""
    metadata: MetadataServices | None = None
    """Leave to ask the cloud's metadata service; None unless a person switched it on."""


@dataclass(frozen=True)
class Located:
    """The environment that was chosen, or why none was."""

    facts: Facts
    catalogue: Catalogue
    selection: Selection
    profile: Profile | None
    """Interpolated and restricted to the databases asked for; None unless one was chosen."""
    asked_api: bool
    seconds: float
    retryable: bool
    """Nothing was chosen, and what did not answer could still decide: another attempt may."""
    learned: tuple[Findings, ...] = ()
    """What of the facts was told over the network, in the order of asking."""


def request_from(options: argparse.Namespace, environ: Mapping[str, str]) -> Request:
    """The request that flags and variables make.

    Raises:
        UsageError, InvalidConfiguration: for explicit facts that state none.
    """
    return Request(
        directory=options.environments,
        root=options.root,
        environ=environ,
        environment=options.environment,
        override_match=options.override_match,
        databases=tuple(options.database),
        explicit=explicit.stated(options.fact, options.facts_file, environ),
        metadata=MetadataServices() if options.metadata_services else None,
    )


async def locate(request: Request) -> Located:
    """Finds out which environment this is. A selection that chooses none is a value.

    The network is asked only where an answer could decide: one metadata service if that is switched on, and
    the API at most once for each kind of object, within `ask_api.DEADLINE` in all. No process is left behind.

    Raises:
        InvalidConfiguration: environment files, or an endpoint that needs a fact which cannot be had, or that
            a fact leads across the line between production and the rest.
        UsageError: a database that the chosen environment does not have.
    """
    located = await survey(request)
    if located.profile is None:
        return located
    return replace(located, profile=led(located.profile, located.facts, located.catalogue))


async def survey(request: Request) -> Located:
    """As `locate`, but the endpoints of the profile are as written, so that a missing fact is no error."""
    started = trio.current_time()
    catalogue = load(request.directory)
    facts = gather(request.root, request.environ, request.explicit)
    inquiry = Inquiry(str(request.root), request.environ, request.metadata)
    while True:
        selection = select(
            catalogue, facts, requested=request.environment, override_match=request.override_match
        )
        profile = None if selection.profile is None else restricted(selection.profile, request.databases)
        missing = selection.undecided if profile is None else _missing(profile, facts)
        told = await inquiry.learn(missing, facts)
        if told is None:
            break
        facts = told
    retryable = inquiry.unanswered(missing, facts)
    if profile is not None and retryable:
        selection, profile = _awaiting(selection, profile, missing, facts), None
    seconds = trio.current_time() - started
    return Located(
        facts, catalogue, selection, profile, inquiry.asked_api, seconds, retryable, inquiry.learned
    )


def anew(request: Request, before: Located) -> Located:
    """What the files, as they are now, make of the facts of the start: nothing is asked again.

    Returns: with a profile only if it is of the same name as before.

    Raises:
        InvalidConfiguration, UsageError: as `locate`.
    """
    catalogue, facts = load(request.directory), before.facts
    selection = select(catalogue, facts, requested=request.environment, override_match=request.override_match)
    profile = None
    if selection.profile and before.profile and selection.profile.name == before.profile.name:
        profile = led(restricted(selection.profile, request.databases), facts, catalogue)
    return replace(before, catalogue=catalogue, selection=selection, profile=profile)


def api_would_be_asked(request: Request, catalogue: Catalogue, facts: Facts) -> tuple[str, ...]:
    """The facts for which `locate` would ask the API after `facts` were gathered; empty for none."""
    selection = select(catalogue, facts, requested=request.environment, override_match=request.override_match)
    missing = selection.undecided
    if selection.profile is not None:
        missing = _missing(restricted(selection.profile, request.databases), facts)
    askable = question(objects_for(missing, facts), facts, str(request.root), request.environ)
    if askable is None:
        return ()
    kinds = {kind for kind, _, _ in askable.objects}
    return tuple(name for name in missing if objects_for([name], facts) & kinds)


def refusal(located: Located) -> NoEnvironment:
    """The error for a selection that chose none; its message is the table of reasons."""
    hint = "something did not answer in time; another attempt may succeed" if located.retryable else ""
    return NoEnvironment(explain(located.catalogue, located.facts, located.selection), hint=hint)


def retry_delay(attempt: int, draw: Callable[[], float] = random.random) -> float:
    """Seconds to wait after failed attempt `attempt` (from 0): at least 1, at most 15, with full jitter.

    The jitter keeps the pods of a whole cluster from asking a recovering API server in step.

    Args:
        draw: gives numbers from 0 to 1.
    """
    ceiling = min(LONGEST_DELAY, SHORTEST_DELAY * 2.0 ** min(attempt + 1, 10))
    return SHORTEST_DELAY + (ceiling - SHORTEST_DELAY) * draw()


def _missing(profile: Profile, facts: Facts) -> tuple[str, ...]:
    """The facts that its endpoints need and cannot use as they are."""
    return tuple(name for name in sorted(needed(profile)) if not usable(facts.get(name), profile))


def restricted(profile: Profile, databases: tuple[str, ...]) -> Profile:
    """With only these databases, or all if none is named. Raises UsageError for one that it does not have."""
    known = [database.name for database in profile.databases]
    for name in databases:
        if name not in known:
            nearest = get_close_matches(name, known, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"it has {', '.join(known) or 'none'}"
            raise UsageError(f"--database {name}: environment {profile.name} has no such database", hint=hint)
    if not databases:
        return profile
    return replace(profile, databases=tuple(each for each in profile.databases if each.name in databases))


def _awaiting(selection: Selection, profile: Profile, missing: tuple[str, ...], facts: Facts) -> Selection:
    """The environment is clear, but where its databases are is not known yet."""
    unknown = "; ".join(f"{name} is unknown: {facts.get(name).reason}" for name in missing)
    why = f"it is {profile.name}, but its endpoints need what did not answer yet: {unknown}"
    return replace(selection, verdict=Verdict.UNDECIDED, profile=None, why=why, undecided=missing)
