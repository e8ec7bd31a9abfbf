"""The parts of one set, looked up side by side: endpoints of a database, or the hosts that SRV records name.

A part whose nameserver is silent takes seconds. It must not hold up the others: while it is late, it stays as
it was last found, so that nothing in it looks omitted, and the set is as old as that. A part that was never
found yet may be left out only if what is there already is to be preferred to whatever it will bring: the
order of endpoints and of SRV priorities says which database is meant first.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import trio

from dbambassador.discovery import wording
from dbambassador.discovery.answers import Question
from dbambassador.discovery.cache import MAX_STALE
from dbambassador.discovery.search import RESOLUTION_DELAY
from dbambassador.values import Targets

PART_DELAY = RESOLUTION_DELAY
"""Seconds that parts which have come wait for the late ones: the same as one address family for the other."""


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a set."""

    key: Hashable
    """What it is: the same key in the next set means the same part."""
    question: Question
    """How it is called in a step, while nothing else can be said of it."""
    floor: int
    """The least priority that its targets may have."""
    source: object
    """What is asked: an answer that another source still owes is not waited for."""
    look_up: Callable[[], Awaitable[Targets]]


Gather = Callable[[Sequence[Part]], Awaitable[Sequence[Targets]]]
"""Looks up parts, and gives each one's targets in the order of the parts."""


async def all_of(wanted: Sequence[Part]) -> Sequence[Targets]:
    """Waits for every part, as somebody does who looks just once."""
    found: dict[int, Targets] = {}

    async def look_up(index: int, part: Part) -> None:
        found[index] = await part.look_up()

    async with trio.open_nursery() as nursery:
        for index, part in enumerate(wanted):
            nursery.start_soon(look_up, index, part)
    return [found[index] for index in range(len(wanted))]


class Parts:
    """The parts of one database's sets, with a memory from each set to the next."""

    def __init__(self, nursery: trio.Nursery) -> None:
        """`nursery`: where late parts go on between two sets."""
        self._nursery = nursery
        self._flights: dict[Hashable, _Flight] = {}
        """Under way, or landed since the last set."""
        self._known: dict[Hashable, Targets] = {}
        self._landing = trio.Event()

    async def gather(self, wanted: Sequence[Part]) -> Sequence[Targets]:
        """Waits for every part, but not for late ones that the others need not wait for.

        These are stood in for, and expire at once: the next set will have them. One that was never found has
        no time of asking either.
        """
        self._forget(trio.current_time())
        flights = [self._flight(part) for part in wanted]
        deadline = math.inf
        while any(flight.found is None for flight in flights) and trio.current_time() < deadline:
            if self._may_do_without_late(wanted, flights):
                deadline = min(deadline, trio.current_time() + PART_DELAY)
            with trio.move_on_at(deadline):
                await self._landing.wait()
        return [self._collect(part, flight) for part, flight in zip(wanted, flights, strict=True)]

    def _flight(self, part: Part) -> _Flight:
        flight = self._flights.get(part.key)
        if flight is None or flight.source is not part.source:
            flight = self._flights[part.key] = _Flight(part.source, trio.current_time())
            self._nursery.start_soon(self._fly, part, flight, name=f"look up {part.question.name}")
        return flight

    async def _fly(self, part: Part, flight: _Flight) -> None:
        flight.found = await part.look_up()
        if self._flights.get(part.key) is flight:
            self._known[part.key] = flight.found
        landing, self._landing = self._landing, trio.Event()
        landing.set()

    def _may_do_without_late(self, wanted: Sequence[Part], flights: Sequence[_Flight]) -> bool:
        came = [(index, flight.found) for index, flight in enumerate(flights) if flight.found]
        best = min(
            ((target.priority, index) for index, found in came for target in found.targets),
            default=(math.inf, 0),
        )
        return bool(came) and all(
            flight.found or part.key in self._known or best < (part.floor, index)
            for index, (part, flight) in enumerate(zip(wanted, flights, strict=True))
        )

    def _collect(self, part: Part, flight: _Flight) -> Targets:
        if flight.found is not None:
            if self._flights.get(part.key) is flight:
                del self._flights[part.key]
            return flight.found
        now = trio.current_time()
        known = self._known.get(part.key) or Targets()
        late = wording.late(part.question, now - flight.began)
        return replace(known, steps=(late, *known.steps), expires_at=now)

    def _forget(self, now: float) -> None:
        """What SRV records no longer name."""
        self._flights = {
            key: flight
            for key, flight in self._flights.items()
            if not flight.found or now < flight.found.expires_at
        }
        self._known = {key: found for key, found in self._known.items() if now < found.expires_at + MAX_STALE}


class _Flight:
    """A part being looked up."""

    def __init__(self, source: object, began: float) -> None:
        self.source = source
        self.began = began
        self.found: Targets | None = None
