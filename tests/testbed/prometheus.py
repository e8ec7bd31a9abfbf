"""A real Prometheus server."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from dbambassador.demo.ports import free_port
from dbambassador.demo.processes import Process
from tests.testbed.requirements import require

SCRAPE_INTERVAL = "200ms"

Series = tuple[Mapping[str, str], float]


class Prometheus:
    """A running one, which scrapes one target."""

    def __init__(self, url: str) -> None:
        self._url = url

    def query(self, expression: str) -> list[Series]:
        """What an expression is now: labels and value of each of its series."""
        asked = f"{self._url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        with urllib.request.urlopen(asked, timeout=10) as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return [(each["metric"], float(each["value"][1])) for each in result]

    def until(self, expression: str, *, patience: float = 20.0) -> list[Series]:
        """Waits until an expression has a series. Raises AssertionError after so many seconds."""
        deadline = time.monotonic() + patience
        while not (found := self.query(expression)):
            assert time.monotonic() < deadline, f"not within {patience:g} s: {expression}"
            time.sleep(0.05)
        return found


@contextmanager
def prometheus(directory: Path, target: str, rules: str) -> Iterator[Prometheus]:
    """One that scrapes a target and evaluates rules five times a second; it ends with the context."""
    (directory / "rules.yaml").write_text(rules)
    configuration = {
        "global": {"scrape_interval": SCRAPE_INTERVAL, "evaluation_interval": SCRAPE_INTERVAL},
        "rule_files": [str(directory / "rules.yaml")],
        "scrape_configs": [{"job_name": "shop", "static_configs": [{"targets": [target]}]}],
    }
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    address = f"127.0.0.1:{free_port()}"
    command: list[str | Path] = [
        require("prometheus", package="prometheus"),
        f"--config.file={directory}/prometheus.yaml",
        f"--storage.tsdb.path={directory}/data",
        f"--web.listen-address={address}",
        "--log.level=warn",
    ]
    with Process(command, directory / "prometheus.log") as process:
        _await_ready(f"http://{address}/-/ready", process)
        yield Prometheus(f"http://{address}")


def _await_ready(url: str, process: Process) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (OSError, urllib.error.URLError):
            assert process.exit_code is None, process.tail()
            assert time.monotonic() < deadline, process.tail()
            time.sleep(0.05)
