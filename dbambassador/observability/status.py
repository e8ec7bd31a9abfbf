"""A snapshot as text for a person: where we are and why, the path to each database, the last events. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dbambassador.observability.wording import count, duration
from dbambassador.printable import printable

Snapshot = dict[str, Any]

RECENT_SHOWN = 12
"""Newest events on the text page, so that it fits one screen; `--json` has all that are kept."""


def render(snapshot: Snapshot) -> str:
    """The text, ending in a newline. Raises KeyError or TypeError for what is not a snapshot."""
    return "\n".join(_lines(snapshot)) + "\n"


def summary(snapshot: Snapshot) -> str:
    """The state of the process in a few words."""
    words = {
        "locating": "finding out where this runs",
        "awaiting": "waiting to know the environment",
        "running": "ready" if snapshot["ready"] else "starting",
        "draining": "shutting down",
    }
    phase = str(snapshot["phase"])
    return words.get(phase, phase)


def situation(database: Snapshot) -> str:
    """How it stands with one database, in one sentence."""
    choice = database["choice"]
    if choice["address"] is not None:
        use = "on trial with the next session" if choice["on_trial"] else "in use"
        return f"{use}: {', '.join(choice['pool'])}"
    looking = "no usable address" if choice["settled"] else "looking for a usable address"
    held = f"; clients wait {duration(choice['held_seconds'])} more" if choice["held_seconds"] > 0 else ""
    return f"{looking}: {choice['why']}{held}"


def path(database: Snapshot) -> list[str]:
    """The way of a client's bytes: app, listeners, names, address."""
    targets = database["targets"]["addresses"]
    pool = database["choice"]["pool"]
    names = [target["name"] for target in targets if not pool or target["address"] in pool]
    steps = [
        ", ".join(database["listeners"]) or "not listening",
        ", ".join(dict.fromkeys(names)) or "no name",
    ]
    return ["app", *steps, ", ".join(pool) or "no address"]


def lookup(database: Snapshot) -> str:
    """How fresh the answer of the DNS is, and what is wrong with it."""
    targets = database["targets"]
    asked, ttl = targets["asked_seconds_ago"], targets["ttl_seconds"]
    parts = ["not asked yet" if asked is None else f"asked {duration(asked)} ago"]
    if ttl is not None:
        parts.append(f"good for {duration(ttl)} more")
    if targets["stale"]:
        parts.append("stale: the last known answer is used")
    if targets["failure"]:
        parts.append(f"failed: {targets['failure']}")
    return ", ".join(parts)


def drifted(drift: Snapshot) -> str:
    """What has changed since the choice."""
    choice = drift["would_choose"] or "no environment"
    since = duration(drift["since_seconds"])
    return f"changed {since} ago: {', '.join(drift['facts'])}; a start would choose {choice}: {drift['why']}"


def _lines(snapshot: Snapshot) -> Iterator[str]:
    yield (
        f"dbambassador {printable(snapshot['version'])}: {printable(summary(snapshot))},"
        f" up for {duration(snapshot['uptime_seconds'])}"
    )
    yield ""
    environment, awaiting = snapshot["environment"], snapshot["awaiting"]
    if environment is not None:
        yield printable(
            f"environment {environment['name']} ({environment['kind']}) from {environment['directory']}"
        )
        yield printable(f"  because {environment['why']}")
    else:
        yield "environment not chosen yet"
    if snapshot["drift"] is not None:
        yield printable(f"  {drifted(snapshot['drift'])}")
    if awaiting is not None:
        yield printable(f"  waiting for {', '.join(awaiting['facts'])}: {awaiting['reason']}")
        yield f"  trying again in {duration(awaiting['retry_in_seconds'])}"
    for database in snapshot["databases"]:
        yield ""
        yield from _database(database)
    if snapshot["recent"]:
        yield ""
        yield "last events"
        for event in snapshot["recent"][:RECENT_SHOWN]:
            yield f"  {duration(event['seconds_ago']):>12} ago  {printable(event['text'])}"


def _database(database: Snapshot) -> Iterator[str]:
    held = f", {count(database['held'], 'client')} waiting" if database["held"] else ""
    sessions = count(database["sessions"], "session")
    tls = f", sslmode {database['sslmode']}" if database["sslmode"] is not None else ""
    yield printable(f"{database['name']} ({database['protocol']}{tls}): {sessions}{held}")
    yield printable(f"  {' → '.join(path(database))}")
    yield printable(f"  {situation(database)}")
    if database["certificates"]:
        yield printable(f"  former certificates in use: {database['certificates']}")
    yield printable(f"  DNS {lookup(database)}")
    if database["addresses"]:
        heads = ("", "address", "name", "state", "role", "for", "sessions", "why")
        rows = [heads, *_address_rows(database)]
        yield from (f"  {line}" for line in _table(rows))


def _address_rows(database: Snapshot) -> Iterator[tuple[str, ...]]:
    for address in database["addresses"]:
        yield (
            "*" if address["address"] in database["choice"]["pool"] else "",
            address["address"],
            address["name"],
            address["state"],
            address["role"],
            duration(address["since_seconds"]),
            str(address["sessions"]),
            address["why"],
        )


def _table(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in shown) for column in range(len(shown[0]))]
    for row in shown:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
