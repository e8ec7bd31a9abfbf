"""How long each address took to answer when it was last asked: a fold over events. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from dbambassador import events
from dbambassador.events import Event

Snapshot = dict[str, Any]

KEPT = 1000
"""Addresses that are remembered: they come and go, and nobody tells this fold of those that are gone."""

_SUCCESSES = frozenset({"answered", "connected"})
"""Outcomes of checks and of dials. How long a failure took says how patient we are, not how far it is."""

_UNKNOWN: Snapshot = {"latency_seconds": None, "latency_of": None}


class Latencies:
    """Keeps the last successful check's or dial's duration for each address."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], Snapshot] = OrderedDict()

    def __call__(self, event: Event) -> None:
        match event:
            case events.DialEnded(database, address, outcome, seconds) if outcome in _SUCCESSES:
                self._keep(database, str(address), seconds, "dial")
            case events.ProbeEnded(database, address, outcome, seconds) if outcome in _SUCCESSES:
                self._keep(database, str(address), seconds, "check")

    def within(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot, in which every address has its latency."""
        databases = snapshot.get("databases", ())
        return {**snapshot, "databases": [self._within_database(database) for database in databases]}

    def _within_database(self, database: Snapshot) -> Snapshot:
        addresses = [
            {**_UNKNOWN, **address, **self._kept.get((database["name"], address["address"]), {})}
            for address in database["addresses"]
        ]
        return {**database, "addresses": addresses}

    def _keep(self, database: str, address: str, seconds: float, of: str) -> None:
        key = (database, address)
        self._kept[key] = {"latency_seconds": round(seconds, 6), "latency_of": of}
        self._kept.move_to_end(key)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
