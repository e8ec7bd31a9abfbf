"""A service of systemd: told when it is ready, reloads, stops, and in one line what it does. sd_notify(3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from time import monotonic_ns

import trio

from dbambassador import events
from dbambassador.events import Event, Events
from dbambassador.observability.routes import Sources, not_alive
from dbambassador.observability.wording import count
from dbambassador.printable import printable
from dbambassador.transport.notify_socket import NotifySocket, ServiceManager

LONGEST_STATUS = 500
"""Characters of what `systemctl status` shows; it cuts at the terminal's edge anyway."""
RETRY = 0.1
"""Seconds after which a full socket is tried again."""


class Verdict:
    """What this process does, in one line: a fold over events. Pure."""

    def __init__(self) -> None:
        self._life = "finding out where this runs"
        self._environment = ""
        self._databases: dict[str, str] = {}
        self._refused = ""

    def __call__(self, event: Event) -> None:
        match event:
            case events.SelectionAwaited(missing, reason):
                self._life = f"no environment yet, waiting for {', '.join(missing)}: {reason}"
            case events.EnvironmentChosen(environment):
                self._environment = f"environment {environment}"
                self._life = ""
            case events.ChoiceChanged(database, choice):
                told = f"to {choice.target.address}" if choice.target else f"no usable address ({choice.why})"
                self._databases[database] = f"{database}: {told}"
            case events.CatalogueReloaded():
                self._refused = ""
            case events.ReloadRefused(_, problems):
                self._refused = f"the last reload was refused: {'; '.join(problems)}"
            case events.DrainStarted(cause, sessions):
                self._life = f"shutting down ({cause}), {count(sessions, 'session')}"

    def keep(self, databases: Iterable[str]) -> None:
        """Forgets what is told of others: they are not served any more."""
        served = set(databases)
        self._databases = {name: told for name, told in self._databases.items() if name in served}

    def __str__(self) -> str:
        parts = [self._life, self._environment, self._refused, *self._databases.values()]
        return printable("; ".join(part for part in parts if part))[:LONGEST_STATUS]


class SystemdService:
    """Tells the service manager what events mean to it."""

    def __init__(self, notify: NotifySocket, served: Callable[[], Iterable[str]]) -> None:
        """`served`: the names of the databases."""
        self._notify = notify
        self._served = served
        self._verdict = Verdict()
        self._status = ""
        self._full = trio.Event()

    def __call__(self, event: Event) -> None:
        self._verdict(event)
        told = []
        match event:
            case events.Ready():
                told.append("READY=1")
            case events.CatalogueReloaded() | events.ReloadRefused():
                # A manager that sent SIGHUP waits for the first with a time after that (systemd 253 on).
                self._send("RELOADING=1", f"MONOTONIC_USEC={monotonic_ns() // 1000}")
                told.append("READY=1")
                self._verdict.keep(self._served())
            case events.DrainStarted():
                told.append("STOPPING=1")
        status = str(self._verdict)
        if status != self._status:
            self._status = status
            told.append(f"STATUS={status}")
        if told:
            self._send(*told)

    def _send(self, *assignments: str) -> None:
        if not self._notify.send(*assignments):
            self._full.set()

    async def run(self, watchdog: float | None, why_not_alive: Callable[[], str]) -> None:
        """For ever. `watchdog`: gives a sign of life twice in so many seconds, as long as it is alive."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._insist)
            while watchdog is not None:
                if not why_not_alive():
                    self._send("WATCHDOG=1")
                await trio.sleep(watchdog / 2)

    async def _insist(self) -> None:
        while True:
            await self._full.wait()
            await trio.sleep(RETRY)
            if self._notify.flush():
                self._full = trio.Event()


async def serve_manager(
    manager: ServiceManager,
    sources: Sources,
    published: Events,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Tells the service manager of what happens, and of liveness as `/liveness` has it, until cancelled."""
    with closing(NotifySocket(manager.socket)) as notify:
        service = SystemdService(notify, lambda: [each["name"] for each in sources.snapshot()["databases"]])
        published.subscribe(service)
        task_status.started()
        await service.run(manager.watchdog, lambda: not_alive(sources.relay_silence()))
