"""What the two HTTP ports answer.

The health port says nothing that a stranger may not know. The admin port may end the process, so a web page
in a developer's browser must not reach it: every request needs a loopback Host (a page of another site that
rebinds its name to 127.0.0.1 sends its own) and no Origin (a page's script that posts sends one).
"""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from time import monotonic
from typing import Any, TypeVar

from dbambassador.events import (
    CatalogueReloaded,
    Publish,
    Reloaded,
    ReloadRefused,
    ReloadUntimely,
    RequestCrashed,
)
from dbambassador.observability.latencies import Latencies
from dbambassador.observability.metrics.exposition import Format, preferred
from dbambassador.observability.metrics.metrics import Metrics
from dbambassador.observability.page.files import page_files
from dbambassador.observability.page.page import render
from dbambassador.observability.recent import Recent
from dbambassador.observability.traffic import Traffic
from dbambassador.printable import printable
from dbambassador.transport.http_messages import Request, Response, text

Snapshot = dict[str, Any]
Answer = Callable[[], Response]
A = TypeVar("A")

HEADERS = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))
"""Of what the admin port shows: it is old at once, and never anything but what it says it is."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What the answers are made of."""

    snapshot: Callable[[], Snapshot]
    """The state of the whole process, without `recent` and latencies."""
    metrics: Metrics
    recent: Recent
    quit: Callable[[], None]
    """Starts the shutdown; called after the client has its answer."""
    reload: Callable[[str], Awaitable[Reloaded]]
    """Reads the environment files anew, at the wish of whoever is named."""
    relay_silence: Callable[[], float] = lambda: 0.0
    """Seconds for which the relay engine has owed a sign of life."""
    latencies: Latencies = field(default_factory=Latencies)

    def full(self) -> Snapshot:
        """The snapshot as `status --json` prints it."""
        whole = _finite({**self.latencies.within(self.snapshot()), "recent": self.recent.entries()})
        assert isinstance(whole, dict)
        return whole


SHARED = 0.1
"""Seconds for which the requests of a crowd share an answer: each costs up to a millisecond to make, and a
kubelet behind a thousand of them is to have its own within 1 s."""

LONGEST_SILENCE = 10.0
"""Seconds of the relay engine: what stalls a whole container for longer (a full CPU quota, a suspended host)
stalls the probe as well."""


class Health:
    """`/startup`, `/readiness`, `/liveness`, `/metrics`, by GET or HEAD."""

    def __init__(self, sources: Sources, publish: Publish) -> None:
        self._sources = sources
        self._publish = publish
        self._answers: dict[str, Answer] = {
            "/startup": lambda: _verdict(not_started(sources.snapshot())),
            "/readiness": lambda: _verdict(not_ready(sources.snapshot())),
            "/liveness": lambda: _verdict(not_alive(sources.relay_silence())),
        }
        self._metrics = {form: _Shared(partial(self._exposed, form)) for form in Format}

    def __call__(self, request: Request) -> Response:
        answers: dict[str, Answer] = {
            **self._answers,
            "/metrics": self._metrics[preferred(request.header("accept"))],
        }
        answer = answers.get(request.path)
        if answer is None:
            return text(404, f"not found; there are {', '.join(answers)}")
        return _checked(request, {"GET": answer, "HEAD": answer}, "health", self._publish)

    def _exposed(self, form: Format) -> Response:
        snapshot = self._sources.latencies.within(self._sources.snapshot())
        exposed = self._sources.metrics.exposed(snapshot, form)
        return Response(200, exposed.encode(), form.value)


