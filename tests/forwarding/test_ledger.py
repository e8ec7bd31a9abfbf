"""The ledger: no two addresses serve a database at the same time, and cancel keys lead to their server."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from dbambassador.forwarding.ledger import Ledger
from dbambassador.values import Address

A, B = Address("10.0.0.1", 5432), Address("10.0.0.2", 5432)


async def test_an_epoch_is_admitted_only_when_the_sessions_before_it_are_gone() -> None:
    ledger, log = Ledger(), []
    await ledger.evict(1)

    async def old_session() -> None:
        with ledger.lease(1, A) as lease, lease.scope:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await wait_all_tasks_blocked()
                    log.append("old ended")

    async def new_session() -> None:
        await ledger.admission(2)
        log.append("new admitted")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(old_session)
        nursery.start_soon(new_session)
        await wait_all_tasks_blocked()
        assert log == []
        assert await ledger.evict(2) == 1
    assert log == ["old ended", "new admitted"]
    assert len(ledger) == 0


async def test_sessions_of_the_present_epoch_stay() -> None:
    ledger = Ledger()
    await ledger.evict(3)
    with ledger.lease(3, A) as lease:
        assert await ledger.evict(3) == 0
        assert not lease.scope.cancel_called


async def test_a_cancel_key_leads_to_its_server_while_the_session_lives() -> None:
    ledger = Ledger()
    with ledger.lease(1, A) as one, ledger.lease(1, B) as other:
        ledger.keep_key(one, b"pid-1secret")
        ledger.keep_key(other, b"pid-1terces")
        assert ledger.address_of(b"pid-1secret") == A
        assert ledger.address_of(b"pid-1terces") == B
        assert ledger.address_of(b"pid-1") is None
    assert ledger.address_of(b"pid-1secret") is None


async def test_idle_waits_for_the_last_session() -> None:
    ledger = Ledger()
    with trio.fail_after(5):
        await ledger.idle()
        async with trio.open_nursery() as nursery:
            with ledger.lease(1, A):
                nursery.start_soon(ledger.idle)
                await wait_all_tasks_blocked()
                assert nursery.child_tasks
