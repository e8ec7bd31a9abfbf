"""`Latest[T]`: the only pipe between stages.

It holds one whole value and a version. A reader that was busy sees the newest value and never the ones in
between: failover is decided from the present state, not from a chain of edges that could be missed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class Latest(Generic[T]):
    """A versioned value with "wait for a newer one". Publishing never blocks and never fails."""

    def __init__(self, value: T) -> None:
        self._value = value
        self._version = 0
        self._newer = trio.Event()

    @property
    def value(self) -> T:
        return self._value

    @property
    def version(self) -> int:
        """Grows by one with every publication."""
        return self._version

    def publish(self, value: T) -> None:
        self._value = value
        self._version += 1
        awaited, self._newer = self._newer, trio.Event()
        awaited.set()

    async def newer(self, than: int) -> T:
        """Waits until the version is above `than`, and gives the value then current."""
        while self._version <= than:
            await self._newer.wait()
        return self._value

    def values(self) -> AsyncIterator[T]:
        """The present value, then every newest one for ever; values that were overtaken are skipped."""
        return _Values(self)


class _Values(AsyncIterator[T]):
    # No asynchronous generator: one that is left early waits for the garbage collector to be closed.

    def __init__(self, latest: Latest[T]) -> None:
        self._latest = latest
        self._seen = -1

    async def __anext__(self) -> T:
        value = await self._latest.newer(self._seen)
        self._seen = self._latest.version
        return value
