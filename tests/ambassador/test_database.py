"""One database's stages, and the turns that they and reloads take."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import trio
from trio.testing import wait_all_tasks_blocked

from dbambassador.ambassador.database import Equipment, ServedDatabase, Shared
from dbambassador.discovery.resolver import Resolver
from dbambassador.events import Event
from dbambassador.forwarding import engines
from dbambassador.forwarding.admission.limit import Limit
from dbambassador.forwarding.sessions.ledger import Ledger
from dbambassador.values import Address, Choice
from tests.choices import lost
from tests.forwarding.scene import DATABASE


async def test_a_choice_that_was_overtaken_during_a_reload_is_never_followed(tmp_path: Path) -> None:
    events: list[Event] = []
    followed: list[int] = []

    class Watched(Ledger):
        async def evict(self, choice: Choice) -> Mapping[Address, int]:
            followed.append(choice.epoch)
            return await super().evict(choice)

    async with engines.running() as engine, trio.open_nursery() as nursery:
        shared = Shared(Resolver(tmp_path, (), events.append), engine, Limit(0), events.append)
        served = ServedDatabase(Equipment.of(DATABASE, shared), shared)
        served.ledger = Watched()
        nursery.start_soon(served._evict)
        await wait_all_tasks_blocked()
        async with served.turn():
            for epoch in (1, 2):
                served.judge.choices.publish(lost(epoch))
                await wait_all_tasks_blocked()
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert followed[0] == 0
    assert set(followed[1:]) == {2}
