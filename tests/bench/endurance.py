"""What a relay must not do in a long life: spin, grow, or let one session starve the others."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dbambassador.demo.ports import free_port
from dbambassador.demo.postgresql import Ground
from tests.bench.figures import OURS, REFERENCE
from tests.bench.relay_ways import Way, installed, ways
from tests.end_to_end.setting import CHOSEN, environments
from tests.testbed.footprint import descriptors, resident_kib, watch
from tests.testbed.freezing import freeze
from tests.testbed.processes import Ambassador
from tests.testbed.short_sessions import short_sessions
from tests.testbed.streaming import latencies, opened, p99, streaming, taker

TITLE = "Endurance: at rest, after many sessions, beside a bulk transfer, with a busy loop"

IDLE = (0, 100, 1_000, 5_000)
"""Sessions that say nothing."""
LOOK = 5.0
"""Seconds for which a process is watched at rest."""
WARM_UP, SHORT = 10_000, 100_000
CROWD = 5_000
RATE = 1_000
"""Messages in a second, in turn over all sessions: few enough for a CPU that is busy with bulk as well."""
SECONDS = 3.0
ROUNDS = 5
BUSY = 0.8

Figures = dict[str, object]


def run(ground: Ground, directory: Path) -> Figures:
    with _descriptors_for(2 * CROWD + 400) as crowd:
        return {
            "at rest": _rest(directory, crowd),
            "short sessions": {
                protocol: _short_sessions(directory, protocol) for protocol in ("tcp", "postgresql")
            },
            "p99 beside a bulk transfer": _bulk(directory, crowd),
            "p99 with a busy loop": _busy(directory),
        }


def _rest(directory: Path, crowd: int) -> Figures:
    figures: Figures = {}
    with streaming("tcp") as server, _ambassador(directory, "tcp", server) as (running, port):
        with ExitStack() as ending:
            opened_so_far = 0
            for sessions in (min(count, crowd) for count in IDLE):
                for _ in range(sessions - opened_so_far):
                    ending.enter_context(opened(port, "tcp"))
                opened_so_far = sessions
                figures[f"{sessions} idle sessions"] = _watched(running, f"{sessions:,} idle sessions")
        with taker(port, "tcp") as client:
            freeze(client)
            figures["a stopped client"] = _watched(running, "a client that was stopped in mid-transfer")
    return figures


def _watched(running: Ambassador, what: str) -> Figures:
    time.sleep(2)  # until nothing is left of the change
    rest = watch(running.pid, LOOK)
    print(f"{what}: {rest.wakes:.1f} wake-ups/s, {rest.cpu:.2%} of a CPU", flush=True)
    return {"wakes_per_s": rest.wakes, "cpu": rest.cpu}


def _short_sessions(directory: Path, protocol: str) -> Figures:
    dead = free_port()
    with (
        streaming(protocol) as server,
        _ambassador(directory, protocol, server, dead) as (running, port),
    ):
        time.sleep(1)
        held = descriptors(running.pid)
        short_sessions(WARM_UP, port, protocol, dead=dead)
        warm = _memory_once_over(running)
        short_sessions(SHORT, port, protocol, dead=dead)
        after = _memory_once_over(running)
        left = descriptors(running.pid) - held
    grown = (after - warm) * 1024
    print(
        f"{SHORT:,} short sessions, {protocol}: {left} more descriptors, "
        f"{grown / 1024:.0f} KiB more memory ({grown / SHORT:.1f} bytes each)",
        flush=True,
    )
    return {"descriptors_left": left, "bytes_each": grown / SHORT}


def _memory_once_over(running: Ambassador) -> int:
    deadline = time.monotonic() + 30
    while any(served["sessions"] for served in running.status()["databases"]):
        if time.monotonic() > deadline:
            raise AssertionError("sessions are left")
        time.sleep(0.1)
    return resident_kib(running.pid)


def _bulk(directory: Path, crowd: int) -> Figures:
    """What a bulk transfer, and then its stopped client, does to the others."""
    states = ("alone", "beside a bulk transfer", "beside a stopped one")
    runs: list[dict[tuple[str, str], float]] = []
    others = [name for name in installed("tcp") if name == REFERENCE]
    with streaming("tcp") as server, ways(server, directory, protocol="tcp", names=others) as all_ways:
        compared = [way for way in all_ways if way.pid is not None]
        with ExitStack() as ending:
            crowds = {
                way.name: [ending.enter_context(opened(way.port, "tcp")) for _ in range(crowd)]
                for way in compared
            }
            for _ in range(ROUNDS):
                runs.append({})
                for way in compared:
                    sessions = crowds[way.name]
                    taken = [latencies(sessions, "tcp", rate=RATE, seconds=SECONDS)]
                    with taker(way.port, "tcp") as client:
                        time.sleep(0.5)
                        taken.append(latencies(sessions, "tcp", rate=RATE, seconds=SECONDS))
                        freeze(client)
                        time.sleep(0.5)
                        taken.append(latencies(sessions, "tcp", rate=RATE, seconds=SECONDS))
                    runs[-1].update(
                        {(way.name, state): p99(x) for state, x in zip(states, taken, strict=True)}
                    )
    return {state: _compared(state, f"{crowd:,} sessions", compared, runs) for state in states}


def _compared(
    state: str, sessions: str, compared: list[Way], runs: list[dict[tuple[str, str], float]]
) -> Figures:
    of = {way.name: [one[way.name, state] * 1e6 for one in runs] for way in compared}
    shown = ", ".join(f"{name} {_spread(values)} µs" for name, values in of.items())
    figures: Figures = {"p99_us": of}
    if REFERENCE in of:
        ratio = statistics.median(ours / theirs for ours, theirs in zip(of[OURS], of[REFERENCE], strict=True))
        shown += f"; {ratio:.2f} × {REFERENCE}"
        figures["ratio"] = ratio
    print(f"{sessions}, {state}: p99 {shown}", flush=True)
    return figures


def _busy(directory: Path) -> Figures:
    """The same program, without and with a trio loop that computes most of the time; one at a time."""
    shares = (0.0, BUSY)
    of: dict[float, list[float]] = {share: [] for share in shares}
    with streaming("tcp") as server:
        for _ in range(ROUNDS):
            for share in shares:
                prefix = (sys.executable, "-m", "tests.testbed.busy", str(share))
                with _ambassador(directory, "tcp", server, prefix=prefix) as (_, port), ExitStack() as ending:
                    sessions = [ending.enter_context(opened(port, "tcp")) for _ in range(8)]
                    taken = latencies(sessions, "tcp", rate=RATE, seconds=SECONDS)
                of[share].append(p99(taken) * 1e6)
    ratio = statistics.median(busy / idle for idle, busy in zip(of[0.0], of[BUSY], strict=True))
    print(f"trio idle: p99 {_spread(of[0.0])} µs; {BUSY:.0%} busy: {_spread(of[BUSY])} µs; {ratio:.2f} ×")
    return {"p99_us": {"idle": of[0.0], "busy": of[BUSY]}, "ratio": ratio}


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):,.0f} ({min(values):,.0f}–{max(values):,.0f})"


@contextmanager
def _ambassador(
    directory: Path, protocol: str, server: int, dead: int | None = None, prefix: tuple[str, ...] = ()
) -> Iterator[tuple[Ambassador, int]]:
    """A running one and its port; on port `dead`, if any, it serves a database that does not listen."""
    port = free_port()
    home = directory / f"endurance-{port}"
    home.mkdir()
    databases = {"main": _database(protocol, port, server)}
    if dead is not None:
        databases["dead"] = {**_database(protocol, dead, free_port()), "hold": "100ms"}
    flags = ("--environments", environments(home, **databases), *CHOSEN, "--quiet")
    running = Ambassador(flags, home / "log", prefix=prefix)
    try:
        yield running.wait_ready(), port
    finally:
        running.process.end()


def _database(protocol: str, port: int, server: int) -> dict[str, object]:
    return {"protocol": protocol, "listen": [f"127.0.0.1:{port}"], "endpoint": f"127.0.0.1:{server}"}


@contextmanager
def _descriptors_for(wanted: int) -> Iterator[int]:
    """As many descriptors as that for us and what we start, and how many sessions these allow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
    try:
        yield min(CROWD, (allowed - 400) // 2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
