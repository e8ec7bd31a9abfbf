"""Which relay engine this system can have."""

from __future__ import annotations

import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from dbambassador.forwarding.engine import Engine
from dbambassador.forwarding.stream_relay import StreamRelay

if TYPE_CHECKING:
    from dbambassador.forwarding.fast_path import FastPath, GoOn
    from dbambassador.forwarding.service import Service


@asynccontextmanager
async def running() -> AsyncIterator[Engine]:
    """An engine for the trio run that this is called in. Sessions must have ended before it is left."""
    if hasattr(select, "epoll"):
        from dbambassador.forwarding import epoll_engine

        with epoll_engine.running() as engine:
            yield engine
    else:
        async with trio.open_nursery() as sessions:
            yield StreamRelay(sessions)


def fast_path(service: Service, go_on: GoOn) -> FastPath | None:
    """The fast path of an engine that has one."""
    if not hasattr(select, "epoll"):
        return None
    from dbambassador.forwarding.epoll_engine import EpollEngine
    from dbambassador.forwarding.fast_path import FastPath

    return FastPath(service.engine, service, go_on) if isinstance(service.engine, EpollEngine) else None
