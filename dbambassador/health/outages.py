"""How often, and for how long, a database had no usable address. Pure."""

from __future__ import annotations


class Outages:
    """Those of one database since the process started. A start is none, but its seconds count."""

    def __init__(self, began: float) -> None:
        """`began`: since when there is no usable address, as there is none at the start."""
        self.count = 0
        self._since: float | None = began
        self._seconds = 0.0
        """Of those that are over."""

    def note(self, lost_at: float | None, now: float) -> float:
        """Takes note since when no address is usable, None while one is.

        Returns: the seconds of an outage, or a start, that is over by this; otherwise 0.
        """
        since, self._since = self._since, lost_at
        if since is None:
            self.count += lost_at is not None
            return 0.0
        if lost_at is not None:
            return 0.0
        self._seconds += now - since
        return now - since

    def seconds(self, now: float) -> float:
        """All that clients had no usable address, until now."""
        return self._seconds + (0.0 if self._since is None else now - self._since)
