"""How many clients this process serves at once, over all databases."""

from __future__ import annotations

import sys

RESERVED = 64
"""Descriptors for everything but sessions: listeners, checks, questions to nameservers, files."""
PER_SESSION = 2


def capacity() -> int:
    """Clients for whom there are descriptors, after raising the soft limit to the hard one. 0: no limit."""
    if sys.platform == "win32":
        return 0
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError):
            pass  # macOS has a lower limit that it does not tell
    return 0 if soft == resource.RLIM_INFINITY else max(1, (soft - RESERVED) // PER_SESSION)


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
    def reached(self) -> bool:
        under_way = self.arrived - self.taken_over
        return bool(self.maximum) and self.clients + under_way >= self.maximum
