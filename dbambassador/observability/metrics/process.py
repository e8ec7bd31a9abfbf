"""What the operating system knows of this process, as Prometheus' client libraries tell it. Linux alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dbambassador.observability.metrics import families
from dbambassador.observability.metrics.families import Family

SELF = Path("/proc/self")


def measured(proc: Path = SELF) -> Mapping[Family, float]:
    """The present values; none where there is no such file system."""
    try:
        fields = (proc / "stat").read_text().rpartition(")")[2].split()  # proc(5): from the third field on
        booted = _boot_time(proc.parent / "stat")
    except OSError:
        return {}
    tick = os.sysconf("SC_CLK_TCK")
    found = {
        families.CPU: (int(fields[11]) + int(fields[12])) / tick,
        families.OPEN_FDS: float(_open_descriptors(proc / "fd")),
        families.RESIDENT: int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        families.VIRTUAL: int(fields[20]),
        families.BORN: booted + int(fields[19]) / tick,
    }
    limit = _descriptor_limit()
    return found if limit is None else {**found, families.MAX_FDS: limit}


def _boot_time(path: Path) -> int:
    line = next(line for line in path.read_text().splitlines() if line.startswith("btime "))
    return int(line.split()[1])


def _open_descriptors(path: Path) -> int:
    # Their number since Linux 6.2 (proc(5)); to list tens of thousands would stop the process for a while.
    return os.stat(path).st_size or len(os.listdir(path)) - 1  # less the one it is listed by


def _descriptor_limit() -> float | None:
    import resource

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft
