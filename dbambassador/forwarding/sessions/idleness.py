"""Which sessions have been idle for too long: nothing passed through them, in either direction. Pure.

They are kept in the order in which something last passed. So a look concerns those of which something passed
since the look before, and those that are overdue; five thousand that rest cost nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

SPARE = 64
"""Sessions that have ended and may still be known, beside as many as there are live ones."""


class Idleness(Generic[T]):
    """Who has been idle since when."""

    def __init__(self, timeout: float) -> None:
        """`timeout`: seconds; 0: nobody is ever overdue."""
        self._timeout = timeout
        self._since: OrderedDict[T, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._since)

    def moved(self, sessions: Iterable[T], now: float) -> None:
        """Something passed through these, or they have begun."""
        if self._timeout:
            for session in sessions:
                self._since[session] = now
                self._since.move_to_end(session)

    def overdue(self, now: float) -> list[T]:
        """Those that have been idle for the whole timeout, each told once."""
        found = []
        while self._since:
            session, since = next(iter(self._since.items()))
            if now < since + self._timeout:
                break
            del self._since[session]
            found.append(session)
        return found

    def forget_ended(self, live: int, is_live: Callable[[T], bool]) -> None:
        """Forgets those that have ended, once there are more of them than live ones: each look would cost too
        much, and a timeout of an hour would keep an hour's sessions."""
        if len(self._since) > 2 * live + SPARE:
            self._since = OrderedDict((each, since) for each, since in self._since.items() if is_live(each))
