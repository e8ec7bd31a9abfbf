"""Load on a way to a server, and what came of it."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from tests.bench.relay_ways import Way

BLOCK = 8000
"""Bytes of a row of bulk data: what a server sends at a time, as its own buffer has 8 KiB."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a load generator saw."""

    per_second: float
    """Transactions, or whatever it counts."""
    cpu: float
    """CPU time of the relay: microseconds for each, of bulk data seconds for each GB; 0 without a relay."""


@dataclass(frozen=True, slots=True)
class Latencies:
    """Microseconds from the time at which a transaction was due to its end."""

    p50: float
    p99: float
    p999: float


def pgbench(program: Path, way: Way, *flags: str, clients: int, seconds: float) -> Load:
    """Select-only transactions, as many as there can be; with `-C` each on a new connection."""
    options = ("-n", "-S", *flags, "-c", str(clients), "-T", str(int(seconds)), "-P", "1")
    command = (str(program), *options, *_to(way.port))
    report, total = r"progress: ([0-9.]+) s, ([0-9.]+) tps", r"actually processed: (\d+)"
    return _reported(command, way, report, r"tps = ([0-9.]+)", total)


def pgbench_at_rate(
    program: Path, way: Way, *, rate: int, churn: int, clients: int, seconds: float
) -> Latencies:
    """So many transactions a second, while `churn` connections a second are opened, used once, and closed."""
    with TemporaryDirectory() as place, _churn(program, way, churn, seconds):
        prefix = f"{place}/log"
        options = ("-n", "-S", "-M", "prepared", "-c", str(clients), "-T", str(int(seconds)))
        logging = ("-R", str(rate), "-l", "--log-prefix", prefix)
        _run(program, *options, *logging, *_to(way.port))
        lines = [line for path in Path(place).iterdir() for line in path.read_text().splitlines()]
    # pgbench, "Per-Transaction Logging": client, number, time in µs, script, seconds, µs, lag; the time
    # begins when the transaction was due.
    warm = [line.split() for line in lines]
    first = min(int(fields[4]) for fields in warm) + 1
    times = sorted(int(fields[2]) for fields in warm if int(fields[4]) > first)
    return Latencies(*(float(times[int(len(times) * part)]) for part in (0.5, 0.99, 0.999)))


def copy_out(way: Way, *, megabytes: int) -> Load:
    """Bulk data from the server: megabytes."""
    rows = megabytes * 1_000_000 // BLOCK
    with psycopg.connect(_conninfo(way.port)) as connection, connection.cursor() as cursor:
        before = way.cpu_seconds()
        started = time.perf_counter()
        query = f"COPY (SELECT repeat('x', {BLOCK}) FROM generate_series(1, {rows})) TO STDOUT"
        with cursor.copy(query.encode()) as copy:
            carried = sum(map(len, copy))
        seconds = time.perf_counter() - started
    assert carried == rows * (BLOCK + 1)
    return Load(carried / 1e6 / seconds, (way.cpu_seconds() - before) / carried * 1e9)