class Admin:
    """`/`, `/status` by GET; `/quitquitquit`, `/reload` by POST alone."""

    def __init__(self, sources: Sources, publish: Publish) -> None:
        self._sources = sources
        self._publish = publish
        self._traffic = Traffic()
        page, status = _Shared(self._page), _Shared(self._status)
        self._answers: dict[str, dict[str, Callable[[], Response | Awaitable[Response]]]] = {
            "/": {"GET": page, "HEAD": page},
            "/status": {"GET": status, "HEAD": status},
            "/quitquitquit": {"POST": self._quit},
            "/reload": {"POST": self._reload},
        }

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        if not is_loopback(request.header("host") or ""):
            return text(403, "the Host header must name this host: localhost, 127.0.0.1 or [::1]")
        if request.header("origin") is not None:
            return text(403, "requests from web pages are refused")
        answers = self._answers.get(request.path)
        if answers is None:
            return text(404, f"not found; there are {', '.join(self._answers)}")
        return _checked(request, answers, "admin", self._publish)

    def _page(self) -> Response:
        snapshot, files = self._sources.full(), page_files()
        self._traffic.note(snapshot, monotonic())
        shown = render(snapshot, self._traffic, files)
        policy = ("Content-Security-Policy", files.policy)
        return Response(200, shown.encode(), "text/html; charset=utf-8", (policy, *HEADERS))

    def _status(self) -> Response:
        body = json.dumps(self._sources.full(), allow_nan=False) + "\n"
        return Response(200, body.encode(), "application/json", HEADERS)

    def _quit(self) -> Response:
        return Response(200, b"shutting down\n", afterwards=self._sources.quit)

    async def _reload(self) -> Response:
        try:
            return reloaded(await self._sources.reload("POST /reload"))
        except Exception as error:
            self._publish(RequestCrashed("admin", "/reload", repr(error)))
            return text(500, "a bug; see the log")


def reloaded(outcome: Reloaded) -> Response:
    """What is told whoever asked for a reload."""
    match outcome:
        case CatalogueReloaded(_, changes):
            return Response(200, _lines(changes or ("nothing is served otherwise than before",)))
        case ReloadRefused(_, problems):
            return Response(422, _lines(problems))
        case ReloadUntimely(_, reason):
            return text(409, reason)


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(f"{printable(line)}\n" for line in lines).encode()


class _Shared:
    """An answer that is made for each request, but for those of a crowd: they get one of a moment ago."""

    def __init__(self, make: Answer) -> None:
        self._make = make
        self._last: Response | None = None
        self._made_at = 0.0

    def __call__(self) -> Response:
        self._last, self._made_at = self._make(), monotonic()
        return self._last

    def of_a_moment_ago(self) -> Response:
        if self._last is None or monotonic() - self._made_at > SHARED:
            return self()
        return self._last


def not_started(snapshot: Snapshot) -> str:
    """Why the start is not over; empty once it is: listening, and the environment chosen."""
    awaiting = snapshot["awaiting"]
    if snapshot["phase"] == "awaiting" and awaiting is not None:
        return f"waiting for {', '.join(awaiting['facts'])}: {awaiting['reason']}"
    if snapshot["phase"] in ("locating", "awaiting"):
        return "finding out where this runs"
    return "" if snapshot["ready"] else "not listening yet"


def not_ready(snapshot: Snapshot) -> str:
    """Why no new clients should come; empty while they may. Never a question of the database's health."""
    return not_started(snapshot) or ("shutting down" if snapshot["phase"] == "draining" else "")


def not_alive(relay_silence: float) -> str:
    """Why only a restart helps; empty as long as the process answers and its relay engine does."""
    return "the relay engine does not answer" if relay_silence >= LONGEST_SILENCE else ""


def is_loopback(host: str) -> bool:
    """Whether a Host header (RFC 9110 section 7.2) names this host in a way no other site can."""
    if host.startswith("["):
        name, bracket, port = host[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            return False
        port = port[1:]
    else:
        name, _, port = host.partition(":")
    if port and not (port.isascii() and port.isdigit()):
        return False
    if name.lower() == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _verdict(why_not: str) -> Response:
    return text(503, why_not) if why_not else text(200, "ok")


def _checked(
    request: Request, answers: dict[str, Callable[[], A]], purpose: str, publish: Publish
) -> A | Response:
    answer = answers.get(request.method)
    if answer is None:
        allowed = ", ".join(answers)
        return Response(405, f"only by {allowed}\n".encode(), headers=(("Allow", allowed),))
    try:
        if request.crowded and isinstance(answer, _Shared):
            return answer.of_a_moment_ago()
        return answer()
    except Exception as error:
        # A bug in what we show must not end what we serve.
        publish(RequestCrashed(purpose, request.path, repr(error)))
        return text(500, "a bug; see the log")


def _finite(value: object) -> object:
    """JSON has no infinity (RFC 8259 section 6): a time without end is null."""
    match value:
        case float() if not math.isfinite(value):
            return None
        case dict():
            return {key: _finite(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_finite(inner) for inner in value]
    return value
