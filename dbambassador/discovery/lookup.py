"""Questions with a memory: identical ones in flight are shared, definite answers come from the cache."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from dbambassador.discovery.answers import Answer, Outcome, Question
from dbambassador.discovery.cache import Cache, Entry
from dbambassador.discovery.dns import ask
from dbambassador.discovery.resolv_conf import ResolvConf
from dbambassador.events import LookupEnded, Publish
from dbambassador.values import Address

MAX_LIFETIME = 3.0
"""Seconds for one question over all servers and tries, whatever resolv.conf allows: clients are waiting. It
is above the 1.8 s that RFC 8767 section 5 gives a recursive server before it turns to stale data."""

PREFERENCE = 30.0
"""Seconds for which a server that answered in another's place is asked first. Then the configured order holds
again, as it always does in glibc: a later server may have another view of the names (a public one after the
company's own), and one late answer must not bind us to it."""


class Lookup:
    """Asks the nameservers of one configuration; the cache is filled by them alone."""

    def __init__(self, configuration: ResolvConf, publish: Publish, former: Cache | None = None) -> None:
        """`former`: what was heard under the configurations before this one."""
        self.configuration = configuration
        self.cache = Cache()
        self.former = former or Cache()
        self._publish = publish
        self._in_flight: dict[Question, _Flight] = {}
        self._preferred = ""
        self._preferred_until = 0.0

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
            self._prefer(answer, now)
            flight.land(self.cache.put(answer, asked_at, now))
        else:
            flight.land(Entry(answer, asked_at, now))
        self._publish(LookupEnded(question.name, question.kind, answer.outcome.value, answer.seconds))

    def _prefer(self, answer: Answer, now: float) -> None:
        if answer.outcome is Outcome.NXDOMAIN:
            self._preferred = ""  # another server may know the name that this one does not
        elif answer.server != self._preferred or now >= self._preferred_until:
            self._preferred, self._preferred_until = answer.server, now + PREFERENCE

    def _servers(self) -> Sequence[Address]:
        """In the configured order, but for a while first the one that answered: a dead one delays once."""
        servers = self.configuration.nameservers
        if trio.current_time() >= self._preferred_until:
            return servers
        return sorted(servers, key=lambda server: str(server) != self._preferred)

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
