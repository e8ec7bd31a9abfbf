"""`dbambassador resolve`: the chosen environment's endpoints, step by step down to addresses."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import trio

from dbambassador.discovery.resolver import Resolver
from dbambassador.discovery.wording import OVER_TCP
from dbambassador.errors import ExitCode, UnusableFiles
from dbambassador.events import Event
from dbambassador.health.evidence import Role, Signal
from dbambassador.health.probes import Blocked, Prober
from dbambassador.health.roles import fits
from dbambassador.locate import locate, refusal, request_from
from dbambassador.profiles.table import GAP, WIDTH, table, wrap
from dbambassador.settings.schema import Database, HostEndpoint, SrvEndpoint, TargetSessionAttrs
from dbambassador.transport.tls_files import encryption_of
from dbambassador.values import Address, Targets

HELP = "the chosen environment's endpoints: each DNS step, TTLs, addresses, roles"

ADDRESS_COLUMNS = ("address", "state", "role", "priority", "weight", "zone", "name", "why")
ALWAYS, RANKS = {"address", "name"}, {"priority", "weight"}
"""Columns that are always shown, and those that are shown where they differ."""
SHOWN = 16
"""Addresses that people are shown of one database; the rest is counted."""

RECORDS = {"A", "AAAA", "CNAME", "SRV"}

INDENT = GAP + GAP
RANK = re.compile(r" \(priority \d+, weight \d+\)")
BETWEEN_RECORDS = re.compile(r", (?![^(]*\))")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check said of an address."""

    state: str
    role: str = "unknown"
    why: str = ""


UNCHECKED = Finding("unchecked")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON (`schema resolve`)")


def run(options: argparse.Namespace) -> ExitCode:
    """Prints how each endpoint of the chosen environment resolves; INVALID where no address is usable.

    An address that is not checked counts as usable: nothing speaks against it.

    Raises:
        InvalidConfiguration: the environment files cannot be used.
        NoEnvironment: none is chosen.
        UsageError: a nameserver is not an IP address with an optional port.
    """
    report, wanted = trio.run(_report, options)
    print(json.dumps(report, indent=2) if options.json else render(report))
    missing = [database["name"] for database in report["databases"] if not database["addresses"]]
    unusable = [
        database["name"]
        for database in report["databases"]
        if database["addresses"]
        and not any(_usable(address, wanted[database["name"]]) for address in database["addresses"])
    ]
    for problem, names in (("no address", missing), ("no usable address", unusable)):
        if names:
            print(f"{problem}: {', '.join(names)}", file=sys.stderr)
    return ExitCode.INVALID if missing or unusable else ExitCode.DONE


def _usable(address: Mapping[str, Any], wanted: TargetSessionAttrs) -> bool:
    if address["state"] == UNCHECKED.state:
        return True
    return address["state"] == Signal.ANSWERED.value and fits(Role(address["role"]), wanted)


async def _report(
    options: argparse.Namespace,
) -> tuple[dict[str, Any], Mapping[str, TargetSessionAttrs]]:
    """What is printed, and what each database asks of its servers."""
    resolver = Resolver(options.root, options.nameserver, _discard)
    located = await locate(request_from(options, os.environ))
    if located.profile is None:
        raise refusal(located)
    described: dict[str, dict[str, Any]] = {}

    async def look_up(database: Database) -> None:
        began = trio.current_time()
        targets = await resolver.resolve(database.endpoints)
        found = trio.current_time()
        described[database.name] = describe(
            database, targets, await _check(database, targets), began=began, now=found
        )

    async with trio.open_nursery() as nursery:
        for database in located.profile.databases:
            nursery.start_soon(look_up, database)
    databases = [described[database.name] for database in located.profile.databases]
    wanted = {database.name: database.target_session_attrs for database in located.profile.databases}
    return {"environment": located.profile.name, "databases": databases}, wanted


