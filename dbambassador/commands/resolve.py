"""`dbambassador resolve`: the chosen environment's endpoints, step by step down to addresses."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import trio

from dbambassador.discovery.resolver import Resolver
from dbambassador.errors import ExitCode
from dbambassador.events import Event
from dbambassador.locate import locate, refusal, request_from
from dbambassador.settings.schema import Database, HostEndpoint, SrvEndpoint
from dbambassador.values import Address, Targets

HELP = "the chosen environment's endpoints: each DNS step, TTLs, addresses"

STEP_COLUMNS = ("question", "type", "answer", "server", "time", "TTL")
ADDRESS_COLUMNS = ("address", "name", "priority", "weight", "zone", "role")


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
    """The report for people."""
    parts = [f"environment {report['environment']}"]
    for database in report["databases"]:
        parts += ["", f"{database['name']} ({database['protocol']}): {', '.join(database['endpoints'])}"]
        parts += _table([STEP_COLUMNS, *map(_step, database["steps"])])
        if database["addresses"]:
            parts += ["", *_table([ADDRESS_COLUMNS, *map(_address, database["addresses"])])]
        if database["failure"]:
            parts += ["", f"  {database['failure']}"]
    return "\n".join(parts)


def _step(step: Mapping[str, Any]) -> Sequence[str]:
    ttl = "" if step["ttl_seconds"] is None else f"{step['ttl_seconds']:.0f} s"
    time = f"{step['seconds'] * 1000:.1f} ms" if step["seconds"] else ""
    return step["question"], step["kind"], step["answer"], step["server"], time, ttl


def _address(address: Mapping[str, Any]) -> Sequence[str]:
    dialled = str(Address(address["host"], address["port"]))
    return (
        dialled,
        address["name"],
        str(address["priority"]),
        str(address["weight"]),
        address["zone"],
        address["role"],
    )


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
