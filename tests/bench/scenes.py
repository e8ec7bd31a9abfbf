"""What is compared: with each of the servers, and with stubs that cost next to nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from dbambassador.demo.installations import installations
from dbambassador.demo.ports import free_port
from dbambassador.demo.postgresql import PostgreSQL
from dbambassador.demo.processes import Process
from tests.bench import relay_load as load
from tests.bench.figures import DIRECT, OURS, Better, Quantity
from tests.bench.relay_connections import first_answers, median_microseconds
from tests.bench.relay_idle import memory_per_connection, settled
from tests.bench.relay_load import Load
from tests.bench.relay_stub import stub
from tests.bench.relay_ways import PGBOUNCER, SOCAT, Way, wait_listening, way, ways
from tests.bench.trials import Act, Effort, Scene, Stage, Trial
from tests.testbed.mariadb import PASSWORD, USER, MariaDB
from tests.testbed.processes import environ
from tests.testbed.requirements import find

TPS = Quantity("throughput", "tps", Better.MORE)
CPU = Quantity("CPU of the relay", "µs/transaction", Better.LESS)
CPU_GOAL = 1.1

CLIENTS = {1: 1.0, 8: 0.9, 32: 0.9, 128: 0.9}
"""And the goal for the throughput."""

RATE, CHURN = 3000, 100
"""Transactions and connections a second: far below what two cores can do, so that latency is what is seen."""

IDLE = (1000, 5000)


@contextmanager
def postgresql(stage: Stage, wanted: Sequence[str]) -> Iterator[Scene | None]:
    program = next((i.bin / "pgbench" for i in installations() if (i.bin / "pgbench").exists()), None)
    if program is None:
        print("(pgbench is not installed)")
        yield None
        return
    server = PostgreSQL.created(stage.ground, "comparison", settings={"max_connections": "400"})
    try:
        server.start()
        to = ("-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", "postgres")
        subprocess.run([program, "-i", "-q", *to], check=True, capture_output=True, timeout=60)
        with ways(
            server.port, stage.directory, protocol="postgresql", names=stage.peers("postgresql")
        ) as compared:
            trials = [trial for name in wanted for trial in _POSTGRESQL[name](program, stage.effort)]
            yield Scene(compared, trials)
    finally:
        server.stop()


def _pgbench(mode: str, program: Path, effort: Effort) -> Iterator[Trial]:
    for clients, goal in CLIENTS.items():
        yield Trial(
            f"PostgreSQL, pgbench select-only, {mode}",
            _counted(clients, "client"),
            (TPS.aiming(goal), CPU.aiming(CPU_GOAL)),
            partial(_pgbench_run, mode, program, effort, clients),
            # A process for each connection: what many of them do to each other is not a relay's speed.
            without=(SOCAT,) if clients > 8 or mode == "simple" else (),
            rounds=3 if mode == "simple" else None,
        )


def _pgbench_run(mode: str, program: Path, effort: Effort, clients: int, way: Way) -> list[float | None]:
    # A hundred clients take most of a second to connect, and pgbench's time includes that.
    seconds = effort.seconds + clients // 100
    return _both(way, load.pgbench(program, way, "-M", mode, clients=clients, seconds=seconds))


def _connect(program: Path, effort: Effort) -> Iterator[Trial]:
    yield Trial(
        "PostgreSQL, a new connection for each transaction",
        "2 clients",
        (TPS, Quantity("CPU of the relay", "µs/connection", Better.LESS)),
        lambda way: _both(way, load.pgbench(program, way, "-C", clients=2, seconds=effort.seconds)),
    )


def _copy(program: Path, effort: Effort) -> Iterator[Trial]:
    for case, run in (("COPY TO STDOUT", load.copy_out), ("COPY FROM STDIN", load.copy_in)):

        def copy(way: Way, run: Callable[..., Load] = run) -> list[float | None]:
            return _both(way, run(way, megabytes=effort.megabytes))

        quantities = (
            Quantity("throughput", "MB/s", Better.MORE).aiming(1.0),
            Quantity("CPU of the relay", "s/GB", Better.LESS).aiming(CPU_GOAL),
        )
        # Each takes half a second, and depends on which process the kernel gives which core: with five rounds
        # the median of the ratios was 0.83 in one run, 1.33 in another.
        yield Trial("PostgreSQL, bulk", case, quantities, copy, rounds=3 * effort.rounds)


def _churn(program: Path, effort: Effort) -> Iterator[Trial]:
    def churn(way: Way) -> list[float]:
        seconds = effort.rated_seconds
        seen = load.pgbench_at_rate(program, way, rate=RATE, churn=CHURN, clients=8, seconds=seconds)
        return [seen.p50, seen.p99, seen.p999]

    yield Trial(
        f"PostgreSQL, latency at {RATE:,} transactions and {CHURN} new connections a second",
        "",
        (
            Quantity("p50", "µs", Better.LESS),
            Quantity("p99", "µs", Better.LESS).aiming(1.0),
            Quantity("p99.9", "µs", Better.LESS),
        ),
        churn,
        without=(SOCAT,),
    )


_POSTGRESQL: dict[str, Callable[[Path, Effort], Iterator[Trial]]] = {
    "prepared": partial(_pgbench, "prepared"),
    "simple": partial(_pgbench, "simple"),
    "connect": _connect,
    "copy": _copy,
    "churn": _churn,
}


@contextmanager
def mysql(stage: Stage, wanted: Sequence[str]) -> Iterator[Scene | None]:
    program = find("sysbench")
    if program is None or find("mariadbd") is None:
        print("(sysbench or mariadbd is not installed)")
        yield None
        return
    server = MariaDB.created(stage.directory, "comparison-mariadb")
    try:
        server.start()
        load.sysbench_prepare(program, server.port, USER, PASSWORD)
        peers = stage.peers("mysql", SOCAT)
        with ways(server.port, stage.directory, protocol="mysql", names=peers) as compared:
            yield Scene(compared, [_sysbench(program, threads, stage.effort) for threads in (1, 8, 32)])
    finally:
        server.stop()


def _sysbench(program: str, threads: int, effort: Effort) -> Trial:
    def run(way: Way) -> list[float | None]:
        seconds = effort.seconds
        return _both(way, load.sysbench(program, way, USER, PASSWORD, clients=threads, seconds=seconds))

    return Trial(
        "MariaDB, sysbench oltp_point_select",
        _counted(threads, "thread"),
        (TPS.aiming(CLIENTS[threads]), CPU.aiming(CPU_GOAL)),
        run,
    )


@contextmanager
def redis(stage: Stage, wanted: Sequence[str]) -> Iterator[Scene | None]:
    program, daemon = find("redis-benchmark"), find("redis-server")
    if program is None or daemon is None:
        print("(Redis is not installed)")
        yield None
        return
    port = free_port()
    settings = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    command = [daemon, *settings, "--dir", str(stage.directory)]
    with Process(command, stage.directory / "redis.log", environ=environ()) as server:
        wait_listening(port, server)
        with ways(port, stage.directory, protocol="tcp", names=stage.peers("tcp", SOCAT)) as compared:
            yield Scene(compared, [_redis(program, pipeline, stage.effort) for pipeline in (1, 16)])


def _redis(program: str, pipeline: int, effort: Effort) -> Trial:
    # Pipelined ones are so much faster that a run of the same length takes more.
    requests = effort.requests * (pipeline if pipeline == 1 else pipeline // 2)

    def run(way: Way) -> list[float | None]:
        return _both(
            way, load.redis_benchmark(program, way, clients=50, pipeline=pipeline, requests=requests)
        )

    return Trial(
        "Redis through a `tcp` listener, redis-benchmark GET, 50 clients",
        f"{pipeline} in flight each",
        (
            Quantity("throughput", "requests/s", Better.MORE).aiming(0.9),
            Quantity("CPU of the relay", "µs/request", Better.LESS).aiming(CPU_GOAL),
        ),
        run,
    )


@contextmanager
def connections(protocol: str, goal: float, stage: Stage, wanted: Sequence[str]) -> Iterator[Scene | None]:
    def run(way: Way) -> list[float]:
        microseconds = median_microseconds(first_answers(way.port, protocol, stage.effort.answers))
        return [microseconds, microseconds]

    added = Quantity("what the way adds", "µs", Better.LESS, beyond_direct=True)
    trial = Trial(
        "New connection, from connect to the first answer of a stub",
        f"`{protocol}`",
        (Quantity("first answer", "µs", Better.LESS), added.aiming(goal)),
        run,
    )
    # PgBouncer answers when it has logged in, of which the stub knows nothing.
    names = stage.peers(protocol, PGBOUNCER)
    with stub(protocol) as server, ways(server, stage.directory, protocol=protocol, names=names) as compared:
        yield Scene(compared, [trial])


@contextmanager
def reading(stage: Stage, wanted: Sequence[str]) -> Iterator[Scene | None]:
    """A PostgreSQL connection, in turn, through a listener of ours that reads it and one that does not."""
    own = partial(way, OURS, directory=stage.directory)
    turns = 8

    def run(reads: Way) -> list[float]:
        through: dict[int, list[float]] = {reads.port: [], carries.port: []}
        for _ in range(turns):
            for port, seconds in through.items():
                seconds += first_answers(port, "postgresql", stage.effort.answers // turns)
        return [median_microseconds(through[reads.port]) - median_microseconds(through[carries.port])]

    trial = Trial(
        "New connection, what reading its startup adds",
        "`postgresql`, beyond `tcp`",
        (Quantity("first answer", "µs", Better.LESS).aiming(150, absolute=True),),
        run,
    )
    with (
        stub("postgresql") as server,
        own(server=server, protocol="tcp") as carries,
        own(server=server, protocol="postgresql") as reads,
    ):
        yield Scene([reads], [trial])


@contextmanager
def memory(protocol: str, stage: Stage, wanted: Sequence[str]) -> Iterator[Scene | None]:
    """Each run has a relay of its own: one that had connections keeps memory for the next ones."""
    names = stage.peers("tcp", SOCAT)
    with stub(protocol) as server:

        def run(fresh: Way) -> list[float | None]:
            with way(fresh.name, server, stage.directory, protocol=protocol) as relay:
                whole = [kib * 1.024e-3 for kib in settled(relay)]
                return [*memory_per_connection(relay, protocol, IDLE), *whole]

        quantities = [
            Quantity(f"{kind}, at {count:,} connections", "KB/connection", Better.LESS).aiming(
                5, absolute=True
            )
            for count in IDLE
            for kind in ("resident", "anonymous")
        ]
        whole = (
            Quantity("resident, no connection yet", "MB", Better.LESS).aiming(45, absolute=True),
            Quantity("anonymous, no connection yet", "MB", Better.LESS).aiming(30, absolute=True),
            Quantity("its share of memory (PSS), no connection yet", "MB", Better.LESS),
        )
        trial = Trial("Memory", f"`{protocol}`", (*quantities, *whole), run, without=(DIRECT,), rounds=3)
        yield Scene([Way(name, 0) for name in (*names, OURS)], [trial])


ACTS = (
    Act(tuple(_POSTGRESQL), postgresql),
    Act(("mysql",), mysql),
    Act(("redis",), redis),
    *(
        Act(("connections",), partial(connections, protocol, goal))
        for protocol, goal in (("tcp", 1.5), ("postgresql", 3.0), ("mysql", 3.0))
    ),
    Act(("connections",), reading),
    *(Act(("memory",), partial(memory, protocol)) for protocol in ("tcp", "postgresql")),
)


def _both(way: Way, seen: Load) -> list[float | None]:
    return [seen.per_second, seen.cpu if way.pid is not None else None]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}"
