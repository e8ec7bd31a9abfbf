"""A share of a CPU: a control group of our own, with a quota. Needs root, or a delegated hierarchy."""

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
    group, quota, value = _group(round(PERIOD * share))
    try:
        group.mkdir()
        quota.write_text(value)
    except OSError as error:
        missing(f"no control group can be made in {group.parent}: {error.strerror}")
    try:
        yield Share(group)
    finally:
        _remove(group)


def _group(microseconds: int) -> tuple[Path, Path, str]:
    """The directory of a group to be made, the file with its quota, and what to write there."""
    name = f"dbambassador-test-{os.getpid()}-{time.monotonic_ns()}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split()[:3]
        mounted = Path(fields.split()[4])
        if kind == "cgroup" and "cpu" in options.split(","):
            group = mounted / name
            return group, group / "cpu.cfs_quota_us", str(microseconds)
        if kind == "cgroup2" and "cpu" in _words(mounted / "cgroup.subtree_control"):
            group = mounted / name
            return group, group / "cpu.max", f"{microseconds} {PERIOD}"
    return missing("no cpu controller of control groups is mounted")


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
