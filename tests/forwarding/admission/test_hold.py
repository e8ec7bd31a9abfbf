"""The hold belongs to the listener, leavers are noticed, and the room has an end."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from dbambassador.events import ClientHeld, Event, Publish, Refusal
from dbambassador.forwarding.admission.hold import MAX_HELD, Hold
from dbambassador.forwarding.wires.wire import Left
from dbambassador.latest import Latest
from dbambassador.values import Address, Choice, Target
from tests.choices import serving

TARGET = Target(Address("10.0.0.1", 5432), "db.test")


def hold_of(choices: Latest[Choice], publish: Publish = lambda _: None) -> Hold:
    return Hold("orders", choices, publish)


def socket_pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    one, other = trio.socket.socketpair()
    return trio.SocketStream(one), trio.SocketStream(other)


async def test_with_a_target_nobody_waits() -> None:
    near, far = socket_pair()
    async with near, far:
        choice = serving(1, TARGET)
        assert await hold_of(Latest(choice)).choice(near) is choice


async def test_clients_get_the_target_the_moment_there_is_one() -> None:
    choices = Latest(Choice(settled=True, held_until=trio.current_time() + 60))
    hold, near_far = hold_of(choices), socket_pair()
    async with near_far[0], near_far[1], trio.open_nursery() as nursery:

        async def wait() -> None:
            assert await hold.choice(near_far[0]) == serving(1, TARGET)

        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        assert hold.held == 1
        choices.publish(serving(1, TARGET))
    assert hold.held == 0


@pytest.mark.parametrize("late", [0.0, 3.0, 7.0])
async def test_a_later_client_waits_only_for_the_rest(autojump_clock: MockClock, late: float) -> None:
    start = trio.current_time()
    hold = hold_of(Latest(Choice(settled=True, held_until=start + 5)))
    await trio.sleep(late)
    near, far = socket_pair()
    async with near, far:
        assert await hold.choice(near) is Refusal.NO_TARGET
    assert trio.current_time() - start == pytest.approx(max(late, 5.0), abs=0.001)


async def test_nobody_is_refused_before_the_decision_is_settled(autojump_clock: MockClock) -> None:
    start = trio.current_time()
    choices = Latest(Choice(settled=False, held_until=start))
    near, far = socket_pair()
    async with near, far, trio.open_nursery() as nursery:

        async def settle() -> None:
            await trio.sleep(2)
            choices.publish(Choice(settled=True, held_until=start))

        nursery.start_soon(settle)
        assert await hold_of(choices).choice(near) is Refusal.NO_TARGET
    assert trio.current_time() - start == pytest.approx(2.0, abs=0.001)


async def test_a_leaver_is_noticed() -> None:
    hold = hold_of(Latest(Choice(settled=True, held_until=trio.current_time() + 60)))
    near, far = socket_pair()
    with trio.fail_after(5):
        async with near, trio.open_nursery() as nursery:

            async def wait() -> None:
                assert isinstance(await hold.choice(near), Left)

            nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            await far.aclose()
    assert hold.held == 0


async def test_each_wait_is_told_with_its_seconds_and_its_end(autojump_clock: MockClock) -> None:
    told: list[Event] = []
    start = trio.current_time()
    near, far = socket_pair()
    async with near, far:
        await hold_of(Latest(serving(1, TARGET)), told.append).choice(near)
        assert not told  # nobody waited
        lost = Latest(Choice(settled=True, held_until=start + 5))
        await hold_of(lost, told.append).choice(near)
        assert told == [ClientHeld("orders", "no_target", 5.0)]
        lost = Latest(Choice(settled=True, held_until=start + 60))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hold_of(lost, told.append).choice, near)
            await trio.sleep(2)
            lost.publish(serving(1, TARGET))
        assert told[1:] == [ClientHeld("orders", "served", 2.0)]


async def test_the_room_is_not_endless() -> None:
    hold = hold_of(Latest(Choice(settled=True, held_until=trio.current_time() + 60)))
    hold.held = MAX_HELD
    near, far = socket_pair()
    async with near, far:
        assert await hold.choice(near) is Refusal.TOO_MANY


async def test_a_shutdown_is_told_to_those_who_wait_and_come() -> None:
    hold = hold_of(Latest(Choice(settled=True, held_until=trio.current_time() + 60)))
    near, far = socket_pair()
    with trio.fail_after(5):
        async with near, far, trio.open_nursery() as nursery:

            async def wait() -> None:
                assert await hold.choice(near) is Refusal.DRAINING

            nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            await hold.close()
            assert hold.held == 0
            assert await hold.choice(near) is Refusal.DRAINING
            await hold.close()
