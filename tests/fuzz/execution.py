"""One input to one target, and what went wrong: an exception, a hang, too much memory."""

from __future__ import annotations

import signal
import time
import traceback
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from tests.fuzz.coverage import Coverage
from tests.fuzz.target import Target


@dataclass(frozen=True, slots=True)
class Finding:
    """An input that breaks a promise."""

    target: str
    kind: str
    """The exception's name, `hang` or `memory`."""
    detail: str
    data: bytes

    @property
    def cause(self) -> str:
        """The same for inputs that break the promise at the same place."""
        places = [line for line in self.detail.splitlines() if "  File " in line]
        return f"{self.kind} {places[-1]}" if places and self.kind != "hang" else self.kind

    def __str__(self) -> str:
        return (
            f"{self.target}: {self.kind}\n{self.detail.rstrip()}\n"
            f"replay: python -m tests.fuzz {self.target} --replay {self.data.hex() or '-'}"
        )


class Hang(BaseException):
    """The input's time is over. Not an Exception, so that no parser takes it for one of its own."""


class Watch:
    """Runs inputs under a deadline. A process has one at a time, in its main thread."""

    def __init__(self) -> None:
        self._over = False

    def run(self, target: Target, data: bytes, *, slowed: float = 1.0) -> Finding | None:
        """Feeds one input. None: all is as promised. `slowed`: by what watches it, so many times."""
        self._over = False
        try:
            signal.setitimer(signal.ITIMER_VIRTUAL, target.seconds * slowed)
            try:
                target.feed(data)
            except target.raises:
                pass
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        except (Exception, Hang) as error:
            kind = "hang" if self._over else type(error).__name__
            return Finding(target.name, kind, "".join(traceback.format_exception(error)), data)
        if self._over:  # the parser has swallowed even that
            return Finding(target.name, "hang", f"more than {target.seconds:g} s of CPU time", data)
        return None

    def measured(self, target: Target, data: bytes) -> Finding | None:
        """The same, and counts the memory that is held meanwhile."""
        tracemalloc.start()
        try:
            finding = self.run(target, data, slowed=10.0)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        allowed = target.allows(len(data))
        if finding is None and peak > allowed:
            return Finding(target.name, "memory", f"{peak} bytes at once, {allowed} are allowed", data)
        return finding

    def traced(self, target: Target, data: bytes, coverage: Coverage) -> Finding | None:
        """The same, and notes the lines that are reached."""
        with coverage.tracing():
            return self.run(target, data, slowed=20.0)

    def _ring(self, _: int, frame: FrameType | None) -> None:
        self._over = True
        raise Hang


@contextmanager
def watching() -> Iterator[Watch]:
    """For the main thread alone: it takes SIGVTALRM over, and gives it back."""
    watch = Watch()
    before = signal.signal(signal.SIGVTALRM, watch._ring)
    try:
        yield watch
    finally:
        signal.signal(signal.SIGVTALRM, before)


PATIENCE = 10.0
"""Seconds spent on making an input smaller; each attempt may be a hang."""


def smaller(finding: Finding, again: Callable[[bytes], Finding | None]) -> Finding:
    """The same finding with as little input as can be had by leaving pieces out; `again` runs one."""
    deadline, size = time.monotonic() + PATIENCE, len(finding.data) // 2
    while size and time.monotonic() < deadline:
        at = 0
        while at < len(finding.data) and time.monotonic() < deadline:
            less = again(finding.data[:at] + finding.data[at + size :])
            if less is not None and less.cause == finding.cause:
                finding = less
            else:
                at += size
        size //= 2
    return finding
