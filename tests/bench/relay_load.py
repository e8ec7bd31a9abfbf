"""Load on a way to a server, and what came of it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.relay_ways import Way


@dataclass(frozen=True, slots=True)
class Load:
    """What a load generator saw."""

    per_second: float
    """Transactions, or whatever it counts."""
    cpu_microseconds: float
    """CPU time of the relay for each of them."""


@dataclass(frozen=True, slots=True)
class Latencies:
    """Microseconds from the time at which a transaction was due to its end."""

    p50: float
    p99: float
    p999: float


def pgbench(program: Path, way: Way, *flags: str, clients: int, seconds: float) -> Load:
    """Select-only transactions, as many as there can be."""
    before = way.cpu_seconds()
    options = ("-n", "-S", *flags, "-c", str(clients), "-T", str(int(seconds)))
    output = _run(program, *options, *_to(way.port))
    transactions = int(_found(r"actually processed: (\d+)", output))
    return Load(_last_tps(output), (way.cpu_seconds() - before) / transactions * 1e6)


def pgbench_connecting(program: Path, way: Way, *, clients: int, seconds: float) -> Load:
    """A new connection for each transaction."""
    before = way.cpu_seconds()
    options = ("-n", "-S", "-C", "-c", str(clients), "-T", str(int(seconds)))
    output = _run(program, *options, *_to(way.port))
    transactions = int(_found(r"actually processed: (\d+)", output))
    return Load(_last_tps(output), (way.cpu_seconds() - before) / transactions * 1e6)


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


def sysbench(program: str, way: Way, user: str, password: str, *, clients: int, seconds: float) -> Load:
    """MySQL point selects on the table that `sysbench_prepare` made."""
    before = way.cpu_seconds()
    output = _run(program, *_sysbench(way.port, user, password, clients, seconds), "run")
    transactions = int(_found(r"transactions:\s+(\d+)", output))
    rate = float(_found(r"transactions:\s+\d+\s+\(([0-9.]+) per sec", output))
    return Load(rate, (way.cpu_seconds() - before) / transactions * 1e6)


def sysbench_prepare(program: str, port: int, user: str, password: str) -> None:
    _run(program, *_sysbench(port, user, password, 1, 1), "prepare")


def redis_benchmark(program: str, way: Way, *, clients: int, pipeline: int, requests: int) -> Load:
    """GETs."""
    before = way.cpu_seconds()
    sizes = ("-c", str(clients), "-P", str(pipeline), "-n", str(requests))
    output = _run(program, "-p", str(way.port), "-t", "get", "-q", *sizes)
    rate = float(re.findall(r"GET: ([0-9.]+) requests per second", output)[-1])
    return Load(rate, (way.cpu_seconds() - before) / requests * 1e6)


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


def _sysbench(port: int, user: str, password: str, clients: int, seconds: float) -> tuple[str, ...]:
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
        f"--time={int(seconds)}",
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


def _to(port: int) -> tuple[str, ...]:
    return ("-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "postgres")
