"""The ambassador of a stage, seen from outside."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dbambassador.errors import ExitCode
from tests.bench.idle import memory
from tests.end_to_end.setting import until
from tests.faults.story import Event, event
from tests.testbed.netns import Host
from tests.testbed.processes import Ambassador


class NotYet(Exception):
    """This version of the program refuses the setting; the message has its own words."""


class Watched:
    """A running ambassador on a host."""

    def __init__(self, host: Host, arguments: Sequence[str | Path], log: Path) -> None:
        """Raises NotYet where it refuses its configuration."""
        self._host = host
        self._running = Ambassador(
            (*arguments, "--structured-logs", "--debug-logs"), log, prefix=host.command()
        )
        self._log = log.open()
        self._rest = ""
        self._events: list[Event] = []
        try:
            until(self._listens_or_ended, "it listens")
            if self._running.process.exit_code == ExitCode.INVALID:
                raise NotYet(log.read_text().strip())
            assert self._running.process.exit_code is None, self._running.process.tail()
        except BaseException:
            self.end()
            raise

    def events(self) -> list[Event]:
        """What it logged until now."""
        *lines, self._rest = (self._rest + self._log.read()).split("\n")
        self._events += [event(json.loads(line)) for line in lines if line.startswith("{")]
        return self._events

    def status(self, database: str) -> dict[str, Any]:
        """Its snapshot of one database."""
        snapshot = self._host.call(self._running.status)
        (found,) = [each for each in snapshot["databases"] if each["name"] == database]
        return dict(found)

    def sessions(self) -> int:
        """Of all databases, with those that are held."""
        snapshot = self._host.call(self._running.status)
        return sum(each["sessions"] + each["held"] for each in snapshot["databases"])

    def resident(self) -> float:
        """MiB."""
        return memory(self._running.pid)["VmRSS"] / 1024

    def descriptors(self, patience: float, enough: int = 0) -> int:
        """The fewest that it had open in so many seconds, or until they were few `enough`.

        Lookups and checks come and go; one of a silent server takes two seconds.
        """
        folder = Path(f"/proc/{self._running.pid}/fd")
        deadline = time.monotonic() + patience
        fewest = len(list(folder.iterdir()))
        while fewest > enough and time.monotonic() < deadline:
            time.sleep(0.01)
            fewest = min(fewest, len(list(folder.iterdir())))
        return fewest

    def end(self) -> None:
        self._running.process.end()
        self._log.close()

    def _listens_or_ended(self) -> bool:
        ready = any(each["event"] == "ready" for each in self.events())
        return ready or self._running.process.exit_code is not None
