"""How often it is asked where a database is. Pure; all times are on one clock, in seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

HASTE = 5.0
"""Seconds of the fast schedule: a failover that is under way is over by then or takes longer (Aurora and its
like publish TTLs of 5 s)."""
FAST_PERIOD = 0.2
"""Seconds between fresh questions in haste: half of it is the mean delay that we add to a failover."""
SLOW_PERIOD = 1.0
"""Seconds between fresh questions after that: a nameserver is not to be flooded through a long outage."""
SOON = 10.0
"""Seconds without urgency after which its return counts as a new failover. Trials of a failed address take
the urgency away for a moment, each time, and come no further apart than 8 s; two failovers do."""


@dataclass(frozen=True, slots=True)
class Urgency:
    """A time in which a usable address is missing, or the last such time."""

    since: float = -math.inf
    """When it began; later by all its pauses, as if they had not been."""
    until: float = -math.inf
    """When it ended; infinite while it is present."""

    @property
    def present(self) -> bool:
        return self.until == math.inf


def follow(before: Urgency, urgent: bool, now: float) -> Urgency:
    """The urgency once the present state is known. One that returns soon goes on where it was."""
    if urgent == before.present:
        return before
    if not urgent:
        return replace(before, until=now)
    pause = now - before.until
    return Urgency(before.since + pause if pause < SOON else now, math.inf)


def period(urgency: Urgency, now: float) -> float:
    """Seconds between fresh questions, while there is urgency."""
    return FAST_PERIOD if now - urgency.since < HASTE else SLOW_PERIOD


def next_question(urgency: Urgency, asked_fresh: float, expiry: float, now: float) -> float:
    """When to ask next; a time that has passed means at once.

    `asked_fresh`: when the last question past the cache was put, `-inf` if the last one may have been
    answered from it. `expiry`: when to ask if there is no hurry.
    """
    return asked_fresh + period(urgency, now) if urgency.present else expiry
