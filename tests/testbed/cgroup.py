"""Control groups of our own: a share of a CPU, or no more processes. Need root, or a delegated hierarchy."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.testbed.requirements import missing

PERIOD = 100_000
"""Microseconds; the kernel's default, and Kubernetes'."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share of a CPU for all who are started with it, together."""

    group: Path

    @property
    def prefix(self) -> list[str]:
        """What to put before a command."""
        return ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self.group / "cgroup.procs")]

    @property
    def throttled(self) -> int:
        """The periods in which somebody had to wait for the next one."""
        words = (self.group / "cpu.stat").read_text().split()
        return int(words[words.index("nr_throttled") + 1])


@contextmanager
def share_of_a_cpu(share: float) -> Iterator[Share]:
    """A control group whose processes and their children have `share` of one CPU in all.

    Skips the test where no control group can be made (in CI: fails it). What still runs in the group at the
    end of the block must end within seconds, or OSError is raised.
    """
    microseconds = round(PERIOD * share)
    limits = {"cpu.cfs_quota_us": str(microseconds)}, {"cpu.max": f"{microseconds} {PERIOD}"}
    with _group("cpu", *limits) as group:
        yield Share(group)


@contextmanager
def no_more_processes(pid: int) -> Iterator[None]:
    """Within it, this process, which ends before it, can start no others.

    Skips the test where no control group can be made (in CI: fails it).
    """
    limit = {"pids.max": "1"}
    with _group("pids", limit, limit) as group:
        (group / "cgroup.procs").write_text(str(pid))
        yield


@contextmanager
def _group(controller: str, first: dict[str, str], second: dict[str, str]) -> Iterator[Path]:
    """A group with the limits in these files, of the first version of control groups or of the second."""
    group, version = _place(controller)
    try:
        group.mkdir()
        for name, limit in (first, second)[version - 1].items():
            (group / name).write_text(limit)
    except OSError as error:
        missing(f"no control group can be made in {group.parent}: {error.strerror}")
    try:
        yield group
    finally:
        _remove(group)


def _place(controller: str) -> tuple[Path, int]:
    """The directory of a group to be made, and its version."""
    name = f"dbambassador-test-{os.getpid()}-{time.monotonic_ns()}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split()[:3]
        mounted = Path(fields.split()[4])
        if kind == "cgroup" and controller in options.split(","):
            return mounted / name, 1
        if kind == "cgroup2" and controller in _words(mounted / "cgroup.subtree_control"):
            return mounted / name, 2
    return missing(f"no {controller} controller of control groups is mounted")


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def _remove(group: Path) -> None:
    """A group can be removed once its last process is gone, and that needs its share of the CPU to end."""
    deadline = time.monotonic() + 10.0
    while True:
        try:
            group.rmdir()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
