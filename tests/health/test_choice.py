"""The pure choice: single cases told as stories, and laws for arbitrary ones."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dbambassador.health.choice import (
    PREFERENCE_DELAY,
    SETTLE_LIMIT,
    Situation,
    Standing,
    choose,
    wants_answer,
)
from dbambassador.health.evidence import Role
from dbambassador.health.states import USABLE, Record, State
from dbambassador.settings.schema import (
    Database,
    HostEndpoint,
    Protocol,
    TargetSessionAttrs,
    TcpListen,
)
from dbambassador.values import Address, Choice, Target, Targets

A, B = Address("10.0.0.1", 5432), Address("10.0.0.2", 5432)
WRITER = Database(
    name="orders",
    protocol=Protocol.POSTGRESQL,
    listen=(TcpListen("127.0.0.1", 5432),),
    endpoints=(HostEndpoint("db.test", 5432),),
    target_session_attrs=TargetSessionAttrs.READ_WRITE,
    hold=5.0,
)


def target(address: Address, priority: int = 0) -> Target:
    return Target(address, "db.test", priority)


def record(address: Address, state: State, role: Role = Role.UNKNOWN) -> Record:
    return Record(address, since=0.0, state=state, role=role, why=state.value)


def situation(
    targets: list[Target],
    records: list[Record],
    *,
    now: float = 10.0,
    asked_at: float = 10.0,
    failure: str = "",
) -> Situation:
    found = Targets(tuple(targets), asked_at=asked_at, failure=failure)
    return Situation(WRITER, found, {each.address: each for each in records}, now)


def start(now: float = 10.0) -> Standing:
    return Standing(Choice(held_until=now + WRITER.hold), lost_at=now)


def serving(address: Address) -> Standing:
    return choose(start(), situation([target(address)], [record(address, State.UP)]))


def test_the_first_address_that_is_up_opens_epoch_one() -> None:
    standing = serving(A)
    assert standing.choice == Choice(1, target(A), True, 0.0, "10.0.0.1:5432 is up")


def test_an_address_is_checked_before_its_first_use() -> None:
    standing = choose(start(), situation([target(A)], [record(A, State.NEW)]))
    assert standing.choice.target is None
    assert not standing.choice.settled


def test_lower_srv_priority_wins_and_a_working_address_is_not_left_for_a_better_one() -> None:
    both = [target(A, 10), target(B, 5)]
    up = [record(A, State.UP), record(B, State.UP)]
    assert choose(start(), situation(both, up)).active == target(B, 5)
    assert choose(serving(A), situation(both, up)).choice.epoch == 1


def test_the_order_decides_and_not_the_faster_answer() -> None:
    both = [target(A), target(B)]
    half = [record(A, State.NEW), record(B, State.UP)]
    waiting = choose(start(0.0), situation(both, half, now=0.1))
    assert waiting.choice.target is None
    assert not waiting.choice.settled
    full = [record(A, State.UP), record(B, State.UP)]
    assert choose(waiting, situation(both, full, now=0.2)).active == target(A)
    assert choose(waiting, situation(both, half, now=PREFERENCE_DELAY)).active == target(B)


def test_a_failed_address_ends_its_sessions_and_the_next_one_takes_over() -> None:
    down = [record(A, State.DOWN), record(B, State.UP)]
    standing = choose(serving(A), situation([target(A), target(B)], down))
    assert (standing.choice.epoch, standing.active) == (2, target(B))


def test_without_another_address_sessions_end_once_and_clients_are_held_from_then() -> None:
    lost = choose(serving(A), situation([target(A)], [record(A, State.DOWN)], now=20.0, asked_at=19.0))
    assert lost.choice == Choice(2, None, False, 25.0, "10.0.0.1:5432: down")
    later = choose(lost, situation([target(A)], [record(A, State.DOWN)], now=21.0, asked_at=20.5))
    assert later.choice == Choice(2, None, True, 25.0, "10.0.0.1:5432: down")
    back = choose(later, situation([target(A)], [record(A, State.UP)], now=22.0))
    assert (back.choice.epoch, back.active) == (3, target(A))


def test_a_server_that_takes_no_new_sessions_keeps_those_it_has() -> None:
    paused = choose(serving(A), situation([target(A)], [record(A, State.NOT_READY)], now=20.0))
    assert (paused.choice.target, paused.choice.epoch) == (None, 1)
    again = choose(paused, situation([target(A)], [record(A, State.UP)], now=21.0))
    assert (again.active, again.choice.epoch) == (target(A), 1)


def test_a_standby_is_no_target_for_writers() -> None:
    seen = choose(serving(A), situation([target(A)], [record(A, State.UP, Role.STANDBY)]))
    assert (seen.choice.target, seen.choice.epoch) == (None, 2)
    assert "hot standby" in seen.choice.why


def test_one_answer_that_omits_the_address_only_asks_for_another() -> None:
    up = [record(A, State.UP), record(B, State.UP)]
    first = choose(serving(A), situation([target(B)], up, now=20.0, asked_at=20.0))
    assert (first.active, first.choice.epoch) == (target(A), 1)
    assert wants_answer(first, Targets((target(B),), asked_at=20.0))
    second = choose(first, situation([target(B)], up, now=20.1, asked_at=20.1))
    assert (second.active, second.choice.epoch) == (target(B), 2)


def test_the_address_is_kept_until_its_replacement_passed_a_check() -> None:
    records = [record(A, State.UP), record(B, State.DOWN)]
    standing = serving(A)
    for asked_at in (20.0, 21.0, 22.0):
        standing = choose(standing, situation([target(B)], records, now=asked_at, asked_at=asked_at))
    assert (standing.active, standing.choice.epoch) == (target(A), 1)
    assert not wants_answer(standing, Targets((target(B),), asked_at=22.0))


def test_a_name_that_leads_nowhere_twice_takes_no_new_sessions_but_cuts_none() -> None:
    gone = {"failure": "db.test does not exist", "now": 20.0}
    first = choose(serving(A), situation([], [record(A, State.UP)], asked_at=20.0, **gone))  # type: ignore[arg-type]
    assert first.choice.target == target(A)
    second = choose(first, situation([], [record(A, State.UP)], asked_at=20.2, **gone))  # type: ignore[arg-type]
    assert (second.choice.target, second.choice.epoch) == (None, 1)
    assert second.choice.why == "db.test does not exist"


def test_a_stale_answer_omits_nothing() -> None:
    stale = replace(situation([target(B)], [record(A, State.UP)]), targets=Targets((target(B),), stale=True))
    assert choose(serving(A), stale).omitted_at is None


def test_silent_nameservers_do_not_unsettle_for_ever() -> None:
    lost = choose(start(10.0), situation([], [], now=10.0, asked_at=0.0))
    assert not lost.choice.settled
    assert choose(lost, situation([], [], now=10.0 + SETTLE_LIMIT, asked_at=0.0)).choice.settled


addresses = [Address(f"10.0.0.{number}", 5432) for number in range(1, 4)]
moments = st.lists(
    st.tuples(
        st.lists(st.sampled_from(addresses), unique=True, max_size=3),
        st.lists(st.sampled_from(State), min_size=3, max_size=3),
        st.lists(st.sampled_from(Role), min_size=3, max_size=3),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@given(moments)
def test_laws(story: list[tuple[list[Address], list[State], list[Role], bool]]) -> None:
    standing, now = start(0.0), 0.0
    for names, states, roles, fresh in story:
        now += 1.0
        records = [record(*each) for each in zip(addresses, states, roles, strict=True)]
        before = standing
        asked_at = now if fresh else now - 1.5
        standing = choose(
            before, situation([target(name) for name in names], records, now=now, asked_at=asked_at)
        )
        choice, known = standing.choice, {each.address: each for each in records}
        # Never an address that may not be used, never a known standby.
        if choice.target is not None:
            assert known[choice.target.address].state in USABLE
            assert known[choice.target.address].role is not Role.STANDBY
            assert choice.target == standing.active
        # An epoch never shrinks, and one epoch never has two addresses.
        assert choice.epoch >= before.choice.epoch
        if choice.epoch == before.choice.epoch and None not in (standing.active, before.active):
            assert standing.active == before.active
        # Nobody is held longer than the hold after the loss.
        if choice.target is None:
            assert choice.held_until <= now + WRITER.hold
        # The same situation again decides the same.
        again = choose(
            standing, situation([target(name) for name in names], records, now=now, asked_at=asked_at)
        )
        assert again.choice == choice
