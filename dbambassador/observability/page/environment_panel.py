"""Where we are, and why: the status page's part about the environment. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dbambassador.observability import sentences
from dbambassador.observability.page.markup import Html, element, join, said, text
from dbambassador.observability.page.table import table
from dbambassador.observability.wording import duration

Snapshot = dict[str, Any]

MOST_PROBLEMS = 8
"""Of files that were refused: enough to begin with."""

STATUSES = {
    "matches": "matches too",
    "may-match": "may match",
    "ruled-out": "ruled out",
    "forbidden": "forbidden",
    "may-be-forbidden": "may be forbidden",
    "only-by-name": "only by name",
}
"""As `explain` puts them."""


def environment_panel(snapshot: Snapshot) -> Html:
    """The chosen environment with its reasons, or what is still waited for."""
    environment = snapshot["environment"]
    chosen = environment is not None
    return element(
        "section",
        *(_chosen(environment) if chosen else _awaited(snapshot["awaiting"])),
        *_changes(snapshot["drift"], snapshot["reload"]),
        _reasons(environment) if chosen else Html(),
        class_="card where",
        aria_labelledby="where",
    )


def _changes(drift: Snapshot | None, reload: Snapshot | None) -> Iterator[Html]:
    """What has become of the facts, and of the files, since the choice."""
    if drift is not None:
        yield element("p", said(sentences.drifted(drift)), class_="warning")
    if reload is not None:
        yield from _reload(reload)


def _reload(reload: Snapshot) -> Iterator[Html]:
    words = sentences.reloaded(reload)
    if words:
        yield element("p", said(words), class_="note" if reload["successful"] else "warning")
    problems = reload["problems"]
    if problems:
        shown = [element("li", said(problem)) for problem in problems[:MOST_PROBLEMS]]
        left = len(problems) - MOST_PROBLEMS
        yield element("ul", *shown, element("li", f"and {left} more") if left > 0 else Html())


def _awaited(awaiting: Snapshot | None) -> Iterator[Html]:
    yield element("h2", "No environment yet", id="where")
    if awaiting is not None:
        names = sentences.few(awaiting["facts"])
        again = duration(awaiting["retry_in_seconds"])
        yield element(
            "p", "Waiting for ", said(names), ": ", said(awaiting["reason"]), f"; trying again in {again}."
        )


def _chosen(environment: Snapshot) -> Iterator[Html]:
    kind = environment["kind"]
    shade = "tag production" if kind == "production" else "tag"
    yield element("h2", said(environment["name"]), " ", element("span", said(kind), class_=shade), id="where")
    yield element("p", "because ", said(environment["why"]))


def _reasons(environment: Snapshot) -> Html:
    return element(
        "details",
        element("summary", "The facts behind it, and why no other environment"),
        _facts(environment["facts"]),
        _others(environment),
        element("p", "Environment files: ", said(environment["directory"]), class_="note"),
        id="why",
    )


def _facts(facts: list[Snapshot]) -> Html:
    if not facts:
        return element("p", "It depends on no fact.")
    rows = [(said(fact["name"]), _value(fact), said(fact["source"])) for fact in facts]
    return table("The facts it depends on", ("fact", "found", "where"), rows)


def _value(fact: Snapshot) -> Html:
    if fact["state"] == "present":
        hint = text(" (a hint)") if fact["confidence"] == "hint" else Html()
        return join(element("strong", said(fact["value"])), hint)
    why = f": {fact['reason']}" if fact["reason"] else ""
    return said(f"{fact['state']}{why}")


def _others(environment: Snapshot) -> Html:
    others, count = environment["others"], environment["others_in_all"]
    if not others:
        return element("p", "There is no other environment.")
    rows = [
        (said(other["name"]), STATUSES.get(other["status"], said(other["status"])), _why(other))
        for other in others
    ]
    left = count - len(others)
    more = element("p", f"and {left} more; dbambassador explain --all shows them") if left > 0 else Html()
    return join(table("The other environments", ("environment", "here", "because"), rows), more)


def _why(other: Snapshot) -> Html:
    if other["requirement"] is None:
        return text(
            "its files let nothing but its name choose it" if other["status"] == "only-by-name" else ""
        )
    verb = "forbidden where " if "forbidden" in other["status"] else "needs "
    return join(verb, element("strong", said(other["requirement"])), "; found ", said(other["found"]))
