"""Which relay engine this system can have."""

from __future__ import annotations

import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from dbambassador.forwarding.relay.engine import Engine
from dbambassador.forwarding.relay.stream_relay import StreamRelay

if TYPE_CHECKING:
    from dbambassador.forwarding.opening.fast_path import FastPath, GoOn
    from dbambassador.forwarding.service import Service


@asynccontextmanager
async def running() -> AsyncIterator[Engine]:
    """An engine for the trio run that this is called in. Sessions must have ended before it is left."""
    if hasattr(select, "epoll"):
        from dbambassador.forwarding.relay import epoll_engine

        with epoll_engine.running() as engine:
            yield engine
    else:
        async with trio.open_nursery() as sessions:
            yield StreamRelay(sessions)


def fast_path(service: Service, go_on: GoOn) -> FastPath | None:
    """The fast path of an engine that has one."""
    if not hasattr(select, "epoll"):
        return None
    from dbambassador.forwarding.opening.fast_path import FastPath
    from dbambassador.forwarding.relay.epoll_engine import EpollEngine

    return FastPath(service.engine, service, go_on) if isinstance(service.engine, EpollEngine) else None
