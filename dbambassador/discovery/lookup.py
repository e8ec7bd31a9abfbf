"""Questions with a memory: identical ones in flight are shared, definite answers come from the cache."""

from __future__ import annotations

import math
from collections.abc import Sequence

import trio

from dbambassador.discovery.answers import Answer, Outcome, Question
from dbambassador.discovery.ask import ask
from dbambassador.discovery.cache import Cache, Entry
from dbambassador.discovery.pace import SLOW_PERIOD
from dbambassador.discovery.resolv_conf import ResolvConf
from dbambassador.events import LookupEnded, Publish
from dbambassador.values import Address

MAX_LIFETIME = 3.0
"""Seconds for one question over all servers and tries, whatever resolv.conf allows: clients are waiting. It
is above the 1.8 s that RFC 8767 section 5 gives a recursive server before it turns to stale data."""

REMEMBERED = SLOW_PERIOD
"""Seconds that the end of a question is kept for others who want a fresh one, so that the databases of one
name ask for it no more often than one of them would alone."""

PREFERENCE = 30.0
"""Seconds for which a server that answered in another's place is asked first. Then the configured order holds
again, as it always does in glibc: a later server may have another view of the names (a public one after the
company's own), and one late answer must not bind us to it."""
URGENT_PREFERENCE = 2.0
"""The same while an answer past the cache is wanted, since the present one is of no use: that other view may
be why. A dead first server then costs its `PATIENCE` once in two seconds."""


class Lookup:
    """Asks the nameservers of one configuration; the cache is filled by them alone."""

    def __init__(self, configuration: ResolvConf, publish: Publish, former: Cache | None = None) -> None:
        """`former`: what was heard under the configurations before this one."""
        self.configuration = configuration
        self.cache = Cache()
        self.former = former or Cache()
        self._publish = publish
        self._flights: dict[Question, _Flight] = {}
        """The last one of each question, while under way and for a moment after that."""
        self._preferred = ""
        self._preferred_since = -math.inf

    async def ask(self, question: Question, *, after: float | None = None) -> tuple[Entry, bool]:
        """The answer, and whether it came from the cache. A failure is an answer that expires at once.

        `after` goes past the cache: the answer is one whose question was put later than that, by whomever, or
        is under way; `asked_at` tells. A caller that is cancelled leaves the question under way: its answer
        reaches the cache.
        """
        now = trio.current_time()
        cached = self.cache.fresh(question, now) if after is None else None
        if cached:
            return cached, True
        flight = self._flights.get(question)
        if flight is None or (flight.over and (after is None or flight.asked_at <= after)):
            flight = self._depart(question, now, PREFERENCE if after is None else URGENT_PREFERENCE)
        return await flight.landed(), False

    def _depart(self, question: Question, now: float, preference: float) -> _Flight:
        self._flights = {
            asked: flight
            for asked, flight in self._flights.items()
            if not flight.over or now < flight.asked_at + REMEMBERED
        }
        flight = self._flights[question] = _Flight(now)
        # A system task: it belongs to no caller, may outlive the one that began it, and ends within
        # MAX_LIFETIME.
        servers = self._servers(now, preference)
        trio.lowlevel.spawn_system_task(self._fly, question, servers, flight, name=f"ask {question}")
        return flight

    async def _fly(self, question: Question, servers: Sequence[Address], flight: _Flight) -> None:
        try:
            answer = await ask(question, servers, self._lifetime)
            now = trio.current_time()
            if answer.outcome.definite:
                self._prefer(answer, asked_first=servers[0], now=now)
                entry = self.cache.put(answer, flight.asked_at, now)
            else:
                entry = Entry(answer, flight.asked_at, now)
            self._publish(LookupEnded(question.name, question.kind, answer.outcome.value, answer.seconds))
        except Exception as bug:
            # Out of a system task it would end the process, and nobody who waits would ever land.
            flight.land(bug)
        else:
            flight.land(entry)

    def _prefer(self, answer: Answer, *, asked_first: Address, now: float) -> None:
        if answer.outcome is Outcome.NXDOMAIN:
            self._preferred = ""  # another server may know the name that this one does not
        elif answer.server != str(asked_first):
            self._preferred, self._preferred_since = answer.server, now

    def _servers(self, now: float, preference: float) -> Sequence[Address]:
        """In the configured order, but for a while first the one that answered: a dead one delays once."""
        servers = self.configuration.nameservers
        if now >= self._preferred_since + preference:
            return servers
        return sorted(servers, key=lambda server: str(server) != self._preferred)

    @property
    def _lifetime(self) -> float:
        return min(float(self.configuration.timeout * self.configuration.attempts), MAX_LIFETIME)


class _Flight:
    """A question under way, and all who wait for its answer."""

    def __init__(self, asked_at: float) -> None:
        self.asked_at = asked_at
        self._end: Entry | Exception | None = None
        self._event = trio.Event()

    @property
    def over(self) -> bool:
        return self._end is not None

    def land(self, end: Entry | Exception) -> None:
        self._end = end
        self._event.set()

    async def landed(self) -> Entry:
        await self._event.wait()
        assert self._end is not None
        if isinstance(self._end, Exception):
            raise self._end
        return self._end