async def _check(database: Database, targets: Targets) -> dict[Address, Finding]:
    """One check of each address, as its database is set."""
    if database.check.passive:
        return {}
    try:
        prober = Prober(database, encryption_of(database, _discard))
    except UnusableFiles as unusable:
        return dict.fromkeys(targets.addresses, Finding("unchecked", why=unusable.message))
    findings: dict[Address, Finding] = {}

    async def check(address: Address, name: str) -> None:
        try:
            evidence = await prober.probe(address, name)
        except Blocked as blocked:
            findings[address] = Finding("blocked", why=str(blocked))
            return
        if evidence is not None:
            findings[address] = Finding(evidence.signal.value, evidence.role.value, evidence.detail)

    async with trio.open_nursery() as nursery:
        for target in targets.targets:
            nursery.start_soon(check, target.address, target.name)
    return findings


def _discard(event: Event) -> None:
    """Nobody counts the questions of a command."""


def describe(
    database: Database, targets: Targets, findings: Mapping[Address, Finding], *, began: float, now: float
) -> dict[str, Any]:
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
                **asdict(findings.get(target.address, UNCHECKED)),
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
    servers = {step["server"].removesuffix(OVER_TCP) for step in steps if step["kind"] in RECORDS}
    asked = servers - {"", "cache"}
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
    shown = _together(steps)
    rows = [_step(step, nameserver) for step in shown]
    kind = max((len(row[0]) for row in rows), default=0)
    tail = max((len(row[2]) for row in rows), default=0)
    room = WIDTH - len(INDENT + GAP + GAP) - kind - tail
    answers = [_answer(row[1], room) for row in rows]
    width = max((len(answer[0]) for answer in answers), default=0)
    lines: list[str] = []
    question = ""
    for step, row, answer in zip(shown, rows, answers, strict=True):
        if step["question"] != question:
            question = step["question"]
            lines.append(f"{GAP}{question}")
        first, *rest = answer
        lines.append(f"{INDENT}{row[0].ljust(kind)}{GAP}{first.ljust(width)}{GAP}{row[2]}".rstrip())
        lines += [f"{INDENT}{' ' * kind}{GAP}{line}" for line in rest]
    return lines


def _together(steps: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The steps; where both address families got the same answer, one that stands for both."""
    shown: list[Mapping[str, Any]] = []
    for step in steps:
        before = shown[-1] if shown else {}
        same = all(before.get(key) == step[key] for key in ("question", "answer", "server", "ttl_seconds"))
        if same and (before["kind"], step["kind"]) == ("A", "AAAA"):
            shown[-1] = {**step, "kind": "A, AAAA", "seconds": max(before["seconds"], step["seconds"])}
        else:
            shown.append(step)
    return shown


def _step(step: Mapping[str, Any], nameserver: str) -> tuple[str, str, str]:
    """Type, answer, and the rest: time, TTL, and who told, where it was not the one `nameserver`."""
    time = f"{step['seconds'] * 1000:.1f} ms" if step["seconds"] else ""
    ttl = "" if step["ttl_seconds"] is None else f"TTL {step['ttl_seconds']:.0f} s"
    server = step["server"].removeprefix(nameserver).strip()
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
    rows = [ADDRESS_COLUMNS, *map(_address, addresses[:SHOWN])]
    telling = [column for column in zip(*rows, strict=True) if _tells(column)]
    rest = len(addresses) - SHOWN
    return [
        *table(list(zip(*telling, strict=True))),
        *([f"{GAP}and {rest} more"] if rest > 0 else []),
    ]


def _tells(column: Sequence[str]) -> bool:
    name, *values = column
    if name in RANKS:
        return len(set(values)) > 1
    return name in ALWAYS or bool(set(values) - {"", "unknown", UNCHECKED.state})


def _address(address: Mapping[str, Any]) -> tuple[str, ...]:
    dialled = str(Address(address["host"], address["port"]))
    texts = {**address, "address": dialled}
    return tuple(str(texts[column]) for column in ADDRESS_COLUMNS)
