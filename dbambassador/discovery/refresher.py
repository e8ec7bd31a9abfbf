"""Keeps the targets of one database up to date: at TTL expiry, and in haste while nothing is usable."""

from __future__ import annotations

import math
import random

import trio

from dbambassador.discovery.resolver import Resolver
from dbambassador.events import Publish, TargetsChanged
from dbambassador.latest import Latest
from dbambassador.settings.schema import Database
from dbambassador.values import Target, Targets

HASTE = 5.0
"""Seconds of the fast schedule: a failover that is under way is over by then or takes longer (Aurora and its
like publish TTLs of 5 s)."""
FAST_PERIOD = 0.2
"""Seconds between fresh questions in haste: half of it is the mean delay that we add to a failover."""
SLOW_PERIOD = 1.0
"""Seconds between fresh questions after that: a nameserver is not to be flooded through a long outage."""
JITTER = 0.1
"""Share of the wait that chance adds, so that many ambassadors started together do not ask together. It only
adds: before the expiry the cache would answer."""


class Refresher:
    """Publishes where one database is, again and again.

    `targets` starts with an empty value (version 0): nothing asked yet. Every resolution is published, also
    one that found the same set; the event `TargetsChanged` only when the set or the failure is another.
    """

    def __init__(self, database: Database, resolver: Resolver, publish: Publish) -> None:
        self.targets: Latest[Targets] = Latest(Targets())
        self._database = database
        self._resolver = resolver
        self._publish = publish
        self._urgent_since: Latest[float | None] = Latest(None)

    def seek(self, urgent: bool) -> None:
        """Says whether a usable address is missing; to be called with the present state, however often.

        Urgent: a fresh question at once (never within `FAST_PERIOD` of the last fresh one), then every 200 ms
        for 5 s, then every second, all past the cache. Not urgent: when the answer expires.
        """
        if urgent != (self._urgent_since.value is not None):
            self._urgent_since.publish(trio.current_time() if urgent else None)

    async def run(self) -> None:
        """Resolves for ever. Never raises for DNS or the network; ends only by cancellation."""
        while True:
            seeking = self._urgent_since.version
            fresh = self._urgent_since.value is not None
            began = trio.current_time()
            targets = await self._resolver.resolve(self._database.endpoints, fresh=fresh)
            self._take(targets)
            # A resolver that could not move its expiry must not be asked in a tight loop.
            rest = max(targets.expires_at - trio.current_time(), FAST_PERIOD)
            expiry = trio.current_time() + rest * random.uniform(1, 1 + JITTER)
            await self._wait(began if fresh else -math.inf, expiry, seeking)

    def _take(self, targets: Targets) -> None:
        before = self.targets.value
        self.targets.publish(targets)
        if _essence(before) != _essence(targets):
            self._publish(TargetsChanged(self._database.name, targets))

    async def _wait(self, asked_fresh: float, expiry: float, seeking: int) -> None:
        """Returns when the next question is due, by the urgency at that time, whatever it was before."""
        while True:
            due = next_question(self._urgent_since.value, asked_fresh, expiry)
            with trio.move_on_at(due):
                await self._urgent_since.newer(seeking)
            if trio.current_time() >= due:
                return
            seeking = self._urgent_since.version


def next_question(urgent_since: float | None, asked_fresh: float, expiry: float) -> float:
    """When to ask next. Pure; all are times on one clock.

    `asked_fresh`: when the last question past the cache was put, `-inf` if the last one may have been
    answered from it. `expiry`: when to ask if there is no hurry.
    """
    if urgent_since is None:
        return expiry
    if asked_fresh < urgent_since:
        return max(urgent_since, asked_fresh + FAST_PERIOD)
    return asked_fresh + (FAST_PERIOD if asked_fresh - urgent_since < HASTE else SLOW_PERIOD)


def _essence(targets: Targets) -> tuple[tuple[Target, ...], str]:
    return targets.targets, targets.failure
