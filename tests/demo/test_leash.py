"""What is on the leash ends with its holder, even one that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dbambassador.demo.processes import Process, reachable, temporary_directory
from tests.testbed.processes import environ

HOLDER = """
import sys, time
from pathlib import Path
from dbambassador.demo.processes import Process, temporary_directory

with temporary_directory() as directory:
    child = Process([sys.executable, "-c", sys.argv[1]], directory / "log")
    while not child.tail():
        time.sleep(0.01)
    print(child.pid, directory, flush=True)
    if sys.argv[2] == "raise":
        raise RuntimeError("the holder ends in its own way")
    time.sleep(60)
"""

OBEDIENT = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {OBEDIENT}"


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until_it_speaks(process: Process) -> None:
    deadline = time.monotonic() + 10
    while not process.tail():
        assert time.monotonic() < deadline, "it says nothing"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("child", "end"),
    [(OBEDIENT, "kill"), (OBEDIENT, "raise"), (STUBBORN, "kill")],
    ids=["killed", "failed", "killed, stubborn child"],
)
def test_children_and_directories_end_with_their_holder(child: str, end: str) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, child, end],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environ(),
    )
    with holder:
        assert holder.stdout is not None
        pid, directory = holder.stdout.readline().split()
        if end == "kill":
            holder.kill()
    deadline = time.monotonic() + 10
    while runs(int(pid)) or Path(directory).exists():
        assert time.monotonic() < deadline, f"process {pid} or {directory} outlived its holder"
        time.sleep(0.01)


def test_a_process_tells_its_exit_code_and_its_last_words(tmp_path: Path) -> None:
    with Process(["sh", "-c", "echo one; echo two; exit 7"], tmp_path / "log") as process:
        assert process.wait(5) == 7
        assert process.tail(1) == "two"
        process.send(signal.SIGTERM)
    assert process.exit_code == 7


def test_one_that_does_not_end_when_asked_is_killed(tmp_path: Path) -> None:
    process = Process([sys.executable, "-c", STUBBORN], tmp_path / "log")
    until_it_speaks(process)
    assert process.end(timeout=0.2) == -signal.SIGKILL


def test_killing_takes_the_children_along(tmp_path: Path) -> None:
    process = Process(["sh", "-c", "sleep 60 & echo $!; wait"], tmp_path / "log")
    until_it_speaks(process)
    child = int(process.tail())
    process.kill()
    assert process.exit_code == -signal.SIGKILL
    deadline = time.monotonic() + 5
    while runs(child):
        assert time.monotonic() < deadline, "the child outlived its killed parent"
        time.sleep(0.01)


def test_a_temporary_directory_can_be_entered_by_every_user() -> None:
    with temporary_directory() as directory:
        assert reachable(directory)
        closed = directory / "closed"
        closed.mkdir()
        (closed / "file").write_text("")
        os.chmod(closed / "file", 0o644)
        assert reachable(closed / "file")
        os.chmod(closed, 0o700)
        assert not reachable(closed / "file")
    assert not directory.exists()
