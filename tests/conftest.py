"""Fixtures of every room's tests: the testbed of real parts."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

from dbambassador.demo import ports

# A developer's runs look for new examples and keep those that fail; in CI the same commit is to have the same
# result every time. No example has a deadline: how long it takes says more of the machine than of the code.
settings.register_profile("searching", deadline=None)
settings.register_profile("reproducible", derandomize=True, database=None, deadline=None)
in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
settings.load_profile("reproducible" if in_ci else "searching")

pytest.register_assert_rewrite("tests.forwarding.scene")

pytest_plugins = (
    "tests.testbed.certificates",
    "tests.testbed.dns",
    "tests.testbed.mariadb",
    "tests.testbed.mysql",
    "tests.testbed.netns",
    "tests.testbed.postgresql",
    "tests.testbed.processes",
    "tests.testbed.containers",
)


def pytest_configure() -> None:
    """Each worker has ports of its own: none takes one away between another's look and its server's bind.

    What is started here can be interrupted, also where `make test &` stands in a script: a shell without job
    control has its background commands, and all that they start, ignore both signals (POSIX, sh, 2.11).
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    if worker:
        share = (ports.HIGHEST - ports.LOWEST + 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        ports.LOWEST += int(worker) * share
        ports.HIGHEST = ports.LOWEST + share - 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that wait come first: whoever else runs tests goes on meanwhile."""
    items.sort(key=lambda item: item.get_closest_marker("waits") is None)
