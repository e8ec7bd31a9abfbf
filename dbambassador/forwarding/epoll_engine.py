"""The relay engine for Linux: one epoll for all sessions, turned by a thread of its own.

Trio's tasks hand sessions over and wait; from then on a session costs trio nothing until its end.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Thread
from time import monotonic

import trio

from dbambassador.forwarding.engine import How, Link
from dbambassador.forwarding.epoll_loop import EpollLoop
from dbambassador.forwarding.sides import Session

SWITCH_INTERVAL = 0.0001
"""Seconds after which one thread has to let the other go on, where both have something to do."""


class EpollEngine:
    """An `Engine` in a thread of its own; see `running`."""

    def __init__(self) -> None:
        self._trio = trio.lowlevel.current_trio_token()
        self._loop = EpollLoop(self._report, self._tell)
        self._live: set[Session] = set()
        self._thread = Thread(target=self._run, name="relay", daemon=True)
        self._stopped = False
        self._crash: Exception | None = None
        self._asked_at: float | None = None

    async def relay(self, link: Link) -> How:
        session = Session(link)
        if self._crash is not None:
            session.close()
            raise RuntimeError("the relay engine has crashed") from self._crash
        session.send_first()
        self._live.add(session)
        self._loop.post(partial(self._loop.adopt, session))
        await trio.lowlevel.wait_task_rescheduled(partial(self._abort, session))
        if session.failure is not None:
            raise session.failure
        if session.cut and session.raise_cancel is not None:
            session.raise_cancel()
        return session.endings.how

    def _abort(self, session: Session, raise_cancel: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
        session.raise_cancel = raise_cancel
        self._loop.post(partial(self._loop.end, session))
        return trio.lowlevel.Abort.FAILED  # the engine lets go of the sockets first

    def silence(self) -> float:
        if self._crash is not None:
            return math.inf
        asked_at = self._asked_at
        if asked_at is not None:
            return monotonic() - asked_at
        self._asked_at = monotonic()
        self._loop.post(self._answer)
        return 0.0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """There must be no session left."""
        self._loop.post(self._stop)
        self._thread.join()
        self._loop.close()

    # In the engine's thread

    def _run(self) -> None:
        try:
            while not self._stopped:
                self._loop.turn()
        except Exception as crash:
            self._crash = crash
            self._soon(self._fail_all)

    def _stop(self) -> None:
        self._stopped = True

    def _answer(self) -> None:
        self._asked_at = None

    def _report(self, ended: list[Session]) -> None:
        self._soon(partial(self._resume, ended))

    def _tell(self, session: Session, what: Callable[[], None]) -> None:
        self._soon(partial(self._call, session, what))

    def _soon(self, call: Callable[[], None]) -> None:
        try:
            self._trio.run_sync_soon(call)
        except trio.RunFinishedError:
            pass  # nobody is left to be told

    # In trio's thread

    def _resume(self, ended: list[Session]) -> None:
        for session in ended:
            self._live.discard(session)
            trio.lowlevel.reschedule(session.task)

    def _call(self, session: Session, what: Callable[[], None]) -> None:
        try:
            what()
        except Exception as bug:
            self._loop.post(partial(self._loop.end, session, bug))

    def _fail_all(self) -> None:
        """The thread is gone, so that its sessions are trio's to close."""
        for session in self._live:
            session.failure = self._crash
            session.close()
        self._resume(list(self._live))


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
