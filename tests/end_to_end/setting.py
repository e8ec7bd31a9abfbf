"""What end-to-end tests start an ambassador with: one environment, chosen by an explicit fact."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from dbambassador.demo.ports import free_port

CHOSEN = ("--fact", "dbambassador.platform=bare")
"""Flags with which the environment of `environments` is chosen, wherever the tests run."""


def environments(directory: Path, **databases: Mapping[str, Any]) -> Path:
    """A directory of environment files, with one environment that has these databases."""
    document = {
        "environment": "development",
        "match": {"matchFacts": {"dbambassador.platform": "bare"}},
        "databases": {name: dict(database) for name, database in databases.items()},
    }
    path = directory / "environments"
    path.mkdir(exist_ok=True)
    (path / "here.yaml").write_text(yaml.safe_dump(document))
    return path


def postgresql_database(endpoint: str, port: int | None = None, **settings: Any) -> dict[str, Any]:
    """A PostgreSQL database on localhost."""
    return {
        "protocol": "postgresql",
        "listen": [f"localhost:{port or free_port()}"],
        "endpoint": endpoint,
        **settings,
    }


def postgresql_pool(*ports: int, **settings: Any) -> dict[str, Any]:
    """A PostgreSQL database whose servers listen on these ports of localhost."""
    database = postgresql_database("", **settings)
    del database["endpoint"]
    return {**database, "endpoints": [{"host": "127.0.0.1", "port": port} for port in ports]}


def mysql_database(endpoint: str, port: int | None = None, **settings: Any) -> dict[str, Any]:
    """A MySQL or MariaDB database on localhost."""
    return {**postgresql_database(endpoint, port, **settings), "protocol": "mysql"}


def port_of(database: Mapping[str, Any]) -> int:
    """The port of its first listen address."""
    return int(str(database["listen"][0]).rpartition(":")[2])


def until(reached: Callable[[], bool], what: str, *, patience: float = 10.0) -> None:
    """Waits until it is so. Raises AssertionError after so many seconds."""
    deadline = time.monotonic() + patience
    while not reached():
        assert time.monotonic() < deadline, f"not within {patience:g} s: {what}"
        time.sleep(0.02)
