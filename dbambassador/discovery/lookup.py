"""Questions with a memory: identical ones in flight are shared, definite answers come from the cache."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from dbambassador.discovery.answers import Question
from dbambassador.discovery.cache import Cache, Entry
from dbambassador.discovery.dns import ask
from dbambassador.discovery.resolv_conf import ResolvConf
from dbambassador.events import LookupEnded, Publish
from dbambassador.values import Address

MAX_LIFETIME = 3.0
"""Seconds for one question over all servers and tries, whatever resolv.conf allows: clients are waiting. It
is above the 1.8 s that RFC 8767 section 5 gives a recursive server before it turns to stale data."""


class Lookup:
    """Asks the nameservers of one configuration; the cache lives and dies with it."""

    def __init__(self, configuration: ResolvConf, publish: Publish) -> None:
        self.configuration = configuration
        self.cache = Cache()
        self._publish = publish
        self._in_flight: dict[Question, _Flight] = {}
        self._preferred: str = ""

    async def ask(self, question: Question, *, fresh: bool) -> tuple[Entry, bool]:
        """The answer, and whether it came from the cache. A failure is an answer that expires at once.

        `fresh` goes past the cache, but joins the same question if it is in flight: `asked_at` tells when it
        was put. A caller that is cancelled leaves the question in flight: its answer reaches the cache.
        """
        cached = None if fresh else self.cache.fresh(question, trio.current_time())
        if cached:
            return cached, True
        flight = self._in_flight.get(question)
        if flight is None:
            flight = self._in_flight[question] = _Flight()
            # A system task: it belongs to no caller, may outlive the one that began it, and ends within
            # MAX_LIFETIME.
            trio.lowlevel.spawn_system_task(self._fly, question, flight, name=f"ask {question}")
        return await flight.landed(), False

    async def _fly(self, question: Question, flight: _Flight) -> None:
        asked_at = trio.current_time()
        try:
            answer = await ask(question, self._servers(), self._lifetime)
        finally:
            del self._in_flight[question]
        now = trio.current_time()
        if answer.outcome.definite:
            self._preferred = answer.server
            flight.land(self.cache.put(answer, asked_at, now))
        else:
            flight.land(Entry(answer, asked_at, now))
        self._publish(LookupEnded(question.name, question.kind, answer.outcome.value, answer.seconds))

    def _servers(self) -> Sequence[Address]:
        """In the configured order, but first the one that answered last: a dead one delays only once."""
        return sorted(self.configuration.nameservers, key=lambda server: str(server) != self._preferred)

    @property
    def _lifetime(self) -> float:
        return min(float(self.configuration.timeout * self.configuration.attempts), MAX_LIFETIME)


class _Flight:
    """A question under way, and all who wait for its answer."""

    def __init__(self) -> None:
        self._entry: Entry | None = None
        self._event = trio.Event()

    def land(self, entry: Entry) -> None:
        self._entry = entry
        self._event.set()

    async def landed(self) -> Entry:
        await self._event.wait()
        assert self._entry is not None
        return self._entry
