"""Servers and directories that end with this process, however it ends.

A `finally` does not run under SIGKILL, and PR_SET_PDEATHSIG follows the *thread* that started the child
(prctl(2)), exists on Linux alone and needs code between fork and exec. So one small watcher process, in a
session of its own, holds the reading end of a pipe: when the pipe ends, because we ended, it ends what is
still on the leash. It ends processes by the ids it was given and no others.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

WATCHER = """
import os, shutil, signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
processes, directories = {}, set()
for line in sys.stdin:
    what, value, *rest = line.rstrip("\\n").split("\\t")
    if what == "process":
        processes[int(value)] = int(rest[0])
    elif what == "ended":
        processes.pop(int(value), None)
    elif what == "directory":
        directories.add(value)
    elif what == "removed":
        directories.discard(value)

def send(process, number):
    try:
        os.kill(process, number)
    except OSError:
        processes.pop(process, None)

for process, number in list(processes.items()):
    send(process, number)

def waits_for_init(process):
    try:
        with open(f"/proc/{process}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False

deadline = time.monotonic() + 3
while processes and time.monotonic() < deadline:
    time.sleep(0.02)
    for process in list(processes):
        send(process, 0)
        if waits_for_init(process):
            processes.pop(process, None)
for process in list(processes):
    send(process, signal.SIGKILL)
for directory in directories:
    shutil.rmtree(directory, ignore_errors=True)
"""


class Leash:
    """What must not outlive this process. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watcher: subprocess.Popen[str] | None = None

    def hold(self, process: int, number: signal.Signals = signal.SIGTERM) -> None:
        """From now on `process` is sent signal `number`, and SIGKILL 3 s later, when we end."""
        self._tell("process", process, int(number))

    def release(self, process: int) -> None:
        """`process` has ended, and its id may come to mean another one."""
        self._tell("ended", process)

    def hold_directory(self, directory: Path) -> None:
        """From now on `directory` is removed when we end, after the processes."""
        self._tell("directory", directory)

    def release_directory(self, directory: Path) -> None:
        self._tell("removed", directory)

    def _tell(self, *words: object) -> None:
        with self._lock:
            pipe = self._pipe()
            pipe.write("\t".join(map(str, words)) + "\n")
            pipe.flush()

    def _pipe(self) -> IO[str]:
        if self._watcher is None:
            self._watcher = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", WATCHER],
                stdin=subprocess.PIPE,
                text=True,
                cwd=os.sep,
                start_new_session=True,  # the terminal's Ctrl-C and hang-up are not for it
            )
        assert self._watcher.stdin is not None
        return self._watcher.stdin


leash = Leash()
"""The one of this process."""
