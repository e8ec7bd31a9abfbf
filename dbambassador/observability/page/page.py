"""The status page: a snapshot as one self-contained HTML page that a person understands in ten seconds. Pure.

The same page serves who has no JavaScript: it loads itself anew. With JavaScript, a small script asks for it
every second and changes what differs; so there is one renderer, and it is here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from dbambassador.observability import sentences
from dbambassador.observability.page.database_panel import database_panel
from dbambassador.observability.page.environment_panel import environment_panel
from dbambassador.observability.page.files import PageFiles
from dbambassador.observability.page.markup import Html, element, join, said, text
from dbambassador.observability.traffic import Traffic
from dbambassador.observability.verdict import MARKS, Mood, Verdict, verdict
from dbambassador.observability.wording import count, duration
from dbambassador.printable import shortened

Snapshot = dict[str, Any]

REFRESH = 2
"""Seconds, without JavaScript: a failover is watched live, and a forgotten tab costs little."""

MOST_DATABASES = 20
MOST_EVENTS = 20
MOST_FINDINGS = 6
"""What a person reads of a page that is anew each second; `status --json` has the rest."""

_BADGES = {
    Mood.WELL: ("well", "all is well"),
    Mood.PASSING: ("passing", "one moment"),
    Mood.REDUCED: ("reduced", "attention"),
    Mood.TROUBLE: ("trouble", "trouble"),
}
_COLOURS = {Mood.WELL: "#1a7f4b", Mood.PASSING: "#5b6470", Mood.REDUCED: "#c98500", Mood.TROUBLE: "#d0312d"}
_LEVELS = {"warning": "▲", "error": "✖"}


def render(snapshot: Snapshot, traffic: Traffic, files: PageFiles) -> str:
    """The page. Raises KeyError or TypeError for what is no snapshot."""
    found = verdict(snapshot)
    head = join(
        Html('<meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark">'),
        element("noscript", Html(f'<meta http-equiv="refresh" content="{REFRESH}">')),
        element("title", _title(found, snapshot)),
        Html(f'<link rel="icon" href="data:image/svg+xml,{quote(_icon(found.mood))}">'),
        Html(f"<style>{files.style}</style>"),
    )
    body = join(_HEADER, _main(snapshot, traffic, found), Html(f"<script>{files.script}</script>"))
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


_HEADER = Html(
    "<header><p>dbambassador</p>"
    '<p id="state" role="status">as it was when it was loaded</p>'
    '<button id="pause" type="button" aria-pressed="false" hidden>Pause</button></header>\n'
    '<p id="gone" role="alert" hidden></p>\n'
)


def _title(found: Verdict, snapshot: Snapshot) -> str:
    environment = snapshot["environment"]
    where = f"{shortened(environment['name'], 40)} · " if environment is not None else ""
    return f"{MARKS[found.mood]} {where}{sentences.summary(snapshot)} · dbambassador"


def _icon(mood: Mood) -> str:
    """For the browser's tab: the mood by colour, and by shape."""
    shape = {
        Mood.WELL: '<circle cx="8" cy="8" r="7"/>',
        Mood.PASSING: '<circle cx="8" cy="8" r="5" fill="none" stroke-width="4"/>',
        Mood.REDUCED: '<path d="M8 1 16 15H0z"/>',
        Mood.TROUBLE: '<path d="m3 3 10 10M13 3 3 13" stroke-width="4"/>',
    }[mood]
    colour = _COLOURS[mood]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" fill="{colour}" stroke="{colour}">'
        f"{shape}</svg>"
    )


def _main(snapshot: Snapshot, traffic: Traffic, found: Verdict) -> Html:
    databases = snapshot["databases"]
    panels = [
        database_panel(number, database, traffic.rates(database["name"]))
        for number, database in enumerate(databases[:MOST_DATABASES])
    ]
    more = len(databases) - MOST_DATABASES
    return element(
        "main",
        _verdict(found),
        environment_panel(snapshot),
        *panels,
        element("p", f"and {count(more, 'more database')}") if more > 0 else Html(),
        _events(snapshot["recent"]),
        _footer(snapshot),
    )


def _verdict(found: Verdict) -> Html:
    name, words = _BADGES[found.mood]
    more = found.more[:MOST_FINDINGS]
    left = len(found.more) - len(more)
    also = [*map(said, more), *([text(f"and {left} more")] if left > 0 else [])]
    return element(
        "section",
        element("p", element("span", MARKS[found.mood], aria_hidden="true"), f" {words}", class_="badge"),
        element("h1", said(found.first.what)),
        element("p", said(found.first.why), class_="why") if found.first.why else Html(),
        element("ul", *(element("li", line) for line in also)) if also else Html(),
        class_=f"verdict {name}",
        role="status",
        aria_label="verdict",
    )


def _events(recent: list[Snapshot]) -> Html:
    shown = recent[:MOST_EVENTS]
    return element(
        "section",
        element("h2", "Last events", id="events"),
        element("ol", *map(_event, shown), class_="events") if shown else element("p", "none yet"),
        class_="card",
        aria_labelledby="events",
    )


def _event(event: Snapshot) -> Html:
    mark = _LEVELS.get(event["level"])
    return element(
        "li",
        element("span", f"{duration(event['seconds_ago'])} ago", class_="when"),
        element(
            "span",
            element("span", f"{mark} ", role="img", aria_label=event["level"]) if mark else Html(),
            said(event["text"]),
        ),
        class_=event["level"] if mark else None,
    )


def _footer(snapshot: Snapshot) -> Html:
    clients = snapshot["clients"]
    limit = f" of at most {clients['limit']}" if clients["limit"] is not None else ""
    parts = list(_about(snapshot))
    return element(
        "footer",
        f"{' · '.join(parts)} · {count(clients['connected'], 'client')}{limit} · ",
        element("a", "as JSON", href="/status"),
    )


def _about(snapshot: Snapshot) -> Iterator[str]:
    yield f"dbambassador {snapshot['version']}"
    yield f"up for {duration(snapshot['uptime_seconds'])}"
