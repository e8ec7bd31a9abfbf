"""What several end-to-end tests stand on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.testbed.dns import Knot, knot


@pytest.fixture
def nameserver() -> Iterator[Knot]:
    """A nameserver for `db.test`, in which `localhost-v4` is this host."""
    with knot(records=["localhost-v4 1 A 127.0.0.1"]) as server:
        yield server
