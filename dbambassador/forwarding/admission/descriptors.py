"""Whether this process has file descriptors enough: told once when they end, and once when they suffice."""

from __future__ import annotations

import trio

from dbambassador.events import DescriptorsExhausted, DescriptorsRecovered, Publish

QUIET = 5.0
"""Seconds without a shortage that count as recovered: at the limit, each session's end frees two."""


class Descriptors:
    """One for the process; every accept and every dial tells it how it went."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._short_at: float | None = None

    def exhausted(self) -> None:
        """There was none left."""
        if self._short_at is None:
            self._publish(DescriptorsExhausted("connections"))
        self._short_at = trio.current_time()

    def sufficed(self) -> None:
        """A session got all it needs."""
        if self._short_at is not None and trio.current_time() - self._short_at >= QUIET:
            self._short_at = None
            self._publish(DescriptorsRecovered("connections"))
