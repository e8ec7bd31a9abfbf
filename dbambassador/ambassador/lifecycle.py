"""The life of the process: locate, listen, serve, drain, exit."""

from __future__ import annotations

import gc
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import trio

from dbambassador.ambassador import snapshot
from dbambassador.ambassador.database import ServedDatabase, Shared
from dbambassador.discovery.resolver import Resolver
from dbambassador.drift import DriftWatch
from dbambassador.errors import ExitCode
from dbambassador.events import (
    DrainStarted,
    EnvironmentChosen,
    FactsGathered,
    Publish,
    Ready,
    SelectionAwaited,
    Stopped,
)
from dbambassador.forwarding import engines
from dbambassador.forwarding.limit import Limit, capacity
from dbambassador.forwarding.relay.engine import Engine
from dbambassador.locate import Located, Request, locate, refusal, retry_delay
from dbambassador.settings.schema import Profile

TERMINATION_LOG = Path("dev/termination-log")
"""Under the root; where Kubernetes looks for a container's last words: terminationMessagePath's default."""
LONGEST_TERMINATION_LOG = 4096
"""Bytes that the kubelet keeps."""


class Phase(Enum):
    """What the process is doing."""

    LOCATING = "locating"
    AWAITING = "awaiting"
    """Undecided, because something did not answer; tried again."""
    RUNNING = "running"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How to run, and how to end."""

    request: Request
    nameservers: tuple[str, ...] = ()
    max_connections: int = 0
    min_sigterm_delay: float = 0.0
    """Seconds of accepting after SIGTERM: the application may still be opening connections."""
    max_sigterm_delay: float = 0.0
    """Seconds that sessions may go on after that."""
    exit_zero_on_sigterm: bool = False


class Ambassador:
    """One process's ambassador. `snapshot` may be asked at any time."""

    def __init__(self, terms: Terms, publish: Publish) -> None:
        self._terms = terms
        self._publish = publish
        self._phase = Phase.LOCATING
        self._started = trio.current_time()
        self._databases: list[ServedDatabase] = []
        self._environment: snapshot.Json | None = None
        self._awaiting: dict[str, object] | None = None
        self._drift: DriftWatch | None = None
        self._limit: Limit | None = None
        self._engine: Engine | None = None
        self._quit = trio.Event()
        self._end_cause = ""
        self._exit_code = ExitCode.DONE

    def quit(self) -> None:
        """Starts the shutdown, as `dbambassador shutdown` asks for."""
        self._end(ExitCode.DONE, "quit")

    def snapshot(self) -> dict[str, object]:
        """The state of everything."""
        now = trio.current_time()
        ready = self._phase in (Phase.RUNNING, Phase.DRAINING)
        databases = [snapshot.database(served, now) for served in self._databases]
        whole = snapshot.process(self._phase.value, now - self._started, ready, databases)
        located = {"environment": self._environment, "awaiting": self._awaiting}
        seen = {"drift": snapshot.drift(self._drift, now), "relay": snapshot.relay(self._engine)}
        return {**whole, **located, **seen, "clients": snapshot.clients(self._limit)}

    def relay_silence(self) -> float:
        """Seconds for which the relay engine has owed a sign of life."""
        return self._engine.silence() if self._engine is not None else 0.0

    async def run(self, signals: AsyncIterator[int]) -> ExitCode:
        """Runs until a signal or `quit` ends it.

        Raises:
          InvalidConfiguration, NoEnvironment, CannotListen.
        """
        async with trio.open_nursery() as watch:
            watch.start_soon(self._obey, signals, watch.cancel_scope, name="signals")
            profile = await self._locate_unless_quit()
            if profile is not None:
                await self._serve(profile)
            watch.cancel_scope.cancel()
        return self._exit_code

    async def _obey(self, signals: AsyncIterator[int], everything: trio.CancelScope) -> None:
        async for number in signals:
            if self._quit.is_set():
                everything.cancel()  # a person who does not want to wait
            self._end(self._code_of(number), signal.Signals(number).name)

    def _code_of(self, number: int) -> ExitCode:
        if number == signal.SIGINT:
            return ExitCode.SIGINT
        return ExitCode.DONE if self._terms.exit_zero_on_sigterm else ExitCode.SIGTERM

    def _end(self, code: ExitCode, cause: str) -> None:
        if not self._quit.is_set():
            self._exit_code = code
            self._end_cause = cause
            self._quit.set()
            if self._phase is not Phase.RUNNING:
                self._publish(DrainStarted(cause, 0))

    def _sessions(self) -> int:
        return sum(len(served.ledger) for served in self._databases)

    async def _locate_unless_quit(self) -> Profile | None:
        profile: Profile | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cancel_on_quit, nursery.cancel_scope)
            profile = await self._locate()
            nursery.cancel_scope.cancel()
        return profile

    async def _cancel_on_quit(self, scope: trio.CancelScope) -> None:
        await self._quit.wait()
        scope.cancel()

    async def _locate(self) -> Profile:
        """Finds out where we are; stays and asks again while something does not answer."""
        attempt = 0
        while True:
            located = await locate(self._terms.request)
            self._publish(FactsGathered(located.facts, located.seconds, located.asked_api))
            if located.profile is not None:
                self._note_environment(located, located.profile)
                return located.profile
            if not located.retryable:
                error = refusal(located)
                _leave_last_words(self._terms.request.root / TERMINATION_LOG, error.message)
                raise error
            delay = retry_delay(attempt)
            attempt += 1
            self._phase = Phase.AWAITING
            self._awaiting = {
                "facts": list(located.selection.undecided),
                "reason": located.selection.why,
                "retry_in_seconds": delay,
            }
            self._publish(SelectionAwaited(located.selection.undecided, located.selection.why, delay))
            await trio.sleep(delay)

    def _note_environment(self, located: Located, profile: Profile) -> None:
        self._awaiting = None
        self._drift = DriftWatch(self._terms.request, located, self._publish)
        directory, why = located.catalogue.directory, located.selection.why
        self._environment = snapshot.environment(located, profile)
        self._publish(EnvironmentChosen(profile.name, profile.kind.value, directory, why))

    async def _serve(self, profile: Profile) -> None:
        async with engines.running() as engine:
            self._engine = engine
            try:
                await self._serve_through(engine, profile)
            finally:
                self._engine = None

    async def _serve_through(self, engine: Engine, profile: Profile) -> None:
        publish = self._publish
        resolver = Resolver(self._terms.request.root, self._terms.nameservers, publish)
        self._limit = Limit(self._terms.max_connections or capacity())
        shared = Shared(resolver, engine, self._limit, publish)
        self._databases = [ServedDatabase(database, shared) for database in profile.databases]
        try:
            for served in self._databases:
                await served.listen()
            async with trio.open_nursery() as sessions:
                sessions.start_soon(shared.preambles.run, name="preambles")
                cut = await self._until_drained(engine, sessions)
                sessions.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                for served in self._databases:
                    await served.close()
                    served.ledger.cut_all()
                    await served.ledger.idle()
        publish(Stopped(cut))

    async def _until_drained(self, engine: Engine, sessions: trio.Nursery) -> int:
        """Serves until it is time to go. Returns: how many sessions are left."""
        try:
            async with trio.open_nursery() as stages:
                for served in self._databases:
                    served.start(stages)
                if self._drift is not None:
                    stages.start_soon(self._drift.run, name="drift")
                await self._accept_until_quit(engine, sessions)
                cut = await self._drain()
                stages.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                for served in self._databases:
                    await served.close()  # while there is a nursery for sessions that are being begun
        return cut

    async def _accept_until_quit(self, engine: Engine, sessions: trio.Nursery) -> None:
        async with trio.open_nursery() as accepting:
            for served in self._databases:
                served.accept(accepting, sessions)
            self._phase = Phase.RUNNING
            self._publish(Ready(_seconds_since_exec()))
            gc.freeze()  # what is here by now stays: no later collection has to stop the relay to look at it
            await self._quit.wait()
            await engine.settle()
            self._phase = Phase.DRAINING
            self._publish(DrainStarted(self._end_cause, self._sessions()))
            await trio.sleep(self._terms.min_sigterm_delay)
            accepting.cancel_scope.cancel()

    async def _drain(self) -> int:
        """Turns away who still waits, and lets sessions end. Returns: how many had to be cut."""
        for served in self._databases:
            await served.close()
            await served.hold.close()
        with trio.move_on_after(self._terms.max_sigterm_delay):
            for served in self._databases:
                await served.ledger.idle()
        return self._sessions()


def _leave_last_words(path: Path, text: str) -> None:
    """Tells Kubernetes why there is no environment; elsewhere there is no such file."""
    whole = text.encode(errors="replace")[:LONGEST_TERMINATION_LOG].decode(errors="ignore")
    try:
        if path.is_file():
            path.write_text(whole, encoding="utf-8")
    except OSError:
        pass  # the same text goes to standard error


def _seconds_since_exec() -> float:
    """Seconds since this process was started; from /proc, since Python knows only when it woke up."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = int(fields[19]) / 100  # starttime, in clock ticks: proc(5); USER_HZ is 100 on Linux
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, AttributeError, ValueError, IndexError):
        return time.process_time()
