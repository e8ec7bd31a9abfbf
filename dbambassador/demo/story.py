"""The main job, played before your eyes: two environments, one client, and a primary that dies."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import trio

from dbambassador.demo import stage
from dbambassador.demo.dns import Nameserver
from dbambassador.demo.installations import newest
from dbambassador.demo.journal import Interruption, Journal, interruption, lost
from dbambassador.demo.postgresql import PostgreSQL
from dbambassador.demo.processes import Process, temporary_directory
from dbambassador.demo.screen import Screen
from dbambassador.demo.sidecar import Place, Sidecar
from dbambassador.errors import AmbassadorError, ExitCode

STEP = 20.0
"""Seconds that one step may take; all together take about ten."""

ROWS = 20
"""Written, one every 50 ms, before the demo goes on: enough to see that it works."""

DETECTION = 1.0
"""Seconds between the kill and the promotion: a failover manager must first notice the death."""


class StepFailed(AmbassadorError):
    """A step of the demo did not come to its end; the message names it and shows the ambassador's log."""


async def perform(*, stay: bool, screen: Screen | None = None) -> ExitCode:
    """Plays the whole demo on real servers, which are gone at the end.

    Args:
        stay: keep everything up at the end, until SIGINT or SIGTERM.

    Raises:
        AmbassadorError: no server programs, or a step that failed.
    """
    outcome = _Outcome()
    async with trio.open_nursery() as nursery:
        await nursery.start(_end_by_signal, nursery.cancel_scope, outcome)
        try:
            with temporary_directory("dbambassador-demo-") as directory, ExitStack() as ending:
                story = _Story(screen or Screen(), directory, ending)
                await story.tell(nursery)
                if stay:
                    story.invite()
                    outcome.code = ExitCode.DONE
                    outcome.staying = True
                    await trio.sleep_forever()
        except AmbassadorError as error:
            outcome.failure = error
        nursery.cancel_scope.cancel()
    if outcome.failure is not None:
        raise outcome.failure
    return outcome.code


@dataclass
class _Outcome:
    code: ExitCode = ExitCode.DONE
    staying: bool = False
    """A signal now is how it was meant to end."""
    failure: AmbassadorError | None = None


