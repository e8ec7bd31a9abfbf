"""An ambassador of the HTTP ports alone, run in a thread of its own while a command speaks to it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio

from dbambassador.events import CatalogueReloaded, Reloaded
from dbambassador.observability.metrics.metrics import Metrics
from dbambassador.observability.recent import Recent
from dbambassador.observability.routes import Sources
from dbambassador.observability.server import HttpSettings, serve_http


class Stub:
    def __init__(self, snapshot: dict[str, Any]) -> None:
        self.snapshot = snapshot
        self.quit = threading.Event()
        self.reloaded: Reloaded = CatalogueReloaded("", ())
        self.asked = threading.Event()
        self.health_port = self.admin_port = 0

    async def reload(self, trigger: str) -> Reloaded:
        await trio.lowlevel.checkpoint()
        return self.reloaded


@contextmanager
def stub(snapshot: dict[str, Any], http_address: str = "127.0.0.1") -> Iterator[Stub]:
    ambassador = Stub(snapshot)
    started: queue.Queue[tuple[trio.lowlevel.TrioToken, trio.CancelScope]] = queue.Queue()

    def told() -> dict[str, Any]:
        ambassador.asked.set()
        return ambassador.snapshot

    async def main() -> None:
        recent = Recent(lambda: 0.0)
        sources = Sources(told, Metrics(), recent, ambassador.quit.set, ambassador.reload)
        settings = HttpSettings(http_address=http_address, http_port=0, admin_port=0)
        async with trio.open_nursery() as nursery:
            opened = await nursery.start(serve_http, settings, sources, lambda _: None)
            ambassador.health_port, ambassador.admin_port = opened.health[0][1], opened.admin[0][1]
            started.put((trio.lowlevel.current_trio_token(), nursery.cancel_scope))
            await trio.sleep_forever()

    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    token, scope = started.get(timeout=10)
    try:
        yield ambassador
    finally:
        token.run_sync_soon(scope.cancel)
        thread.join(10)
