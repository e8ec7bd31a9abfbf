"""The status page: a snapshot as one self-contained HTML page that loads itself anew. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

from dbambassador.observability import status
from dbambassador.observability.wording import count, duration
from dbambassador.printable import printable

Snapshot = dict[str, Any]

REFRESH = 2
"""Seconds: a failover is watched live, and a forgotten tab costs nothing worth counting."""

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; vertical-align: top }
td:first-child { white-space: nowrap }
td:nth-child(2), td:last-child { overflow-wrap: anywhere }
th { font-weight: 600; border-bottom: 1px solid }
.chosen { font-weight: 600 }
.path { font-size: 1.1rem }
"""


def render(snapshot: Snapshot) -> str:
    """The page. Every value is escaped: names come from the network."""
    title = f"dbambassador: {status.summary(snapshot)}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="refresh" content="{REFRESH}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(_body(snapshot, title))
        + "\n</body></html>\n"
    )


def _text(value: object) -> str:
    return escape(printable(value))


def _body(snapshot: Snapshot, title: str) -> Iterator[str]:
    yield f"<h1>{_text(title)}</h1>"
    yield f"<p>version {_text(snapshot['version'])}, up for {duration(snapshot['uptime_seconds'])}</p>"
    environment, awaiting = snapshot["environment"], snapshot["awaiting"]
    if environment is not None:
        yield (
            f"<p>environment <strong>{_text(environment['name'])}</strong> ({_text(environment['kind'])})"
            f" from {_text(environment['directory'])}<br>because {_text(environment['why'])}</p>"
        )
    if snapshot["drift"] is not None:
        yield f"<p><strong>{_text(status.drifted(snapshot['drift']))}</strong></p>"
    if awaiting is not None:
        missing = _text(", ".join(awaiting["facts"]))
        yield (
            f"<p>environment not chosen yet: waiting for {missing}: {_text(awaiting['reason'])};"
            f" trying again in {duration(awaiting['retry_in_seconds'])}</p>"
        )
    for database in snapshot["databases"]:
        yield from _database(database)
    yield "<h2>last events</h2>"
    rows = ((f"{duration(event['seconds_ago'])} ago", event["text"]) for event in snapshot["recent"])
    yield from _table(("when", "what"), ((row, False) for row in rows))


def _database(database: Snapshot) -> Iterator[str]:
    yield f"<h2>{_text(database['name'])} ({_text(database['protocol'])})</h2>"
    yield f'<p class="path">{_text(" → ".join(status.path(database)))}</p>'
    yield f"<p>{_text(status.situation(database))}<br>DNS {_text(status.lookup(database))}<br>"
    yield f"{count(database['sessions'], 'session')}, {count(database['held'], 'client')} waiting</p>"
    pool = database["choice"]["pool"]
    rows = (
        (
            (
                address["address"],
                address["name"],
                address["state"],
                address["role"],
                duration(address["since_seconds"]),
                str(address["sessions"]),
                address["why"],
            ),
            address["address"] in pool,
        )
        for address in database["addresses"]
    )
    yield from _table(("address", "name", "state", "role", "for", "sessions", "why"), rows)


def _table(heads: Iterable[str], rows: Iterable[tuple[Iterable[str], bool]]) -> Iterator[str]:
    yield f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>"
    for cells, chosen in rows:
        mark = ' class="chosen"' if chosen else ""
        yield f"<tr{mark}>{''.join(f'<td>{_text(cell)}</td>' for cell in cells)}</tr>"
    yield "</table>"
