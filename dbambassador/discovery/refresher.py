"""Keeps the targets of one database up to date: at TTL expiry, and in haste while nothing is usable."""

from __future__ import annotations

import math
import random

import trio

from dbambassador.discovery.pace import FAST_PERIOD, Urgency, follow, next_question, period
from dbambassador.discovery.parts import Parts
from dbambassador.discovery.resolver import Resolver
from dbambassador.events import Publish, TargetsChanged
from dbambassador.latest import Latest
from dbambassador.settings.schema import Database
from dbambassador.values import Address, Target, Targets

JITTER = 0.1
"""Share of the wait that chance adds, so that many ambassadors started together do not ask together. It only
adds: before the expiry the cache would answer."""
MOST_KNOWN = 256
"""Addresses that are remembered as found before: four times the most that an answer has."""


class Refresher:
    """Publishes where one database is, again and again.

    `targets` starts with an empty value (version 0): nothing asked yet. Every resolution is published, also
    one that found the same set; the event `TargetsChanged` only when the set or the failure is another.
    """

    def __init__(self, database: Database, resolver: Resolver, publish: Publish) -> None:
        self.targets: Latest[Targets] = Latest(Targets())
        self._known: set[Address] = set()
        self._database = database
        self._resolver = resolver
        self._publish = publish
        self._urgency: Latest[Urgency] = Latest(Urgency())
        self._published_at = -math.inf
        self._round = trio.CancelScope()

    def seek(self, urgent: bool) -> None:
        """Says whether a usable address is missing; to be called with the present state, however often.

        Urgent: a fresh question at once (never within `FAST_PERIOD` of the last fresh one), then every 200 ms
        for 5 s, then every second, all past the cache. Urgency that comes back soon goes on with this
        schedule where it was. Not urgent: when the answer expires.
        """
        before = self._urgency.value
        urgency = follow(before, urgent, trio.current_time())
        if urgency != before:
            self._urgency.publish(urgency)

    def adopt(self, database: Database) -> None:
        """Looks for the endpoints of these settings from now on; at once, if they are others."""
        before, self._database = self._database, database
        if database.endpoints != before.endpoints:
            self._round.cancel()

    async def run(self) -> None:
        """Resolves for ever. Never raises for DNS or the network; ends only by cancellation."""
        async with trio.open_nursery() as nursery:
            parts = Parts(nursery)
            while True:
                with trio.CancelScope() as self._round:
                    await self._refresh(parts)

    async def _refresh(self, parts: Parts) -> None:
        """Resolves and publishes once, then waits until the next time."""
        seeking, urgency, began = self._urgency.version, self._urgency.value, trio.current_time()
        after = max(self._published_at, began - period(urgency, began)) if urgency.present else None
        endpoints = self._database.endpoints
        targets = await self._resolver.resolve(endpoints, after=after, gather=parts.gather)
        if self._database.endpoints != endpoints:
            return
        self._take(targets)
        # A resolver that could not move its expiry must not be asked in a tight loop.
        rest = max(targets.expires_at - trio.current_time(), FAST_PERIOD)
        expiry = trio.current_time() + rest * random.uniform(1, 1 + JITTER)
        past_the_cache = urgency.present or targets.asked_at >= began
        await self._wait(began if past_the_cache else -math.inf, expiry, seeking)

    def _take(self, targets: Targets) -> None:
        before = self.targets.value
        self._published_at = trio.current_time()
        self.targets.publish(targets)
        if _essence(before) != _essence(targets):
            self._publish(TargetsChanged(self._database.name, targets, self._is_familiar(before, targets)))

    def _is_familiar(self, before: Targets, targets: Targets) -> bool:
        """Whether a pool's addresses merely took turns."""
        addresses = set(targets.addresses)
        familiar = bool(before.targets) and bool(addresses) and addresses <= self._known
        if len(self._known) > MOST_KNOWN:
            self._known.clear()
        self._known |= addresses
        return familiar and self._database.balance is not None and not (targets.stale or targets.failure)

    async def _wait(self, asked_fresh: float, expiry: float, seeking: int) -> None:
        """Returns when the next question is due, by the urgency at that time, whatever it was before."""
        while True:
            due = next_question(self._urgency.value, asked_fresh, expiry, trio.current_time())
            with trio.move_on_at(due):
                await self._urgency.newer(seeking)
            if trio.current_time() >= due:
                return
            seeking = self._urgency.version


def _essence(targets: Targets) -> tuple[tuple[Target, ...], str]:
    return targets.targets, targets.failure
