"""The relay engine for Linux: one epoll for all sessions, turned by a thread of its own.

Trio's tasks hand sessions over and are done; from then on a session costs trio nothing until its end.

Why a thread, and not a task of trio's that turns the same loop whenever its epoll is readable: measured
behind the same minimal relay (`tests/bench/relay_drives.py`; 2 cores, pgbench -S prepared, medians of three
rounds), the thread came to 1.05 and 0.90 × HAProxy's throughput with 1 and 8 clients, trio to 0.87 and
0.72 ×, two tasks for each session to 0.76 and 0.56 ×; CPU for a transaction 18.7, 24.1 and 37.7 µs (HAProxy
16.7); p99 at 2,000 transactions and 100 connections a second 2.6, 3.2 and 3.3 ms (HAProxy 2.5). A stage that
computes blocks trio's loop altogether, but the thread only for moments: with trio 80 % busy, p99 grew from
0.20 to 0.34 ms.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Thread, get_native_id
from time import monotonic

import trio

from dbambassador.forwarding.relay.engine import Carried, Link, Over, Work
from dbambassador.forwarding.relay.epoll_loop import Command, EpollLoop
from dbambassador.forwarding.relay.sides import Session

SWITCH_INTERVAL = 0.00001
"""Seconds after which one thread has to let the other go on, where both have something to do. Each message
takes the interpreter's lock six times; with 0.1 ms, a busy trio took p99 from 0.2 to 5 ms."""


class CarriedSession:
    """A session that the engine's loop carries."""

    __slots__ = ("_loop", "_session")

    def __init__(self, loop: EpollLoop, session: Session) -> None:
        self._loop = loop
        self._session = session

    def cut(self) -> None:
        self._loop.post(partial(self._loop.end, self._session))


class EpollEngine:
    """An `Engine` in a thread of its own; see `running`."""

    def __init__(self) -> None:
        self._trio = trio.lowlevel.current_trio_token()
        self.loop = EpollLoop(self._inform)
        """For what else is to be done in its thread, by `post`."""
        self._thread = Thread(target=self._run, name="relay", daemon=True)
        self._stopped = False
        self.crash: Exception | None = None
        """The bug that ended the thread: nothing posted is obeyed any more."""
        self._asked_at: float | None = None
        self._settling: set[trio.Event] = set()
        self._given_up = False

    def carry(self, link: Link, over: Over) -> Carried:
        session = Session(link, over)
        if self.crash is not None:
            session.failure = self.crash
            session.close()
            self._soon(partial(over, self.crash))
        else:
            session.send_first()
            self.loop.post(partial(self.loop.adopt, session))
        return CarriedSession(self.loop, session)

    async def settle(self) -> None:
        settled = trio.Event()
        self._settling.add(settled)
        try:
            if not self._given_up:  # a crash sets it, once its sessions have ended
                self.loop.post(partial(self.loop.tell, settled.set, urgent=True))
                await settled.wait()
        finally:
            self._settling.discard(settled)

    def silence(self) -> float:
        if self.crash is not None:
            return math.inf
        asked_at = self._asked_at
        if asked_at is not None:
            return monotonic() - asked_at
        self._asked_at = monotonic()
        self.loop.post(self._answer)
        return 0.0

    def work(self) -> Work:
        return Work(self.loop.wakes, self.loop.events)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """There must be no session left."""
        self.loop.post(self._stop)
        self._thread.join()
        self.loop.close()

    # In the engine's thread

    def _run(self) -> None:
        _have_exact_timers()
        try:
            while not self._stopped:
                self.loop.turn()
        except Exception as crash:
            self.crash = crash
            self._soon(self._give_up)

    def _give_up(self) -> None:
        """In trio's thread: what the engine's thread had is trio's."""
        assert self.crash is not None
        self.loop.abandon(self.crash)
        self._given_up = True
        for settled in self._settling:
            settled.set()

    def _stop(self) -> None:
        self._stopped = True

    def _answer(self) -> None:
        self._asked_at = None

    def _inform(self, news: list[Command]) -> None:
        self._soon(partial(_make, news))

    def _soon(self, call: Command) -> None:
        try:
            self._trio.run_sync_soon(call)
        except trio.RunFinishedError:
            pass  # nobody is left to be told


@contextmanager
def running() -> Iterator[EpollEngine]:
    """An engine for the trio run that this is called in. Sessions must have ended before it is left."""
    engine = EpollEngine()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()
        sys.setswitchinterval(interval)


def _have_exact_timers() -> None:
    """Lets this thread's short waits end in time: the kernel may add 50 µs to each (proc(5), timerslack_ns),
    to the one for the interpreter's lock as well."""
    try:
        Path(f"/proc/{get_native_id()}/timerslack_ns").write_text("1")
    except OSError:
        pass  # not this kernel, or not in this sandbox


def _make(calls: list[Command]) -> None:
    for call in calls:
        call()
