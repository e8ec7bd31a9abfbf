"""A snapshot as text for a person: what is wrong, where we are and why, the path to each database, the last
events. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dbambassador.observability import sentences
from dbambassador.observability.grades import grade
from dbambassador.observability.lines import Line, Piece, Tone, line, put, table
from dbambassador.observability.traffic import Traffic
from dbambassador.observability.verdict import MARKS, Mood, of_database, verdict
from dbambassador.observability.wording import duration, latency, size

Snapshot = dict[str, Any]

RECENT_SHOWN = 12
"""Newest events, so that all fits one screen; `--json` has all that are kept."""
MOST_ADDRESSES = 16
"""Of one database, for the same reason."""

_MOODS = {
    Mood.WELL: Tone.GOOD,
    Mood.PASSING: Tone.STRONG,
    Mood.REDUCED: Tone.WARNING,
    Mood.TROUBLE: Tone.BAD,
}
_LEVELS = {"warning": Tone.WARNING, "error": Tone.BAD}


def render(snapshot: Snapshot) -> str:
    """The text without colours, ending in a newline. Raises KeyError or TypeError for what is no snapshot."""
    return "\n".join(put(lines(snapshot), coloured=False)) + "\n"


def lines(snapshot: Snapshot, traffic: Traffic | None = None) -> list[Line]:
    """All lines. `traffic`: of those who look more than once."""
    return list(_lines(snapshot, traffic or Traffic()))


def _lines(snapshot: Snapshot, traffic: Traffic) -> Iterator[Line]:
    found = verdict(snapshot)
    tone = _MOODS[found.mood]
    up = duration(snapshot["uptime_seconds"])
    yield line(
        ("dbambassador", Tone.STRONG), f" {snapshot['version']}: {sentences.summary(snapshot)}, up for {up}"
    )
    yield line((f"{MARKS[found.mood]} {found.first.what}", tone))
    if found.first.why:
        yield line((f"  {found.first.why}", tone))
    for finding in found.more:
        yield line(f"  {finding}")
    yield ()
    yield from _environment(snapshot)
    for database in snapshot["databases"]:
        yield ()
        yield from _database(database, traffic)
    if snapshot["recent"]:
        yield ()
        yield line(("last events", Tone.STRONG))
        for event in snapshot["recent"][:RECENT_SHOWN]:
            when = f"  {duration(event['seconds_ago']):>12} ago  "
            yield line((when, Tone.DIM), (event["text"], _LEVELS.get(event["level"], Tone.PLAIN)))


def _environment(snapshot: Snapshot) -> Iterator[Line]:
    environment, awaiting, drift = snapshot["environment"], snapshot["awaiting"], snapshot["drift"]
    if environment is not None:
        name = (environment["name"], Tone.STRONG)
        yield line("environment ", name, f" ({environment['kind']}) from {environment['directory']}")
        yield line(f"  because {environment['why']}")
    else:
        yield line("environment not chosen yet")
    if drift is not None:
        yield line((f"  {sentences.drifted(drift)}", Tone.WARNING))
    yield from _reload(snapshot["reload"])
    if awaiting is not None:
        yield line(f"  waiting for {', '.join(awaiting['facts'])}: {awaiting['reason']}")
        yield line(f"  trying again in {duration(awaiting['retry_in_seconds'])}")


def _reload(reload: Snapshot | None) -> Iterator[Line]:
    said = sentences.reloaded(reload) if reload is not None else ""
    if reload is None or not said:
        return
    tone = Tone.PLAIN if reload["successful"] else Tone.WARNING
    yield line((f"  {said}", tone))
    for problem in reload["problems"]:
        yield line((f"    {problem}", tone))


def _database(database: Snapshot, traffic: Traffic) -> Iterator[Line]:
    mood = of_database(database)
    tone = Tone.PLAIN if mood is Mood.WELL else _MOODS[mood]
    name = (database["name"], Tone.STRONG)
    kind = ", ".join(sentences.traits(database))
    yield line(name, f" ({kind}): {sentences.sessions(database)}")
    yield line(f"  {' → '.join(sentences.path(database))}")
    yield line((f"  {sentences.situation(database)}", tone))
    if database["certificates"]:
        yield line((f"  former certificates in use: {database['certificates']}", Tone.WARNING))
    yield line(f"  DNS {sentences.lookup(database)}")
    yield line(f"  {_flow(database, traffic)}")
    addresses = sentences.ranked(database)
    if addresses:
        named = len({address["name"] for address in addresses}) > 1
        pool = set(database["choice"]["pool"])
        heads = (
            "",
            "address",
            *(["name"] if named else []),
            "state",
            "role",
            "for",
            "latency",
            "sessions",
            "why",
        )
        rows: list[list[Piece]] = [[(head, Tone.DIM) for head in heads]]
        rows += [
            _address(address, address["address"] in pool, named) for address in addresses[:MOST_ADDRESSES]
        ]
        for row in table(rows):
            yield (("  ", Tone.PLAIN), *row)
    if len(addresses) > MOST_ADDRESSES:
        yield line(f"     and {len(addresses) - MOST_ADDRESSES} more (--json has all)")


def _flow(database: Snapshot, traffic: Traffic) -> str:
    rates = traffic.rates(database["name"])
    now = (
        f"{size(rates[-1].to_server)}/s to the server, {size(rates[-1].to_client)}/s back; " if rates else ""
    )
    total = f"{size(database['to_server_bytes'])} to the server, {size(database['to_client_bytes'])} back"
    return f"traffic {now}since the start {total}"


def _address(address: Snapshot, chosen: bool, named: bool) -> list[Piece]:
    seconds = address["latency_seconds"]
    return [
        ("*" if chosen else "", Tone.GOOD),
        (address["address"], Tone.STRONG if chosen else Tone.PLAIN),
        *([(address["name"], Tone.PLAIN)] if named else []),
        (address["state"], Tone[grade(address["state"]).name]),
        (address["role"], Tone.PLAIN),
        (duration(address["since_seconds"]), Tone.PLAIN),
        ("" if seconds is None else latency(seconds), Tone.PLAIN),
        (str(address["sessions"]), Tone.PLAIN),
        (address["why"], Tone.PLAIN),
    ]
