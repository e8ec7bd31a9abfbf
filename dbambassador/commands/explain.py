"""`dbambassador explain`: facts × environments → the chosen one, and what ruled out each other."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

import trio

from dbambassador.errors import ExitCode, InvalidConfiguration, Problem, UsageError
from dbambassador.locate import Request, request_from, restricted, survey
from dbambassador.printable import printable
from dbambassador.profiles import catalogue as catalogues
from dbambassador.profiles.catalogue import Catalogue
from dbambassador.profiles.effective import effective, values, zones
from dbambassador.profiles.explanation import explain, explain_json, missing
from dbambassador.profiles.interpolation import needed
from dbambassador.profiles.selection import Selection, select
from dbambassador.reflection import saved
from dbambassador.settings.decoding import Merged
from dbambassador.settings.template import FACT_NAME
from dbambassador.values import Confidence, Fact, Facts, State

HELP = "which environment is chosen here, and why no other one"

LARGEST_SAVED = 8 * 1024 * 1024
"""Bytes; a saved `reflect --json` is some kilobytes."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--facts", dest="saved_facts", type=Path, metavar="FILE", help="use a saved `reflect --json`"
    )
    parser.add_argument(
        "--set",
        dest="set_facts",
        action="append",
        default=[],
        metavar="FACT=VALUE",
        help="what if this fact had this value? (repeatable; an empty value: absent)",
    )
    parser.add_argument(
        "--effective", action="store_true", help="print the merged environment with the origin of each value"
    )
    parser.add_argument(
        "--all", action="store_true", help="every fact and every environment, however long that gets"
    )
    parser.add_argument("--json", action="store_true", help="print JSON (`schema explain`)")


def run(options: argparse.Namespace) -> ExitCode:
    """Prints the explanation; NO_ENVIRONMENT if none is chosen, INVALID if its endpoints need a fact that
    cannot be had here.

    Raises:
        InvalidConfiguration: the environment files, or the saved facts, cannot be used.
        UsageError: a `--set` that is no FACT=VALUE, a database that the environment does not have.
    """
    supposed = _supposed(options.set_facts)
    request = request_from(options, os.environ)
    catalogue = catalogues.load(request.directory)
    if options.effective and request.environment and catalogue.get(request.environment):
        # What a file says once merged does not depend on where we are.
        _print_effective(options, request.environment, {})
        return ExitCode.DONE
    _tell_of_misspelt(supposed, catalogue)
    catalogue, facts, selection = _located(options, request, catalogue, supposed)
    if selection.profile is not None:
        profile = restricted(selection.profile, request.databases)
        selection = dataclasses.replace(selection, profile=profile)
    if options.effective and selection.profile is not None:
        _print_effective(options, selection.profile.name, zones(selection.profile, facts))
    elif options.json:
        print(json.dumps(explain_json(catalogue, facts, selection), indent=2))
    else:
        print(explain(catalogue, facts, selection, everything=options.all))
    if selection.profile is None:
        return ExitCode.NO_ENVIRONMENT
    return ExitCode.INVALID if missing(selection.profile, facts, catalogue) else ExitCode.DONE


def _tell_of_misspelt(supposed: Iterable[str], catalogue: Catalogue) -> None:
    """A name that is mistyped changes nothing, and would seem to be of no consequence."""
    asked = {
        requirement.key
        for profile in catalogue.profiles
        for requirement in (*(profile.match or ()), *profile.forbid)
    }
    asked |= {name for profile in catalogue.profiles for name in needed(profile)}
    for name in supposed:
        if name not in asked and (nearest := get_close_matches(name, asked, n=1, cutoff=0.9)):
            told = f"no environment asks for that; did you mean {nearest[0]}?"
            print(f"dbambassador: --set {printable(name)}: {told}", file=sys.stderr)


def _located(
    options: argparse.Namespace, request: Request, catalogue: Catalogue, supposed: Mapping[str, Fact]
) -> tuple[Catalogue, Facts, Selection]:
    """The facts here, or the saved ones, with the supposed ones laid over, and what they lead to."""
    if options.saved_facts is None and not supposed:
        located = trio.run(survey, request)
        return located.catalogue, located.facts, located.selection
    if options.saved_facts is None:
        stated = {name: (fact.value, fact.source) for name, fact in supposed.items() if fact.present}
        explicit = {**request.explicit, **stated}
        facts = trio.run(survey, dataclasses.replace(request, explicit=explicit)).facts
    else:
        facts = _saved(options.saved_facts)
        stated_facts = {
            name: Fact(name, State.PRESENT, value, Confidence.EXPLICIT, source)
            for name, (value, source) in request.explicit.items()
        }
        facts = Facts(MappingProxyType({**facts.exact, **stated_facts}), facts.families)
    facts = Facts(MappingProxyType({**facts.exact, **supposed}), facts.families)
    selection = select(catalogue, facts, requested=request.environment, override_match=request.override_match)
    return catalogue, facts, selection


def _saved(path: Path) -> Facts:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_SAVED + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InvalidConfiguration((Problem(str(path), "", reason, "a saved `reflect --json`"),)) from None
    if len(content) > LARGEST_SAVED:
        raise InvalidConfiguration((Problem(str(path), "", "more than 8 MiB", "a saved `reflect --json`"),))
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        found = "no JSON" if content else "an empty file"
        raise InvalidConfiguration((Problem(str(path), "", found, "a saved `reflect --json`"),)) from None
    return saved.load(document, str(path))


def _supposed(arguments: list[str]) -> dict[str, Fact]:
    facts = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or FACT_NAME.fullmatch(name) is None:
            raise UsageError(f"--set: found {argument!r}, expected FACT=VALUE, as k8s.namespace.name=shop")
        state = State.PRESENT if value else State.ABSENT
        facts[name] = Fact(name, state, value, Confidence.EXPLICIT, "--set")
    return facts


def _print_effective(options: argparse.Namespace, name: str, zones: Mapping[str, Fact]) -> None:
    environment = _merged(options.environments, name)
    if options.json:
        told = {database: {"zone": fact.value, "fact": fact.name} for database, fact in zones.items()}
        print(json.dumps({"environment": name, "values": values(environment), "zones": told}, indent=2))
    else:
        print(effective(environment, zones))


def _merged(directory: Path, name: str) -> Merged:
    return next(each for each in catalogues.load_merged(directory) if each.name == name)
