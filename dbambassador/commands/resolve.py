"""`dbambassador resolve`: the chosen environment's endpoints, step by step down to addresses."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import trio

from dbambassador.discovery.resolver import Resolver
from dbambassador.errors import ExitCode
from dbambassador.events import Event
from dbambassador.locate import locate, refusal, request_from
from dbambassador.profiles.table import GAP, WIDTH, table, wrap
from dbambassador.settings.schema import Database, HostEndpoint, SrvEndpoint
from dbambassador.values import Address, Targets

HELP = "the chosen environment's endpoints: each DNS step, TTLs, addresses"

ADDRESS_COLUMNS = ("address", "priority", "weight", "zone", "role", "name")
ALWAYS, RANKS = {"address", "name"}, {"priority", "weight"}
"""Columns that are always shown, and those that are shown where they differ."""

RECORDS = {"A", "AAAA", "CNAME", "SRV"}

INDENT = GAP + GAP
RANK = re.compile(r" \(priority \d+, weight \d+\)")
BETWEEN_RECORDS = re.compile(r", (?![^(]*\))")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON (`schema resolve`)")


def run(options: argparse.Namespace) -> ExitCode:
    """Prints how each endpoint of the chosen environment resolves; INVALID if a database has no address.

    Raises:
        InvalidConfiguration: the environment files cannot be used.
        NoEnvironment: none is chosen.
        UsageError: a nameserver is not an IP address with an optional port.
    """
    report = trio.run(_report, options)
    print(json.dumps(report, indent=2) if options.json else render(report))
    missing = [database["name"] for database in report["databases"] if not database["addresses"]]
    if missing:
        print(f"no address: {', '.join(missing)}", file=sys.stderr)
        return ExitCode.INVALID
    return ExitCode.DONE


async def _report(options: argparse.Namespace) -> dict[str, Any]:
    resolver = Resolver(options.root, options.nameserver, _discard)
    located = await locate(request_from(options, os.environ))
    if located.profile is None:
        raise refusal(located)
    databases = []
    for database in located.profile.databases:
        began = trio.current_time()
        targets = await resolver.resolve(database.endpoints)
        now = trio.current_time()
        databases.append(describe(database, targets, began=began, now=now))
    return {"environment": located.profile.name, "databases": databases}


def _discard(event: Event) -> None:
    """Nobody counts the questions of a command."""


def describe(database: Database, targets: Targets, *, began: float, now: float) -> dict[str, Any]:
    """One database as `--json` shows it (schemas/resolve.schema.json); times are durations in seconds."""
    return {
        "name": database.name,
        "protocol": database.protocol.value,
        "endpoints": [written(endpoint) for endpoint in database.endpoints],
        "seconds": round(now - began, 6),
        "steps": [
            {
                "question": step.question,
                "kind": step.kind,
                "answer": step.answer,
                "server": step.server,
                "ttl_seconds": None if step.ttl is None else round(step.ttl, 3),
                "seconds": round(step.seconds, 6),
            }
            for step in targets.steps
        ],
        "addresses": [
            {
                "host": target.address.host,
                "port": target.address.port,
                "name": target.name,
                "priority": target.priority,
                "weight": target.weight,
                "zone": target.zone,
                "role": "unknown",
            }
            for target in targets.targets
        ],
        "asked_again_in_seconds": round(max(targets.expires_at - now, 0.0), 3),
        "stale": targets.stale,
        "failure": targets.failure,
    }


def written(endpoint: HostEndpoint | SrvEndpoint) -> str:
    """An endpoint as an environment file writes it."""
    if isinstance(endpoint, SrvEndpoint):
        return f"srv:{endpoint.name}"
    return str(Address(endpoint.host, endpoint.port))


def render(report: Mapping[str, Any]) -> str:
    """The report for people: what is the same everywhere is said once, and what says nothing is left out."""
    steps = [step for database in report["databases"] for step in database["steps"]]
    asked = {step["server"] for step in steps if step["kind"] in RECORDS} - {"", "cache"}
    nameserver = asked.pop() if len(asked) == 1 else ""
    parts = [f"environment {report['environment']}{nameserver and f', nameserver {nameserver}'}"]
    for database in report["databases"]:
        parts += ["", f"{database['name']} ({database['protocol']}): {', '.join(database['endpoints'])}"]
        parts += _steps(database["steps"], nameserver)
        if database["addresses"]:
            parts += ["", *_addresses(database["addresses"])]
        if database["stale"]:
            parts += ["", "  the last good answer is used: see what failed above"]
        if database["failure"]:
            parts += ["", *(f"  {line}" for line in wrap(database["failure"], WIDTH - len(GAP)))]
    return "\n".join(parts)


def _steps(steps: Sequence[Mapping[str, Any]], nameserver: str) -> list[str]:
    """Each question, and below it the answers of each type: long names would push one another off a table."""
    rows = [_step(step, nameserver) for step in steps]
    kind = max((len(row[0]) for row in rows), default=0)
    tail = max((len(row[2]) for row in rows), default=0)
    room = WIDTH - len(INDENT + GAP + GAP) - kind - tail
    answers = [_answer(row[1], room) for row in rows]
    width = max((len(answer[0]) for answer in answers), default=0)
    lines: list[str] = []
    question = ""
    for step, row, answer in zip(steps, rows, answers, strict=True):
        if step["question"] != question:
            question = step["question"]
            lines.append(f"{GAP}{question}")
        first, *rest = answer
        lines.append(f"{INDENT}{row[0].ljust(kind)}{GAP}{first.ljust(width)}{GAP}{row[2]}".rstrip())
        lines += [f"{INDENT}{' ' * kind}{GAP}{line}" for line in rest]
    return lines


def _step(step: Mapping[str, Any], nameserver: str) -> tuple[str, str, str]:
    """Type, answer, and the rest: time, TTL, and who told, where it was not the one `nameserver`."""
    time = f"{step['seconds'] * 1000:.1f} ms" if step["seconds"] else ""
    ttl = "" if step["ttl_seconds"] is None else f"TTL {step['ttl_seconds']:.0f} s"
    server = "" if step["server"] == nameserver else step["server"]
    tail = f"{time:>9}{GAP}{ttl:<9}{GAP}{server}".rstrip() if time or ttl else server
    return step["kind"], step["answer"], tail


def _answer(answer: str, room: int) -> list[str]:
    """The records on one line, or each on a further one; priority and weight where they tell them apart."""
    ranks = RANK.findall(answer)
    if len(set(ranks)) == 1:
        answer = RANK.sub("", answer)
    if len(answer) <= room:
        return [answer]
    return ["several records:", *BETWEEN_RECORDS.split(answer)]


def _addresses(addresses: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [ADDRESS_COLUMNS, *map(_address, addresses)]
    columns = zip(*rows, strict=True)
    telling = [column for column in columns if column[0] in ALWAYS or set(column[1:]) - {"", "unknown"}]
    telling = [column for column in telling if column[0] not in RANKS or len(set(column[1:])) > 1]
    return table(list(zip(*telling, strict=True)))


def _address(address: Mapping[str, Any]) -> tuple[str, ...]:
    dialled = str(Address(address["host"], address["port"]))
    rank = (str(address["priority"]), str(address["weight"]))
    return (dialled, *rank, address["zone"], address["role"], address["name"])
