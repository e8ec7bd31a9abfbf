"""Where is the database?"""

from __future__ import annotations

from dataclasses import dataclass

from dbambassador.events.event import Event
from dbambassador.values import Targets


@dataclass(frozen=True, slots=True)
class LookupEnded(Event):
    """One DNS question was answered or given up."""

    name: str
    kind: str
    outcome: str
    """ok, nxdomain, nodata, timeout, servfail, refused, malformed, unreachable."""
    seconds: float


@dataclass(frozen=True, slots=True)
class TargetsChanged(Event):
    """The set of addresses, or the failure to find any, is another than before."""

    database: str
    targets: Targets
    familiar: bool = False
    """All of them were found before: some names answer with other ones of their addresses each time."""
