"""Fixtures of every room's tests: the testbed of real parts."""

from __future__ import annotations

pytest_plugins = (
    "tests.testbed.dns",
    "tests.testbed.mariadb",
    "tests.testbed.netns",
    "tests.testbed.postgresql",
    "tests.testbed.processes",
)