async def _end_by_signal(
    scope: trio.CancelScope, outcome: _Outcome, *, task_status: trio.TaskStatus[None]
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for number in signals:
            if not outcome.staying:
                outcome.code = ExitCode.SIGINT if number == signal.SIGINT else ExitCode.SIGTERM
            scope.cancel()
            return


@dataclass(frozen=True, slots=True)
class _Act:
    """The ambassador and the client in one environment, both running."""

    place: Place
    sidecar: Sidecar
    client: Process
    journal: Journal


class _Story:
    def __init__(self, screen: Screen, directory: Path, ending: ExitStack) -> None:
        self.screen = screen
        self.directory = directory
        self.ending = ending
        self.script = stage.prepare(directory)
        self.acts: list[_Act] = []
        self.sidecar: Sidecar | None = None
        """The one whose log explains a failure."""

    async def tell(self, nursery: trio.Nursery) -> None:
        nameserver = stage.nameserver()
        address: str = await nursery.start(nameserver.serve)
        databases = await self.open(nameserver, address)
        for name in ("production", "development"):
            place = Place.captured(name, environments=self.script.environments, nameserver=address)
            act = await self.settle(place)
            self.acts.append(act)
            if name == "production":
                await self.fail_over(act, nameserver, databases)
                await self.leave(act)
        self.close()

    async def open(self, nameserver: Nameserver, address: str) -> stage.Databases:
        """The databases come up, and DNS names them."""
        installation = newest()
        self.screen.heading("Two environments, each with its own database")
        began = time.monotonic()
        async with self.step("starting the databases"):
            databases = await stage.start_databases(installation, self.directory, self.ending)
        took = time.monotonic() - began
        stage.name_in(nameserver.zone, "production", "db-a", databases.production)
        stage.name_in(nameserver.zone, "development", "db", databases.development)

        def row(environment: str, server: PostgreSQL, role: str) -> tuple[str, str, str, str]:
            return environment, f"PostgreSQL {installation.version}", f"127.0.0.1:{server.port}", role

        rows = [
            row("production", databases.production, "db-a, primary"),
            row("production", databases.standby, "db-b, standby of db-a"),
            row("development", databases.development, "db, primary"),
            ("both", "DNS", address, f"zone {stage.ORIGIN}, TTL {stage.TTL} s"),
        ]
        self.screen.table(("environment", "server", "address", "role"), rows)
        self.screen.say(f"All of it is real, was started for you in {took:.1f} s, and is gone at the end.")
        if self.script.port != stage.PORT:
            self.screen.bad(f"Port {stage.PORT} is taken by another program:")
            self.screen.say(f"client and ambassador meet on localhost:{self.script.port} instead.")
        return databases

    async def settle(self, place: Place) -> _Act:
        """The ambassador and the client are put into an environment."""
        screen, port = self.screen, self.script.port
        screen.heading(f"The client is put into {place.name}")
        screen.say(
            f"The files and variables were captured there (--root {place.root}). The ambassador is told "
            "nothing else of where it is."
        )
        async with self.step(f"choosing the environment in {place.name}"):
            screen.command("dbambassador explain", await place.told_by("explain"))
        async with self.step(f"finding the database of {place.name}"):
            screen.command("dbambassador resolve", await place.told_by("resolve"))

        screen.command("dbambassador run")
        began = time.monotonic()
        async with self.step(f"starting the ambassador in {place.name}"):
            sidecar = self.sidecar = Sidecar(place, self.directory / f"ambassador-{place.name}.log")
            self.ending.callback(sidecar.end)
            await sidecar.ready()
        took = time.monotonic() - began
        screen.good(f"The ambassador listens on localhost:{port}, {took:.2f} s after its start.")

        journal = Journal(self.directory / f"client-{place.name}.log")
        async with self.step(f"the client's first queries in {place.name}"):
            own = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
            client = Process([sys.executable, self.script.client], journal.file, environ=own)
            self.ending.callback(client.end)
            seen = await journal.first(lambda attempt: attempt.good and attempt.rows >= ROWS)
        screen.good(
            f"The client, hardcoded to localhost:{port}, wrote and read {seen.rows} rows on {seen.server}."
        )
        screen.say(f"The client's sha256: {self.digest()}")
        return _Act(place, sidecar, client, journal)

    async def fail_over(self, act: _Act, nameserver: Nameserver, databases: stage.Databases) -> None:
        """The primary dies, the standby takes over, the client goes on."""
        screen, standby = self.screen, databases.standby
        screen.heading("The primary of production is killed")
        said_before = len(act.sidecar.log())
        async with self.step("waiting until the standby has what the client wrote"):
            await trio.to_thread.run_sync(databases.production.wait_replayed, standby)
        killed = time.monotonic()
        databases.production.kill()
        await trio.sleep(DETECTION)
        async with self.step("promoting the standby"):
            await trio.to_thread.run_sync(standby.promote)
        accepting = time.monotonic()
        stage.name_in(nameserver.zone, "production", "db-b", standby)
        named = time.monotonic()
        async with self.step("the client's next good query"):
            after = await _recovery(act.journal, killed, standby)
        served = after.recovered.ended
        rows = [
            ("SIGKILL to db-a", "0.00 s"),
            ("db-b is promoted and takes writes", f"{accepting - killed:.2f} s"),
            ("DNS names db-b", f"{named - killed:.2f} s"),
            ("the client's next good query, on db-b", f"{served - killed:.2f} s"),
            ("failed attempts in between", str(len(after.failed))),
            *((f"    {error}", f"{count} ×") for error, count in after.errors.items()),
        ]
        screen.table((), rows)
        screen.good(f"The client was served {served - named:.2f} s after db-b took writes and DNS named it.")
        await self.count_lost(act.journal, standby)
        screen.quote("What the ambassador logged meanwhile:", "\n".join(act.sidecar.log()[said_before:]))

    async def count_lost(self, journal: Journal, standby: PostgreSQL) -> None:
        # The journal first: a row that comes between the two looks must not seem lost.
        attempts = journal.attempts()
        rows = await trio.to_thread.run_sync(
            lambda: standby.query("SELECT number FROM orders", dbname="shop")
        )
        gone = lost(attempts, {int(str(number)) for (number,) in rows})
        written = sum(attempt.written for attempt in attempts)
        if not gone:
            self.screen.good(f"Of {written} rows that were acknowledged to the client, none is lost.")
            return
        self.screen.bad(
            f"Of {written} rows that were acknowledged to the client, {len(gone)} are lost: written in the "
            "instant before the kill,"
        )
        self.screen.say("and replication here is asynchronous. No relay can prevent that.")

    async def leave(self, act: _Act) -> None:
        """The client and the ambassador end."""
        for process in (act.client, act.sidecar):
            await trio.to_thread.run_sync(process.end)

    def close(self) -> None:
        """Both environments side by side."""
        self.screen.heading("The same client, not one byte changed")
        rows = [
            (act.place.name, ", then ".join(act.journal.servers()), self.digest()[:12]) for act in self.acts
        ]
        self.screen.table(("environment", "who answered on localhost", "client"), rows)

    def digest(self) -> str:
        """SHA-256 of the client's file as it is now."""
        return hashlib.sha256(self.script.client.read_bytes()).hexdigest()

    def invite(self) -> None:
        """What to try while everything stays up."""
        act = self.acts[-1]
        psql = shutil.which("psql") or str(newest().bin / "psql")
        program = shutil.which("dbambassador", path=os.path.dirname(sys.executable)) or "dbambassador"
        self.screen.heading("Everything stays up")
        self.screen.say(f"A session through the ambassador, in {act.place.name}:")
        self.screen.command(f"{psql} 'host=localhost port={self.script.port} user=shop dbname=shop'")
        self.screen.say(f"What the ambassador sees; as a page: http://127.0.0.1:{act.sidecar.admin_port}/")
        self.screen.command(f"{program} status --admin-port {act.sidecar.admin_port}")
        self.screen.say("Ctrl-C ends all of it.")

    @asynccontextmanager
    async def step(self, what: str) -> AsyncIterator[None]:
        try:
            with trio.fail_after(STEP):
                yield
        except trio.TooSlowError:
            why = f"not done within {STEP:g} s"
        except AmbassadorError as error:
            why = error.message
        except (OSError, psycopg.Error) as error:
            why = str(error)
        else:
            return
        log = self.sidecar.tail() if self.sidecar is not None else ""
        shown = f"\nThe ambassador's log:\n{log}" if log else ""
        raise StepFailed(f"the demo failed at: {what}: {why}{shown}")


async def _recovery(journal: Journal, killed: float, standby: PostgreSQL) -> Interruption:
    await journal.first(
        lambda attempt: attempt.good and attempt.ended > killed and attempt.server == standby.name
    )
    after = interruption(journal.attempts(), killed, standby.name)
    assert after is not None
    return after
