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

from dbambassador.ambassador import snapshot, termination_log
from dbambassador.ambassador.database import Shared
from dbambassador.ambassador.reload import Reloader
from dbambassador.ambassador.serving import Serving
from dbambassador.ambassador.snapshot import Json
from dbambassador.discovery.resolver import Resolver
from dbambassador.drift import DriftWatch
from dbambassador.errors import ExitCode
from dbambassador.events import (
    DrainStarted,
    EnvironmentChosen,
    FactsGathered,
    Publish,
    Ready,
    Reloaded,
    ReloadUntimely,
    SelectionAwaited,
    Stopped,
)
from dbambassador.forwarding import engines
from dbambassador.forwarding.admission.limit import Limit, capacity
from dbambassador.forwarding.relay.engine import Engine
from dbambassador.locate import Located, Request, locate, refusal, retry_delay
from dbambassador.settings.schema import Profile

HANG_UP = getattr(signal, "SIGHUP", None)
"""Reads the environment files anew, as of other daemons; not every system has it."""


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


@dataclass(frozen=True, slots=True)
class Stages:
    """What there is once it is known where we are."""

    limit: Limit
    serving: Serving
    drift: DriftWatch
    reloader: Reloader


class Ambassador:
    """One process's ambassador. `snapshot` may be asked at any time."""

    def __init__(self, terms: Terms, publish: Publish) -> None:
        self._terms = terms
        self._publish = publish
        self._phase = Phase.LOCATING
        self._started = trio.current_time()
        self._stages: Stages | None = None
        self._located: Located | None = None
        self._environment: Json | None = None
        self._awaiting: dict[str, object] | None = None
        self._hurry = trio.Event()
        self._engine: Engine | None = None
        self._quit = trio.Event()
        self._end_cause = ""
        self._exit_code = ExitCode.DONE

    def quit(self) -> None:
        """Starts the shutdown, as `dbambassador shutdown` asks for."""
        self._end(ExitCode.DONE, "quit")

    async def reload(self, trigger: str) -> Reloaded:
        """Reads the environment files anew and serves by them, if it is the time for that."""
        if self._stages is not None and self._phase is Phase.RUNNING:
            return await self._stages.reloader.reload(trigger)
        await trio.lowlevel.checkpoint()
        return ReloadUntimely(trigger, self._why_untimely())

    def snapshot(self) -> dict[str, object]:
        """The state of everything."""
        now, stages = trio.current_time(), self._stages
        ready = self._phase in (Phase.RUNNING, Phase.DRAINING)
        served = stages.serving.databases if stages is not None else ()
        databases = [snapshot.database(each, now) for each in served]
        whole = snapshot.process(self._phase.value, now - self._started, ready, databases)
        located = {"environment": self._shown_environment(), "awaiting": self._awaiting}
        seen = {
            "drift": snapshot.drift(stages.drift if stages is not None else None, now),
            "relay": snapshot.relay(self._engine),
            "clients": snapshot.clients(stages.limit if stages is not None else None),
            "reload": stages.reloader.snapshot(now) if stages is not None else None,
        }
        return {**whole, **located, **seen}

    def _shown_environment(self) -> Json | None:
        located = self._stages.reloader.located if self._stages is not None else self._located
        if located is not None and located.profile is not None and located is not self._located:
            self._located, self._environment = located, snapshot.environment(located, located.profile)
        return self._environment

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
            located = await self._locate_unless_quit()
            if located is not None:
                await self._serve(located)
            watch.cancel_scope.cancel()
        return self._exit_code

    async def _obey(self, signals: AsyncIterator[int], everything: trio.CancelScope) -> None:
        async for number in signals:
            if number == HANG_UP:
                self._reload_soon("SIGHUP")
                continue
            if self._quit.is_set():
                everything.cancel()  # a person who does not want to wait
            self._end(self._code_of(number), signal.Signals(number).name)

    def _reload_soon(self, trigger: str) -> None:
        if self._stages is not None and self._phase is Phase.RUNNING:
            self._stages.reloader.ask(trigger)
            return
        self._hurry.set()
        self._publish(ReloadUntimely(trigger, self._why_untimely()))

    def _why_untimely(self) -> str:
        if self._phase is Phase.DRAINING or self._quit.is_set():
            return "shutting down"
        return "nothing is served yet, and the files are read at each attempt to find out where this runs"

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

    async def _locate_unless_quit(self) -> Located | None:
        located: Located | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cancel_on_quit, nursery.cancel_scope)
            located = await self._locate()
            nursery.cancel_scope.cancel()
        return located

    async def _cancel_on_quit(self, scope: trio.CancelScope) -> None:
        await self._quit.wait()
        scope.cancel()

    async def _locate(self) -> Located:
        """Finds out where we are; stays and asks again while something does not answer."""
        attempt = 0
        while True:
            located = await locate(self._terms.request)
            self._publish(FactsGathered(located.facts, located.seconds, located.asked_api))
            if located.profile is not None:
                self._note_environment(located, located.profile)
                return located
            if not located.retryable:
                error = refusal(located)
                termination_log.leave(self._terms.request.root, error.message)
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
            self._hurry = trio.Event()
            with trio.move_on_after(delay):
                await self._hurry.wait()

    def _note_environment(self, located: Located, profile: Profile) -> None:
        self._awaiting = None
        directory, why = located.catalogue.directory, located.selection.why
        self._located, self._environment = located, snapshot.environment(located, profile)
        self._publish(EnvironmentChosen(profile.name, profile.kind.value, directory, why))

    async def _serve(self, located: Located) -> None:
        async with engines.running() as engine:
            self._engine = engine
            try:
                await self._serve_through(engine, located)
            finally:
                self._engine = None

    async def _serve_through(self, engine: Engine, located: Located) -> None:
        publish, request = self._publish, self._terms.request
        assert located.profile is not None
        resolver = Resolver(request.root, self._terms.nameservers, publish)
        limit = Limit(self._terms.max_connections or capacity())
        shared = Shared(resolver, engine, limit, publish)
        serving, drift = Serving(shared), DriftWatch(request, located, publish)
        reloader = Reloader(request, located, serving, drift)
        self._stages = stages = Stages(limit, serving, drift, reloader)
        try:
            await serving.open(located.profile.databases)
            async with trio.open_nursery() as sessions:
                sessions.start_soon(shared.preambles.run, name="preambles")
                cut = await self._until_drained(engine, stages, sessions)
                sessions.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await serving.end()
        publish(Stopped(cut))

    async def _until_drained(self, engine: Engine, stages: Stages, sessions: trio.Nursery) -> int:
        """Serves until it is time to go. Returns: how many sessions are left."""
        serving = stages.serving
        try:
            async with trio.open_nursery() as deciding:
                serving.start(deciding)
                deciding.start_soon(stages.drift.run, name="drift")
                await self._accept_until_quit(engine, stages, sessions)
                await serving.turn_away()
                with trio.move_on_after(self._terms.max_sigterm_delay):
                    await serving.idle()
                cut = serving.sessions
                deciding.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await serving.close()  # while there is a nursery for sessions that are being begun
        return cut

    async def _accept_until_quit(self, engine: Engine, stages: Stages, sessions: trio.Nursery) -> None:
        async with trio.open_nursery() as accepting:
            stages.serving.accept(accepting, sessions)
            accepting.start_soon(stages.reloader.run, self._publish, name="reload")
            self._phase = Phase.RUNNING
            self._publish(Ready(_seconds_since_exec()))
            gc.freeze()  # what is here by now stays: no later collection has to stop the relay to look at it
            await self._quit.wait()
            await engine.settle()
            self._phase = Phase.DRAINING
            self._publish(DrainStarted(self._end_cause, stages.serving.sessions))
            if self._end_cause == signal.SIGTERM.name:
                await trio.sleep(self._terms.min_sigterm_delay)
            accepting.cancel_scope.cancel()


def _seconds_since_exec() -> float:
    """Seconds since this process was started; from /proc, since Python knows only when it woke up."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = int(fields[19]) / 100  # starttime, in clock ticks: proc(5); USER_HZ is 100 on Linux
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, AttributeError, ValueError, IndexError):
        return time.process_time()
