"""How many file descriptors this process may have, and how many of them the HTTP ports get."""

from __future__ import annotations

import sys

FEWEST_PLACES, MOST_PLACES = 16, 1024
"""Connections at once on each HTTP port. With 1024, a thousand clients that connect before the first one asks
are all borne, and a thousand that never ask are in nobody's way."""
_SHARE = 16
"""One in so many descriptors, for each port."""


def allowed() -> int:
    """Descriptors, after raising the soft limit to the hard one. 0: no limit."""
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
    return 0 if soft == resource.RLIM_INFINITY else soft


def http_places(descriptors: int) -> int:
    """Connections that one HTTP port serves at once. Sessions must not go short of descriptors for them."""
    if not descriptors:
        return MOST_PLACES
    return min(MOST_PLACES, max(FEWEST_PLACES, descriptors // _SHARE))
