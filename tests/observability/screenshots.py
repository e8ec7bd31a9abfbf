"""The pictures of the status page in docs/, taken anew during a real failover.

`python -m tests.observability.screenshots [DIRECTORY]`: with a directory, it also leaves there how the page
looks before, during and after, in light and dark, and on a phone. Takes about 45 s.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread

import psycopg
import trio
import yaml

from dbambassador.demo import stage
from dbambassador.demo.dns import HOST
from dbambassador.demo.installations import newest
from dbambassador.demo.postgresql import PostgreSQL
from dbambassador.demo.processes import temporary_directory
from dbambassador.demo.sidecar import Place, Sidecar
from tests.testbed.browser import Browser, browser

DOCS = Path(__file__).parents[2] / "docs"
DESKTOP, PHONE = (1000, 900), (390, 1500)
BEFORE, OUTAGE, AFTER = 25.0, 2.5, 8.0
"""Seconds of each, so that the curves show all three."""
WRITERS = 4

ENVIRONMENT = {
    "databases": {
        "orders": {
            "protocol": "postgresql",
            "target_session_attrs": "read-write",
            "hold": "10s",
            "check": {"user": "postgres"},
        }
    }
}


async def main(directory: Path) -> None:
    """Leaves the pictures in the directory, and two of them in docs/."""
    async with trio.open_nursery() as nursery:
        with temporary_directory("pictures-") as ground, ExitStack() as ending:
            nameserver = stage.nameserver()
            place = Place.captured(
                "production", environments=ground / "here", nameserver=await nursery.start(nameserver.serve)
            )
            script = stage.prepare(ground)
            databases = await stage.start_databases(newest(), ground, ending)
            for name in ("db-a", "db-b"):
                nameserver.zone.set(f"{name}.production", "A", [HOST])
            _settle(script, place.environments, databases.production, databases.standby)
            sidecar = Sidecar(place, ground / "log")
            ending.callback(sidecar.end)
            await sidecar.ready()
            window = ending.enter_context(browser(ground))
            for number in range(WRITERS):
                ending.enter_context(_writer(script.port, number))
            window.open(f"http://127.0.0.1:{sidecar.admin_port}/")
            await trio.sleep(BEFORE)
            await trio.to_thread.run_sync(_take, window, directory, "before")
            databases.production.kill()
            await trio.sleep(OUTAGE)
            await trio.to_thread.run_sync(_take, window, directory, "outage")
            await trio.to_thread.run_sync(databases.standby.promote)
            await trio.sleep(AFTER)
            await trio.to_thread.run_sync(_take, window, directory, "after")
        nursery.cancel_scope.cancel()
    shutil.copy(directory / "after-light.png", DOCS / "status-light.png")
    shutil.copy(directory / "outage-dark.png", DOCS / "status-dark.png")


def _settle(script: stage.Script, environments: Path, *servers: PostgreSQL) -> None:
    """The demo's environments, where production has both servers as endpoints and checks their roles."""
    shutil.copytree(script.environments, environments)
    for file in environments.glob("production*.yaml"):
        document = yaml.safe_load(file.read_text())
        orders = document["databases"]["orders"] | ENVIRONMENT["databases"]["orders"]
        del orders["endpoint"]
        orders["endpoints"] = [
            {"host": f"db-{letter}.production.db.test", "port": server.port}
            for letter, server in zip("ab", servers, strict=True)
        ]
        file.write_text(yaml.safe_dump({**document, "databases": {"orders": orders}}))


def _take(window: Browser, directory: Path, moment: str) -> None:
    for scheme in ("light", "dark"):
        window.prefer(scheme)
        window.resize(*DESKTOP)
        window.screenshot(directory / f"{moment}-{scheme}.png")
    window.resize(*PHONE)
    window.screenshot(directory / f"{moment}-phone.png")
    window.resize(*DESKTOP)


@contextmanager
def _writer(port: int, number: int) -> Iterator[None]:
    """One of the application's sessions; they are not equally busy."""
    ended = Event()
    thread = Thread(target=partial(_write, port, number, ended))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _write(port: int, number: int, ended: Event) -> None:
    turn = 0
    while not ended.wait(0.1):
        try:
            with psycopg.connect(f"host=127.0.0.1 port={port} user=shop dbname=shop") as session:
                while not ended.wait(0.02 * (number + 1)):
                    turn += 1
                    session.execute("SELECT repeat('x', %s)", [200 + 150 * (turn // 40 % 4)])
        except psycopg.Error:
            continue


if __name__ == "__main__":
    if len(sys.argv) > 1:
        trio.run(main, Path(sys.argv[1]))
    else:
        with temporary_directory("pictures-") as pictures:
            trio.run(main, pictures)
