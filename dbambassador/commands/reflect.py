"""`reflect`: the facts, each with value or state, confidence and source."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence

import trio

from dbambassador.errors import ExitCode, InvalidConfiguration
from dbambassador.locate import Request, api_would_be_asked, request_from
from dbambassador.printable import shortened
from dbambassador.profiles.catalogue import load
from dbambassador.profiles.table import GAP, WIDTH, short_path, table, whole_commands, wrap
from dbambassador.reflection import ask_api, saved
from dbambassador.reflection.api_questions import Object, question
from dbambassador.reflection.gather import gather
from dbambassador.reflection.merging import enriched
from dbambassador.reflection.metadata_services import suggested
from dbambassador.values import Fact, Facts, State

HELP = "the facts about where this runs, each with its source"

LONGEST_VALUE, WIDEST_VALUE = 64, 24
"""Characters of a value in the table (--json has all of it; a fingerprint has 64), and of its column."""
WIDEST_LINE = 104
"""Columns that a source may take the table to before it goes below: a little too wide reads better."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="print the facts as JSON, which `explain` replays"
    )
    parser.add_argument(
        "--api", action="store_true", help="ask the Kubernetes API too, even if it cannot decide"
    )


def run(options: argparse.Namespace) -> ExitCode:
    """Prints the facts; what cannot be read is unknown, not an error."""
    request = request_from(options, os.environ)
    facts = gather(request.root, request.environ, request.explicit)
    asked = False
    if options.api:
        asking = question(Object, facts, str(request.root), request.environ)
        if asking is not None:
            asked = True
            facts = enriched(facts, trio.run(ask_api.ask, asking))
    service = None if request.metadata is None else suggested(facts, request.environ)
    if request.metadata is not None and service is not None:
        facts = enriched(facts, trio.run(request.metadata.ask, service))
    wanted = () if asked else _would_ask(request, facts)
    if options.json:
        api = {"asked": asked, "would_ask_for": None if wanted is None else list(wanted)}
        print(json.dumps({**saved.dump(facts), "api": api}, indent=2, ensure_ascii=False))
    else:
        print(screen(facts))
        print()
        print(_about_api(options.api, asked, wanted))
        if request.metadata is not None:
            print(f"{service.name} was asked." if service else "No metadata service is known of here.")
    return ExitCode.DONE


def screen(facts: Facts) -> str:
    """The facts as a table, then the unknown and the absent ones, and what is known of whole families."""
    lines = _present(facts)
    if unknown := [(fact.name, whole_commands(fact.reason)) for fact in facts if fact.unknown]:
        lines += ["", "Unknown:", *table(unknown)]
    if absent := [fact.name for fact in facts if fact.state is State.ABSENT]:
        lines += ["", *wrap(f"Looked for, and absent: {', '.join(absent)}", WIDTH)]
    families = [_family(facts.families[prefix], facts) for prefix in sorted(facts.families)]
    lines += ["", "Of all other names:", *table(families)]
    lines.append("  Whatever none of these lines covers is absent.")
    return "\n".join(lines)


def _present(facts: Facts) -> list[str]:
    """One line for each, and a second one where a long value takes the place of what follows it."""
    rows = [("FACT", "VALUE", "CONFIDENCE", "SOURCE")]
    for fact in facts:
        if fact.present:
            first, *others = fact.values
            source = short_path(fact.source)
            rows.append((fact.name, shortened(first, LONGEST_VALUE), fact.confidence.name.lower(), source))
            rows += [("", shortened(value, LONGEST_VALUE), "", "") for value in others]
    name = max(len(row[0]) for row in rows)
    value = max(len(row[1]) for row in rows if len(row[1]) <= WIDEST_VALUE)
    lines = []
    for row in rows:
        start = f"{row[0].ljust(name)}{GAP}{row[1].ljust(value)}"
        if len(row[1]) > value:
            lines.append(start)
            start = " " * (name + len(GAP) + value)
        start = f"{start}{GAP}{row[2].ljust(len(rows[0][2]))}{GAP}"
        fits = len(start) + len(row[3]) <= WIDEST_LINE
        below = [] if fits else wrap(row[3], WIDTH - name - len(GAP))
        lines += [(start + row[3] if fits else start).rstrip()]
        lines += [" " * (name + len(GAP)) + line for line in below]
    return lines


def _family(family: Fact, facts: Facts) -> tuple[str, str]:
    known = any(fact.present and fact.name.startswith(family.name) for fact in facts)
    others = "the others are" if known else "all are"
    if family.state is State.ABSENT:
        return f"{family.name}*", f"{others} absent ({family.source})"
    return f"{family.name}*", f"{others} unknown: {whole_commands(family.reason)}"


def _would_ask(request: Request, facts: Facts) -> tuple[str, ...] | None:
    """None: there are no usable environments here, so it cannot be said."""
    try:
        return api_would_be_asked(request, load(request.directory), facts)
    except InvalidConfiguration:
        return None


def _about_api(wanted_by_person: bool, asked: bool, wanted: Sequence[str] | None) -> str:
    if asked:
        return "The Kubernetes API was asked (--api)."
    if wanted_by_person:
        return "The Kubernetes API was not asked: this is no pod, or node and namespace have no known name."
    if wanted is None:
        return "The Kubernetes API was not asked. Whether `run` would, cannot be said: no environments here."
    if wanted:
        return f"The Kubernetes API was not asked (--api does). `run` would ask it, for {', '.join(wanted)}."
    return "The Kubernetes API was not asked, and `run` would not ask it: it could not change the choice."
