"""How many clients this process serves at once, over all databases."""

from __future__ import annotations

from dbambassador.transport.descriptors import FEWEST_PLACES, allowed, http_places

RESERVED = 64
"""Descriptors for everything but sessions: listeners, checks, questions to nameservers, files, and two HTTP
ports with the fewest places."""
PER_SESSION = 2


def capacity() -> int:
    """Clients for whom there are descriptors. 0: no limit."""
    descriptors = allowed()
    if not descriptors:
        return 0
    http = 2 * (http_places(descriptors) - FEWEST_PLACES)
    return max(1, (descriptors - RESERVED - http) // PER_SESSION)


class Limit:
    """Counts clients. Each counter is written by one thread only."""

    def __init__(self, maximum: int) -> None:
        """`maximum`: 0 for as many as there can be."""
        self.maximum = maximum
        self.clients = 0
        """Whom trio's thread knows of."""
        self.arrived = 0
        """Clients that the engine's thread accepted, ever."""
        self.taken_over = 0
        """Those of them that trio's thread knows of, or knew."""

    @property
    def connected(self) -> int:
        """All clients now, those on their way from one thread to the other included."""
        return self.clients + self.arrived - self.taken_over

    @property
    def reached(self) -> bool:
        return bool(self.maximum) and self.connected >= self.maximum
