"""The ledger: no two addresses serve a database at the same time, and cancel keys lead to their server."""

from __future__ import annotations

from typing import cast

import trio
from trio.testing import wait_all_tasks_blocked

from dbambassador.forwarding.ledger import Ledger, Stage
from dbambassador.values import Address, Choice, Target
from tests.choices import serving

A, B = Address("10.0.0.1", 5432), Address("10.0.0.2", 5432)
A_TARGET, B_TARGET = Target(A, "db.test"), Target(B, "db.test")
CLIENT = cast(trio.SocketStream, None)
"""The ledger keeps it and does nothing with it."""


async def test_an_epoch_is_admitted_only_when_the_sessions_before_it_are_gone() -> None:
    ledger, log = Ledger(), []
    await ledger.evict(serving(1, A_TARGET))

    async def old_session() -> None:
        with ledger.lease(1, A, CLIENT) as lease, lease.scope:
            lease.enter(Stage.RELAYING)
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
        assert await ledger.evict(serving(2, B_TARGET)) == {A: 1}
    assert log == ["old ended", "new admitted"]
    assert len(ledger) == 0


async def test_sessions_of_the_present_epoch_stay() -> None:
    ledger = Ledger()
    await ledger.evict(serving(3, A_TARGET))
    with ledger.lease(3, A, CLIENT) as lease:
        assert await ledger.evict(serving(3, A_TARGET)) == {}
        assert not lease.scope.cancel_called


async def test_a_cancel_key_leads_to_its_server_while_the_session_lives() -> None:
    ledger = Ledger()
    with ledger.lease(1, A, CLIENT) as one, ledger.lease(1, B, CLIENT) as other:
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
            with ledger.lease(1, A, CLIENT):
                nursery.start_soon(ledger.idle)
                await wait_all_tasks_blocked()
                assert nursery.child_tasks


async def test_an_address_that_leaves_a_pool_takes_its_own_sessions_with_it_alone() -> None:
    ledger = Ledger()
    await ledger.evict(serving(1, A_TARGET, B_TARGET))
    with ledger.lease(1, A, CLIENT) as one, ledger.lease(1, B, CLIENT) as other:
        assert (ledger.sessions(A), ledger.sessions(B)) == (1, 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ledger.evict, Choice(2, (B_TARGET,), {B: 1}, settled=True))
            await wait_all_tasks_blocked()
            assert one.scope.cancel_called
            assert not other.scope.cancel_called
            nursery.cancel_scope.cancel()
    assert ledger.sessions(A) == 0


async def test_an_address_that_came_back_has_a_tenure_of_its_own() -> None:
    """However late the ledger looks: what was leased before the loss ends."""
    ledger = Ledger()
    with ledger.lease(1, A, CLIENT) as old, ledger.lease(3, A, CLIENT) as new:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ledger.evict, serving(3, A_TARGET))
            await wait_all_tasks_blocked()
            assert (old.scope.cancel_called, new.scope.cancel_called) == (True, False)
            nursery.cancel_scope.cancel()


async def test_a_session_that_takes_the_hosts_other_address_is_counted_there() -> None:
    ledger = Ledger()
    with ledger.lease(1, A, CLIENT) as lease:
        lease.move(B, 2)
        assert (ledger.sessions(A), ledger.sessions(B), lease.epoch) == (0, 1, 2)
    assert ledger.sessions(B) == 0


async def test_a_session_of_a_later_choice_is_left_alone() -> None:
    ledger = Ledger()
    with ledger.lease(3, B, CLIENT) as lease:
        assert await ledger.evict(serving(2, A_TARGET)) == {}
        assert not lease.scope.cancel_called
