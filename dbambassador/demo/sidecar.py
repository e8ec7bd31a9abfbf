"""The program itself, as a child process in a captured place: its commands, and `dbambassador run`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import trio

import dbambassador
from dbambassador.demo.ports import free_port
from dbambassador.demo.processes import Process
from dbambassador.errors import AmbassadorError
from dbambassador.transport.http import fetch
from dbambassador.transport.http_messages import Response

CAPTURES = Path(__file__).parent / "captures"

POLL = 0.02
"""Seconds between two questions whether it is ready."""

PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TERM")
"""Our own variables that say nothing of where we run; all others are the captured place's."""


class SidecarFailed(AmbassadorError):
    """A command of ours ended with an error, or `run` ended before it was told to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a command believes to run."""

    name: str
    root: Path
    """The captured files."""
    environ: Mapping[str, str]
    """The captured variables."""
    environments: Path
    nameserver: str

    @classmethod
    def captured(cls, name: str, *, environments: Path, nameserver: str) -> Place:
        """One of the places that come with the demo: `development` or `production`."""
        lines = (CAPTURES / name / "environ").read_text().splitlines()
        environ = {key: value for key, _, value in (line.partition("=") for line in lines)}
        root = CAPTURES / name / "root"
        return cls(name=name, root=root, environ=environ, environments=environments, nameserver=nameserver)

    @property
    def flags(self) -> tuple[str, ...]:
        where = ("--root", str(self.root), "--environments", str(self.environments))
        return (*where, "--nameserver", self.nameserver)

    @property
    def variables(self) -> dict[str, str]:
        """The whole environment of a command there."""
        own = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        source = str(Path(dbambassador.__file__).parent.parent)  # the same code as ours, installed or not
        return {**own, "PYTHONPATH": source, **self.environ}

    async def told_by(self, command: str, *flags: str) -> str:
        """The output of a command that ends by itself. Raises SidecarFailed with its words."""
        words = program(command, *self.flags, *flags)
        done = await trio.run_process(
            words, capture_stdout=True, stderr=subprocess.STDOUT, check=False, env=self.variables, cwd=os.sep
        )
        output = done.stdout.decode(errors="replace")
        if done.returncode != 0:
            raise SidecarFailed(f"dbambassador {command} ended with {done.returncode}:\n{output.rstrip()}")
        return output


def program(command: str, *flags: str) -> tuple[str, ...]:
    """The command line of our own program, by the interpreter that we run on."""
    return (sys.executable, "-m", "dbambassador", command, *flags)


class Sidecar:
    """A running `dbambassador run`. It ends with `end`, or when this process does."""

    def __init__(self, place: Place, log: Path) -> None:
        self.place = place
        self.http_port = free_port()
        self.admin_port = free_port()
        ports = ("--http-port", str(self.http_port), "--admin-port", str(self.admin_port))
        self._process = Process(program("run", *place.flags, *ports), log, environ=place.variables)

    async def ready(self) -> None:
        """Waits until it listens and has chosen an environment. Raises SidecarFailed where it ended."""
        while True:
            answer = await fetch("127.0.0.1", self.http_port, "GET", "/startup", timeout=1.0)
            if isinstance(answer, Response) and answer.status == 200:
                return
            code = self._process.exit_code
            if code is not None:
                raise SidecarFailed(f"dbambassador run ended with {code}:\n{self.tail()}")
            await trio.sleep(POLL)

    def tail(self, lines: int = 20) -> str:
        """The last lines that it logged."""
        return self._process.tail(lines)

    def log(self) -> list[str]:
        """All lines that it logged."""
        return self._process.log.read_text(errors="replace").splitlines()

    def end(self) -> int:
        """Ends it as an orchestrator would, by SIGTERM, and gives its exit code."""
        return self._process.end()
