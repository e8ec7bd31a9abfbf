"""One database on the status page: the way of its clients' bytes as a picture, addresses, traffic. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dbambassador.observability import sentences
from dbambassador.observability.grades import Grade, grade
from dbambassador.observability.page.markup import Html, element, join, said, text
from dbambassador.observability.page.sparkline import bar, sparkline
from dbambassador.observability.page.table import table
from dbambassador.observability.traffic import Rate
from dbambassador.observability.wording import count, duration, latency, size

Snapshot = dict[str, Any]

MOST_ADDRESSES = 12
MOST_STEPS = 12
"""Rows of one table; those in use come first."""

_SHAPES = {Grade.GOOD: "●", Grade.PLAIN: "○", Grade.WARNING: "◐", Grade.BAD: "✖"}
"""No colour speaks alone."""


def database_panel(number: int, database: Snapshot, rates: Sequence[Rate]) -> Html:
    """
    Args:
      number: its place on the page, for identifiers that no name can disturb.
      rates: of its traffic, oldest first.
    """
    name = f"database-{number}"
    traits = element("span", said(" · ".join(sentences.traits(database))), class_="note")
    return element(
        "section",
        element(
            "div",
            element("h2", said(database["name"]), " ", traits, id=name),
            _traffic(database, rates),
            class_="title",
        ),
        _path(database),
        _addresses(database),
        _lookup(number, database),
        class_="card",
        aria_labelledby=name,
    )


def _traffic(database: Snapshot, rates: Sequence[Rate]) -> Html:
    there = [(rate.began, rate.ended, rate.to_server) for rate in rates]
    back = [(rate.began, rate.ended, rate.to_client) for rate in rates]
    return element(
        "dl",
        _direction("to the server", database["to_server_bytes"], there),
        _direction("to clients", database["to_client_bytes"], back),
        class_="traffic",
    )


def _direction(words: str, total: int, steps: Sequence[tuple[float, float, float]]) -> Html:
    most = max((value for *_, value in steps), default=0.0)
    curve = sparkline(steps, f"traffic {words} in the last minute, at most {size(most)}/s")
    now = element("strong", f"{size(steps[-1][2])}/s" if steps else "–")
    whole = element("span", f"{size(total)} in all", class_="note")
    return element("div", element("dt", words), element("dd", now, whole, curve))


def _path(database: Snapshot) -> Html:
    pool = database["choice"]["pool"]
    broken = None if pool else "broken"
    return element(
        "ol",
        _stop("application", element("strong", count(database["sessions"], "session")), _waiting(database)),
        _stop("listens on", *_several(database["listeners"], "not listening")),
        _stop("name", *_several(sentences.names(database), "no name"), _freshness(database)),
        _stop("address", *_several(pool, "no address"), _use(database), mark=broken),
        class_="path",
        aria_label="the way of a client's bytes",
    )


def _stop(role: str, *lines: Html, mark: str | None = None) -> Html:
    return element("li", element("span", role, class_="role"), *lines, class_=mark)


def _several(texts: Sequence[str], none: str) -> list[Html]:
    """A line for each; a few of many."""
    if not texts:
        return [element("strong", none)]
    most = sentences.MOST_NAMED
    more = [element("span", f"and {len(texts) - most} more", class_="note")] if len(texts) > most else []
    return [*(element("strong", said(each)) for each in texts[:most]), *more]


def _waiting(database: Snapshot) -> Html:
    if not database["held"]:
        return Html()
    seconds = database["choice"]["held_seconds"]
    until = f", for {duration(seconds)} more" if seconds > 0 else ""
    return element("span", f"{count(database['held'], 'client')} waiting{until}", class_="note warning")


def _freshness(database: Snapshot) -> Html:
    targets = database["targets"]
    asked, ttl = targets["asked_seconds_ago"], targets["ttl_seconds"]
    if targets["failure"] or targets["stale"]:
        return element("span", "stale: DNS fails" if targets["stale"] else "DNS fails", class_="note warning")
    if asked is None:
        return element("span", "not asked yet", class_="note")
    if ttl is None:
        return element("span", "needs no DNS", class_="note")
    left = f"good for {duration(ttl)}"
    whole = asked + ttl
    return join(bar(ttl / whole if whole > 0 else 0.0, left), element("span", left, class_="note"))


def _use(database: Snapshot) -> Html:
    choice = database["choice"]
    if not choice["pool"]:
        words = (
            "clients wait" if not choice["settled"] or choice["held_seconds"] > 0 else "clients are refused"
        )
        return element("span", words, class_="note bad")
    if choice["on_trial"]:
        return element("span", "on trial with the next session", class_="note warning")
    if len(choice["pool"]) > 1:
        return element("span", f"{len(choice['pool'])} in use", class_="note")
    found = next((each for each in database["addresses"] if each["address"] == choice["address"]), None)
    if found is None:
        return Html()
    return element("span", said(" · ".join(_brief(found))), class_="note")


def _brief(address: Snapshot) -> Iterator[str]:
    yield address["state"]
    if address["role"] != "unknown":
        yield address["role"]
    if address["latency_seconds"] is not None:
        yield latency(address["latency_seconds"])


def _addresses(database: Snapshot) -> Html:
    if not database["addresses"]:
        return element("p", said(sentences.situation(database)), class_="warning")
    pool = set(database["choice"]["pool"])
    found = {each["address"]: each for each in database["targets"]["addresses"]}
    addresses = sentences.ranked(database)
    shown = addresses[:MOST_ADDRESSES]
    marks = ["chosen" if each["address"] in pool else "" for each in shown]
    heads = ("address", "name", "state", "role", "for", "latency", "sessions", "zone", "weight", "why")
    rows = [_row(each, found.get(each["address"]), chosen=each["address"] in pool) for each in shown]
    keep = [place for place in range(len(heads)) if _tells(heads[place], rows, place)]
    return join(
        table(
            "Addresses",
            [heads[place] for place in keep],
            [[row[place] for place in keep] for row in rows],
            marks,
        ),
        element("p", f"and {len(addresses) - len(shown)} more") if len(addresses) > len(shown) else Html(),
    )


def _tells(head: str, rows: Sequence[Sequence[Html]], place: int) -> bool:
    """Whether a column says anything: some do only where they differ."""
    return head not in ("name", "zone", "weight") or len({row[place] for row in rows}) > 1


def _row(address: Snapshot, target: Snapshot | None, *, chosen: bool) -> tuple[Html, ...]:
    graded = grade(address["state"])
    seconds = address["latency_seconds"]
    use = element("span", "in use", class_="tag") if chosen else Html()
    return (
        join(said(address["address"]), " ", use),
        said(address["name"]),
        element(
            "span",
            element("span", _SHAPES[graded], aria_hidden="true"),
            " ",
            said(address["state"]),
            class_=graded.value,
        ),
        said(address["role"]),
        text(duration(address["since_seconds"])),
        text("–" if seconds is None else latency(seconds)),
        text(address["sessions"]),
        said(target["zone"] if target is not None else ""),
        text(target["weight"] if target is not None else ""),
        said(address["why"]),
    )


def _lookup(number: int, database: Snapshot) -> Html:
    steps = database["targets"]["steps"][:MOST_STEPS]
    rows = [
        (
            said(step["question"]),
            said(step["kind"]),
            said(step["answer"]),
            said(step["server"]),
            text("–" if step["ttl_seconds"] is None else duration(step["ttl_seconds"])),
        )
        for step in steps
    ]
    return element(
        "details",
        element("summary", "How the name was looked up"),
        element("p", "DNS ", said(sentences.lookup(database))),
        table("Steps", ("question", "kind", "answer", "by", "TTL"), rows) if rows else Html(),
        id=f"lookup-{number}",
    )
