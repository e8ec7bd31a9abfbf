"""The ledger: no two addresses serve a database at the same time, and cancel keys lead to their server."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from dbambassador.forwarding.relay.engine import How
from dbambassador.forwarding.sessions.ledger import Ledger
from dbambassador.values import Address, Choice, Target
from tests.choices import serving

A, B = Address("10.0.0.1", 5432), Address("10.0.0.2", 5432)
KEY = b"pid-1secret"
A_TARGET, B_TARGET = Target(A, "db.test"), Target(B, "db.test")


class Held:
    """A lease whose session ends when the test says so."""

    def __init__(self, ledger: Ledger, epoch: int, address: Address) -> None:
        self.cuts = 0
        self.lease = ledger.lease(epoch, address, self._cut)

    def _cut(self) -> None:
        self.cuts += 1

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self.lease.release()


async def test_an_epoch_is_admitted_only_when_the_sessions_before_it_are_gone() -> None:
    ledger, log = Ledger(), []
    await ledger.evict(serving(1, A_TARGET))

    async def old_session() -> None:
        cut = trio.Event()
        lease = ledger.lease(1, A, lambda: None)
        lease.relayed(cut.set)
        await cut.wait()
        await wait_all_tasks_blocked()
        log.append("old ended")
        lease.release()

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
    with Held(ledger, 3, A) as held:
        assert await ledger.evict(serving(3, A_TARGET)) == {}
        assert not held.cuts


async def test_a_cancel_key_leads_to_its_server_while_the_session_lives() -> None:
    ledger = Ledger()
    with Held(ledger, 1, A) as one, Held(ledger, 1, B) as other:
        ledger.keep_key(one.lease, b"pid-1secret")
        ledger.keep_key(other.lease, b"pid-1terces")
        assert ledger.address_of(b"pid-1secret") == A
        assert ledger.address_of(b"pid-1terces") == B
        assert ledger.address_of(b"pid-1") is None
    assert ledger.address_of(b"pid-1secret") is None


async def test_idle_waits_for_the_last_session() -> None:
    ledger = Ledger()
    with trio.fail_after(5):
        await ledger.idle()
        async with trio.open_nursery() as nursery:
            with Held(ledger, 1, A):
                nursery.start_soon(ledger.idle)
                await wait_all_tasks_blocked()
                assert nursery.child_tasks


async def test_an_address_that_leaves_a_pool_takes_its_own_sessions_with_it_alone() -> None:
    ledger = Ledger()
    await ledger.evict(serving(1, A_TARGET, B_TARGET))
    with Held(ledger, 1, A) as one, Held(ledger, 1, B) as other:
        assert (ledger.sessions(A), ledger.sessions(B)) == (1, 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ledger.evict, Choice(2, (B_TARGET,), {B: 1}, settled=True))
            await wait_all_tasks_blocked()
            assert one.cuts
            assert not other.cuts
            nursery.cancel_scope.cancel()
    assert ledger.sessions(A) == 0


async def test_an_address_that_came_back_has_a_tenure_of_its_own() -> None:
    """However late the ledger looks: what was leased before the loss ends."""
    ledger = Ledger()
    with Held(ledger, 1, A) as old, Held(ledger, 3, A) as new:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ledger.evict, serving(3, A_TARGET))
            await wait_all_tasks_blocked()
            assert (old.cuts, new.cuts) == (1, 0)
            nursery.cancel_scope.cancel()


async def test_a_session_that_takes_the_hosts_other_address_is_counted_there() -> None:
    ledger = Ledger()
    with Held(ledger, 1, A) as held:
        held.lease.move(B, 2)
        assert (ledger.sessions(A), ledger.sessions(B), held.lease.epoch) == (0, 1, 2)
    assert ledger.sessions(B) == 0


async def test_a_session_of_a_later_choice_is_left_alone() -> None:
    ledger = Ledger()
    with Held(ledger, 3, B) as held:
        assert await ledger.evict(serving(2, A_TARGET)) == {}
        assert not held.cuts


async def test_a_released_lease_is_released_once() -> None:
    ledger = Ledger()
    with Held(ledger, 1, A), Held(ledger, 1, A) as twice:
        twice.lease.release()
        twice.lease.release()
        assert (len(ledger), ledger.sessions(A)) == (1, 1)


async def test_the_fate_of_a_session_is_the_first_one_told() -> None:
    ledger = Ledger()
    with Held(ledger, 1, A) as held:
        assert held.lease.fate == How.CUT.value
        held.lease.cut("stalled")
        held.lease.cut("evicted")
        held.lease.cut()
        assert (held.lease.fate, held.cuts) == ("stalled", 3)


async def test_all_sessions_can_be_cut() -> None:
    ledger = Ledger()
    with Held(ledger, 1, A) as one, Held(ledger, 2, B) as other:
        ledger.cut_all()
        assert (one.cuts, other.cuts) == (1, 1)


async def test_a_key_that_a_later_session_was_given_is_the_later_ones() -> None:
    ledger = Ledger()
    with Held(ledger, 1, A) as one, Held(ledger, 1, B) as other:
        ledger.keep_key(one.lease, KEY)
        ledger.keep_key(other.lease, KEY)
        one.lease.release()
        assert ledger.address_of(KEY) == B


async def test_the_first_session_is_waited_for() -> None:
    ledger = Ledger()
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ledger.occupied)
            await wait_all_tasks_blocked()
            assert nursery.child_tasks
            Held(ledger, 1, A)


async def test_the_ledger_tells_of_sessions_that_are_new_or_move() -> None:
    ledger = Ledger()
    with Held(ledger, 1, A) as one, Held(ledger, 1, B) as other:
        assert {*ledger.moved()} == {one.lease, other.lease}
        assert ledger.moved() == []
        for _ in range(3):
            if other.lease.traffic.still:
                other.lease.traffic.move()
        assert ledger.moved() == [other.lease]
        assert ledger.moved() == []
        assert one.lease in ledger
    assert one.lease not in ledger


async def test_the_bytes_of_sessions_that_ended_still_count() -> None:
    ledger = Ledger()
    with Held(ledger, 1, A) as ended, Held(ledger, 1, B) as live:
        ended.lease.traffic.to_server, ended.lease.traffic.to_client = 3, 40
        live.lease.traffic.to_server, live.lease.traffic.to_client = 10, 100
        assert ledger.traffic() == (13, 140)
        ended.lease.release()
        ended.lease.release()
        assert ledger.traffic() == (13, 140)
        live.lease.traffic.to_client += 7
        assert ledger.traffic() == (13, 147)
