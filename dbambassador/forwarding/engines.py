"""Which relay engine this system can have."""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import contextmanager

from dbambassador.forwarding.engine import Engine
from dbambassador.forwarding.stream_relay import StreamRelay


@contextmanager
def running() -> Iterator[Engine]:
    """An engine for the trio run that this is called in. Sessions must have ended before it is left."""
    if hasattr(select, "epoll"):
        from dbambassador.forwarding import epoll_engine

        with epoll_engine.running() as engine:
            yield engine
    else:
        yield StreamRelay()
