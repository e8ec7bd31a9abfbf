"""Every engine, and every kind of socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dbambassador.forwarding.relay.engine import Engine
from tests.forwarding.relay.relaying import ENGINES, PAIRS, MakePair


@pytest.fixture(params=ENGINES)
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    async with ENGINES[request.param]() as running:
        yield running


@pytest.fixture(params=PAIRS)
def pair(request: pytest.FixtureRequest) -> MakePair:
    return PAIRS[request.param]
