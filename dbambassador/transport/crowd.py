"""The clients of one HTTP server: how many there may be, and how long each may keep it waiting."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import trio

from dbambassador.transport.descriptors import MOST_PLACES

DENSE = 8
"""One in so many places taken is a crowd: monitoring and a browser or two are none."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server grants its clients."""

    header_bytes: int = 16 * 1024
    """Request line and headers together; beyond it, by one read at most, 431. Browsers stay below 8 KiB."""
    body_bytes: int = 4 * 1024
    """Beyond it 413. No order of ours has a body."""
    connections: int = MOST_PLACES
    """Served at the same time; later ones wait in the kernel's listen queue."""
    deadline: float = 5.0
    """Seconds to receive a request (also the next one on a kept connection), and again to answer it."""
    crowded_deadline: float = 0.25
    """The same while others wait for a place: a kubelet behind them gives up after 1 s."""

    @classmethod
    def of(cls, places: int) -> Limits:
        """For so many connections. With few places, who gives a sign of life must do so the sooner."""
        return cls(connections=places, crowded_deadline=cls().crowded_deadline * places / MOST_PLACES)


class Crowd:
    """Who is there. Slow clients may not starve a kubelet that waits behind them."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._places = trio.Semaphore(limits.connections)
        self._awaited: OrderedDict[trio.CancelScope, float] = OrderedDict()
        """Until when each is borne if others wait for its place; who came first, first."""

    @property
    def dense(self) -> bool:
        """So many are there that each is served one request: none may fill the place with a train."""
        return self.limits.connections - self._places.value > self.limits.connections // DENSE

    def enter_nowait(self) -> bool:
        """Takes a place if there is one."""
        try:
            self._places.acquire_nowait()
        except trio.WouldBlock:
            return False
        return True

    async def enter(self) -> None:
        """Waits for a place. Who has kept us waiting for the longest time leaves for it."""
        if self._places.value == 0 and self._awaited:
            scope, borne_until = self._awaited.popitem(last=False)
            scope.deadline = min(scope.deadline, borne_until)
        await self._places.acquire()

    def leave(self) -> None:
        self._places.release()

    @contextmanager
    def patience(self, *, leaving: bool = False) -> Iterator[trio.CancelScope]:
        """Bounds a wait for a client. `leaving`: it has its answer, and its place is given away first."""
        crowded = self._places.statistics().tasks_waiting > 0
        borne = 0.0 if leaving else self.limits.crowded_deadline
        with trio.move_on_after(borne if crowded else self.limits.deadline) as scope:
            self._awaited[scope] = trio.current_time() + borne
            if leaving:
                self._awaited.move_to_end(scope, last=False)
            try:
                yield scope
            finally:
                self._awaited.pop(scope, None)
