"""A server that lives and does nothing: all its processes stopped, its kernel still accepting connections."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def freeze(pid: int) -> None:
    """SIGSTOP to a process and all its descendants. Those that have ended are no trouble."""
    _send(pid, signal.SIGSTOP)
    while _state(pid) not in "TZ":  # only a parent that has stopped has no more children
        time.sleep(0.001)
    for child in _children(pid):
        freeze(child)


def thaw(pid: int) -> None:
    """SIGCONT to a process and all its descendants; does no harm where nothing was frozen."""
    for child in _children(pid):
        thaw(child)
    _send(pid, signal.SIGCONT)


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _state(pid: int) -> str:
    """T is stopped, Z has ended: proc(5)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def _children(pid: int) -> list[int]:
    """Of all its threads: a child belongs to the thread that started it (proc(5))."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found
