"""`dbambassador` as users run it: a process of its own, with flags, variables, a log and an exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

import dbambassador
from dbambassador.demo.ports import free_port
from dbambassador.demo.processes import Process

PATIENCE = 10.0
"""Seconds that a test waits for what must come; a loaded machine takes a few."""

POLL = 0.02

PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "HOME")
"""Variables that say nothing of where a program runs. All others are kept from it: a test may itself run in
a container or a pod, and must not find that."""

SOURCE = str(Path(dbambassador.__file__).parent.parent)


def environ(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The whole environment of a program under test."""
    own = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {**own, "PYTHONPATH": SOURCE, **(extra or {})}


def words(*arguments: str | Path) -> list[str]:
    """The command line of `dbambassador` with these arguments."""
    return [sys.executable, "-m", "dbambassador", *map(str, arguments)]


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that ran to its end."""

    code: int
    output: str
    errors: str


def command(
    *arguments: str | Path,
    variables: Mapping[str, str] | None = None,
    timeout: float = 30.0,
    cwd: Path = Path("/"),
) -> Ended:
    """Runs a command of `dbambassador` to its end."""
    done = subprocess.run(
        words(*arguments),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environ(variables),
        timeout=timeout,
        cwd=cwd,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


class Ambassador:
    """A running `dbambassador run`. It ends with `stop`, with the test, or when this process does."""

    def __init__(
        self,
        arguments: Sequence[str | Path],
        log: Path,
        *,
        variables: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        """`arguments` beside the two ports. `prefix`: what to run it with, as a host's `ip netns exec`."""
        self.http_port = free_port()
        self.admin_port = free_port()
        ports = ("--http-port", str(self.http_port), "--admin-port", str(self.admin_port))
        run = [*prefix, *words("run", *ports, *arguments)]
        self.process = Process(run, log, environ=environ(variables))

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_ready(self) -> Ambassador:
        """Waits until it listens and has chosen an environment, as /startup says. For one on this host."""
        self._until(lambda: self.get("/startup")[0] == 200, "become ready")
        return self

    def wait_for(self, pattern: str, *, timeout: float = PATIENCE) -> str:
        """Waits for a line of its log in which this regular expression is found, and gives the line."""
        found: list[str] = []

        def look() -> bool:
            found[:] = [line for line in self.lines() if re.search(pattern, line)]
            return bool(found)

        self._until(look, f"log a line like {pattern!r}", timeout)
        return found[0]

    def lines(self) -> list[str]:
        """What it logged so far."""
        return self.process.log.read_text(errors="replace").splitlines()

    def events(self) -> list[dict[str, Any]]:
        """What it logged so far with `--structured-logs`."""
        return [json.loads(line) for line in self.lines() if line.startswith("{")]

    def get(self, path: str) -> tuple[int, str]:
        """Status and body from the health port; status 0 where nothing answers."""
        return _asked(f"http://127.0.0.1:{self.http_port}{path}")

    def status(self) -> dict[str, Any]:
        """The snapshot on the admin port."""
        code, body = _asked(f"http://127.0.0.1:{self.admin_port}/status")
        assert code == 200, f"/status answered {code}: {body}"
        snapshot: dict[str, Any] = json.loads(body)
        return snapshot

    def reload(self) -> tuple[int, str]:
        """Has it read its files anew; the answer's status and text."""
        return _asked(f"http://127.0.0.1:{self.admin_port}/reload", "POST")

    def send(self, number: signal.Signals) -> None:
        self.process.send(number)

    def wait(self, timeout: float = PATIENCE) -> int:
        """Waits for its end and gives the exit code; a negative one is the signal that ended it."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"it did not end within {timeout:g} s; its log:\n{self.process.tail()}"
            ) from None

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends the signal and waits for its end; gives the exit code."""
        self.send(number)
        return self.wait()

    def _until(self, reached: Callable[[], bool], what: str, timeout: float = PATIENCE) -> None:
        deadline = time.monotonic() + timeout
        while not reached():
            code = self.process.exit_code
            if code is not None or time.monotonic() > deadline:
                ended = f"it ended with {code}" if code is not None else f"{timeout:g} s are over"
                raise AssertionError(f"it did not {what}: {ended}; its log:\n{self.process.tail(60)}")
            time.sleep(POLL)


class StartAmbassador(Protocol):
    """What the fixture `ambassador` gives."""

    def __call__(
        self,
        *arguments: str | Path,
        variables: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        ready: bool = True,
    ) -> Ambassador: ...


@pytest.fixture
def ambassador(tmp_path: Path) -> Iterator[StartAmbassador]:
    """Starts ambassadors that end with the test. With `ready`, each is waited for."""
    with ExitStack() as ending:
        number = 0

        def start(
            *arguments: str | Path,
            variables: Mapping[str, str] | None = None,
            prefix: Sequence[str] = (),
            ready: bool = True,
        ) -> Ambassador:
            nonlocal number
            number += 1
            started = Ambassador(
                arguments, tmp_path / f"ambassador-{number}.log", variables=variables, prefix=prefix
            )
            ending.callback(started.process.end)
            return started.wait_ready() if ready else started

        yield start


def _asked(url: str, method: str = "GET") -> tuple[int, str]:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        question = urllib.request.Request(url, method=method)
        with direct.open(question, timeout=2.0 if method == "GET" else 10.0) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()
    except (OSError, ValueError):
        return 0, ""