def copy_in(way: Way, *, megabytes: int) -> Load:
    """Bulk data to the server, which reads all of it and keeps nothing: megabytes."""
    rows = megabytes * 1_000_000 // BLOCK
    block = (b"x" * BLOCK + b"\n") * 8
    with psycopg.connect(_conninfo(way.port)) as connection, connection.cursor() as cursor:
        # A pooler may give a server's session to the next client as it is.
        cursor.execute("CREATE TEMPORARY TABLE IF NOT EXISTS bulk (data text)")
        before = way.cpu_seconds()
        started = time.perf_counter()
        with cursor.copy("COPY bulk FROM STDIN WHERE false") as copy:
            for _ in range(rows // 8):
                copy.write(block)
        seconds = time.perf_counter() - started
    carried = rows // 8 * len(block)
    return Load(carried / 1e6 / seconds, (way.cpu_seconds() - before) / carried * 1e9)


def sysbench(program: str, way: Way, user: str, password: str, *, clients: int, seconds: float) -> Load:
    """MySQL point selects on the table that `sysbench_prepare` made."""
    until = (f"--time={int(seconds)}", "--report-interval=1", "run")
    command = (program, *_sysbench(way.port, user, password, clients), *until)
    report, total = r"\[ ([0-9.]+)s \] .*?tps: ([0-9.]+)", r"transactions:\s+(\d+)"
    return _reported(command, way, report, r"transactions:\s+\d+\s+\(([0-9.]+) per sec", total)


def sysbench_prepare(program: str, port: int, user: str, password: str) -> None:
    _run(program, *_sysbench(port, user, password, 1), "prepare")


def redis_benchmark(program: str, way: Way, *, clients: int, pipeline: int, requests: int) -> Load:
    """GETs. The CPU time has that of the connections in it: there is no report on the way."""
    before = way.cpu_seconds()
    sizes = ("-c", str(clients), "-P", str(pipeline), "-n", str(requests))
    output = _run(program, "-p", str(way.port), "-t", "get", "-q", *sizes)
    rate = float(_found(r"GET: ([0-9.]+) requests per second", output))
    return Load(rate, _positive(way, (way.cpu_seconds() - before) / requests * 1e6))


def _reported(command: Sequence[str], way: Way, report: str, rate: str, total: str) -> Load:
    """A load that reports the time and its rate each second, and in the end the rate and total of all.

    The CPU time is that after the first report, so that connecting, which takes a hundred clients most of a
    second, is not counted among the transactions.
    """
    lines: list[str] = []
    first: tuple[float, float] | None = None
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if first is None and (found := re.search(report, line)):
                first = float(found[1]) * float(found[2]), way.cpu_seconds()
    cpu = way.cpu_seconds()
    output = "".join(lines)
    if process.returncode != 0 or first is None:
        raise AssertionError(f"{command[0]} ended with {process.returncode}:\n{output}")
    counted = int(_found(total, output)) - first[0]
    if counted <= 0:
        raise AssertionError(f"{way.name} carried nothing after the first second:\n{output}")
    return Load(float(_found(rate, output)), _positive(way, (cpu - first[1]) / counted * 1e6))


def _positive(way: Way, cpu: float) -> float:
    """A relay that carried something has used CPU time; anything else is a fault of the measurement."""
    if way.pid is not None and cpu <= 0:
        raise AssertionError(f"{way.name} is said to have used {cpu:.3g} µs")
    return cpu


@contextmanager
def _churn(program: Path, way: Way, rate: int, seconds: float) -> Iterator[None]:
    if not rate:
        yield
        return
    options = ("-n", "-S", "-C", "-c", "2", "-R", str(rate), "-T", str(int(seconds)))
    command = [str(program), *options, *_to(way.port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as churn:
        try:
            yield
        finally:
            churn.wait(timeout=30)


def _sysbench(port: int, user: str, password: str, clients: int) -> tuple[str, ...]:
    return (
        "oltp_point_select",
        "--db-driver=mysql",
        "--mysql-host=127.0.0.1",
        f"--mysql-port={port}",
        f"--mysql-user={user}",
        f"--mysql-password={password}",
        "--mysql-db=app",
        "--mysql-ssl=off",
        "--tables=1",
        "--table-size=10000",
        f"--threads={clients}",
    )


def _run(program: str | Path, *arguments: str) -> str:
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise AssertionError(f"{program} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _found(pattern: str, output: str) -> str:
    found = re.findall(pattern, output)
    if not found:
        raise AssertionError(f"no {pattern!r} in:\n{output}")
    return str(found[-1])


def _last_tps(output: str) -> float:
    return float(_found(r"tps = ([0-9.]+)", output))


def _conninfo(port: int) -> str:
    return f"host=127.0.0.1 port={port} user=postgres dbname=postgres"


def _to(port: int) -> tuple[str, ...]:
    return ("-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "postgres")
