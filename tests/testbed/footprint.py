"""What a running process costs and holds, as the kernel counts it (Linux)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

_PROCESS_CPU_CLOCK = 2
"""CPUCLOCK_SCHED of all threads: what clock_getcpuclockid(3) puts into the low bits of a clock's name."""


@dataclass(frozen=True, slots=True)
class Rest:
    """What a process did in a stretch of time, for each second of it."""

    wakes: float
    """How often one of its threads went to sleep, and so had been awake."""
    cpu: float
    """Seconds of CPU time: 1 is a whole CPU."""


def descriptors(pid: int) -> int:
    """How many file descriptors it has."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def resident_kib(pid: int) -> int:
    """Its resident memory."""
    return _status(Path(f"/proc/{pid}/status"), "VmRSS")


def cpu_seconds(pid: int) -> float:
    """CPU time so far, to the nanosecond: /proc counts in hundredths of a second, too coarse if idle."""
    return time.clock_gettime((~pid << 3) | _PROCESS_CPU_CLOCK)


def wakes(pid: int) -> int:
    """How often its threads went to sleep by themselves so far. A loop that polls without pause does not: see
    its CPU time."""
    threads = Path(f"/proc/{pid}/task").glob("*/status")
    return sum(_status(thread, "voluntary_ctxt_switches") for thread in threads)


def watch(pid: int, seconds: float) -> Rest:
    """Looks on for so long."""
    started, before, used = time.monotonic(), wakes(pid), cpu_seconds(pid)
    time.sleep(seconds)
    woken, burnt = wakes(pid) - before, cpu_seconds(pid) - used
    elapsed = time.monotonic() - started
    return Rest(woken / elapsed, burnt / elapsed)


def _status(path: Path, name: str) -> int:
    lines = path.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
