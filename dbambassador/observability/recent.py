"""The last changes of state, in words: a fold over events. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from dbambassador.events import Event
from dbambassador.observability import phrases
from dbambassador.observability.phrases import Level, Phrase

KEPT = 50
"""Enough for the whole story of a failover, and one screen to read."""


class Recent:
    """Keeps the last 50 changes of state; the same one again only moves its time."""

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` gives seconds on any steady clock."""
        self._now = now
        self._kept: deque[tuple[float, Phrase]] = deque(maxlen=KEPT)

    def __call__(self, event: Event) -> None:
        if type(event) in phrases.DETAILS:
            return
        phrase = phrases.phrase(event)
        if phrase is None or phrase.level is Level.DEBUG:
            return
        if self._kept and self._kept[-1][1].message == phrase.message:
            self._kept.pop()
        self._kept.append((self._now(), phrase))

    def entries(self) -> list[dict[str, Any]]:
        """Newest first, as the snapshot has them."""
        now = self._now()
        return [
            {
                "seconds_ago": round(now - at, 3),
                "level": phrase.level.name.lower(),
                "database": phrase.database or None,
                "text": phrase.message,
            }
            for at, phrase in reversed(self._kept)
        ]
