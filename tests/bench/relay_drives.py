"""What drives the epoll loop best: a thread of its own, or trio's loop. The choice is in `epoll_engine`.

`python -m tests.bench.relay_drives` prints the comparison; both drives are behind the same minimal relay.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import trio

from dbambassador.demo.installations import installations
from dbambassador.demo.ports import free_port
from dbambassador.demo.postgresql import Ground, PostgreSQL
from dbambassador.demo.processes import Process, temporary_directory
from dbambassador.forwarding.relay import epoll_engine
from dbambassador.forwarding.relay.engine import Engine, Link
from dbambassador.forwarding.relay.epoll_engine import EpollEngine
from dbambassador.forwarding.relay.stream_relay import StreamRelay
from dbambassador.transport.dial import detached, dial, tune
from dbambassador.values import Address
from tests.bench.relay_load import pgbench, pgbench_at_rate
from tests.bench.relay_ways import Way, wait_listening, ways
from tests.testbed.processes import environ

DRIVES = ("thread", "trio", "streams")
CLIENTS = (1, 8, 32)
ROUNDS = 5
SECONDS = 4
RATE = 2000
CHURN = 100
BUSY, IDLE = 0.004, 0.001
"""Seconds for which the loop is blocked, and for which it is not: 80 % busy."""


class TrioDriven(EpollEngine):
    """The epoll loop, turned by a task of trio's whenever its epoll is readable."""

    def start(self) -> None:
        self.loop._patience = lambda: 0.0  # type: ignore[method-assign]
        trio.lowlevel.spawn_system_task(self._turn_in_trio)

    def stop(self) -> None:
        self._stopped = True

    async def _turn_in_trio(self) -> None:
        loop = self.loop
        while not self._stopped:
            await trio.lowlevel.wait_readable(loop._epoll.fileno())
            loop.turn()
            while loop._readable:
                await trio.lowlevel.checkpoint()
                loop.turn()


@contextmanager
def engine(drive: str, sessions: trio.Nursery) -> Iterator[Engine]:
    if drive == "thread":
        with epoll_engine.running() as running:
            yield running
    elif drive == "trio":
        driven = TrioDriven()
        driven.start()
        yield driven
        driven.stop()
    else:
        yield StreamRelay(sessions)


async def serve(drive: str, port: int, server: int, busy: bool) -> None:
    """The minimal relay."""

    async def session(engine: Engine, client: trio.SocketStream) -> None:
        dialled = await dial(Address("127.0.0.1", server))
        if dialled.socket is None:
            client.socket.close()
            return
        tune(client.socket)
        engine.carry(Link(detached(client.socket), detached(dialled.socket)), lambda how: None)

    async def be_busy() -> None:
        while True:
            until = time.monotonic() + BUSY
            while time.monotonic() < until:
                pass
            await trio.sleep(IDLE)

    async with trio.open_nursery() as nursery:
        with engine(drive, nursery) as running:
            if busy:
                nursery.start_soon(be_busy)
            await trio.serve_tcp(partial(session, running), port, host="127.0.0.1")


@contextmanager
def relay(drive: str, server: int, directory: Path, *, busy: bool = False) -> Iterator[Way]:
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "tests.bench.relay_drives",
        drive,
        str(port),
        str(server),
        "busy" if busy else "idle",
    ]
    process = Process(command, directory / f"{drive}-{port}.log", environ=environ())
    try:
        wait_listening(port, process)
        yield Way(f"{drive}{', trio busy' if busy else ''}", port, process.pid)
    finally:
        process.end()


def main() -> None:
    program = next(i.bin / "pgbench" for i in installations() if (i.bin / "pgbench").exists())
    with temporary_directory("dbambassador-bench-") as directory, ExitStack() as ending:
        ground = Ground.prepared(installations()[0], directory)
        server = PostgreSQL.created(ground, "drives", settings={"max_connections": "300"})
        ending.callback(server.stop)
        server.start()
        initialize = [str(program), "-i", "-q", "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres"]
        subprocess.run([*initialize, "postgres"], check=True, capture_output=True)
        compared = ending.enter_context(
            ways(server.port, directory, protocol="postgresql", names=("HAProxy",))
        )[:-1]
        compared += [ending.enter_context(relay(drive, server.port, directory)) for drive in DRIVES]
        for clients in CLIENTS:
            _compare_load(program, compared, clients)
        _compare_latency(program, compared)
        busy = [ending.enter_context(relay(drive, server.port, directory, busy=True)) for drive in DRIVES]
        _compare_latency(program, busy, churn=0)


def _compare_load(program: Path, compared: list[Way], clients: int) -> None:
    load = partial(pgbench, program, clients=clients, seconds=SECONDS)
    runs = [{way.name: load(way, "-M", "prepared") for way in compared} for _ in range(ROUNDS)]
    for way in compared:
        tps = statistics.median(run[way.name].per_second for run in runs)
        cpu = statistics.median(run[way.name].cpu for run in runs)
        print(f"{clients} clients, {way.name}: {tps:,.0f} tps, {cpu:.1f} µs CPU", flush=True)


def _compare_latency(program: Path, compared: list[Way], churn: int = CHURN) -> None:
    load = partial(pgbench_at_rate, program, rate=RATE, churn=churn, clients=8, seconds=SECONDS + 2)
    runs = [{way.name: load(way) for way in compared} for _ in range(ROUNDS)]
    for way in compared:
        p50, p99, p999 = (
            statistics.median(getattr(run[way.name], part) for run in runs) for part in ("p50", "p99", "p999")
        )
        shown = f"p50 {p50:,.0f}, p99 {p99:,.0f}, p99.9 {p999:,.0f} µs"
        print(f"{RATE} tps, {churn} connections/s, {way.name}: {shown}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        drive, port, server, busy = sys.argv[1:]
        trio.run(serve, drive, int(port), int(server), busy == "busy")
    else:
        main()
