"""The pure choice: single cases told as stories, and laws for arbitrary ones."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dbambassador.health.candidates import PREFERENCE_DELAY, TRIAL_LIMIT, Situation
from dbambassador.health.choice import SETTLE_LIMIT, Standing, choose, wants_answer
from dbambassador.health.evidence import Role
from dbambassador.health.roles import fits
from dbambassador.health.states import USABLE, Record, State
from dbambassador.settings.schema import (
    Balance,
    Database,
    HostEndpoint,
    Protocol,
    TargetSessionAttrs,
    TcpListen,
)
from dbambassador.values import Address, Choice, Target, Targets

A, B, C = (Address(f"10.0.0.{number}", 5432) for number in (1, 2, 3))
A6, B6 = Address("fd00::1", 5432), Address("fd00::2", 5432)
WRITER = Database(
    name="orders",
    protocol=Protocol.POSTGRESQL,
    listen=(TcpListen("127.0.0.1", 5432),),
    endpoints=(HostEndpoint("db.test", 5432),),
    target_session_attrs=TargetSessionAttrs.READ_WRITE,
    hold=5.0,
)


READERS = replace(WRITER, target_session_attrs=TargetSessionAttrs.STANDBY, balance=Balance.ROUND_ROBIN)


def target(address: Address, priority: int = 0, zone: str = "") -> Target:
    return Target(address, "db.test", priority, zone=zone)


def record(address: Address, state: State, role: Role = Role.UNKNOWN) -> Record:
    return Record(address, since=0.0, state=state, role=role, why=state.value)


def situation(
    targets: list[Target],
    records: list[Record],
    *,
    now: float = 10.0,
    asked_at: float = 10.0,
    failure: str = "",
    database: Database = WRITER,
) -> Situation:
    found = Targets(tuple(targets), asked_at=asked_at, failure=failure)
    return Situation(database, found, {each.address: each for each in records}, now)


def start(now: float = 10.0) -> Standing:
    return Standing(Choice(held_until=now + WRITER.hold), lost_at=now)


def serving(address: Address) -> Standing:
    return choose(start(), situation([target(address)], [record(address, State.UP)]))


def test_the_first_address_that_is_up_opens_epoch_one() -> None:
    standing = serving(A)
    assert standing.choice == Choice(1, (target(A),), {A: 1}, True, 0.0, "10.0.0.1:5432 is up")


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
    assert lost.choice == Choice(2, (), {}, False, 25.0, "10.0.0.1:5432: down")
    later = choose(lost, situation([target(A)], [record(A, State.DOWN)], now=21.0, asked_at=20.5))
    assert later.choice == Choice(2, (), {}, True, 25.0, "10.0.0.1:5432: down")
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
    assert "standby, not read-write" in seen.choice.why


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


def test_the_two_families_of_one_name_are_one_host() -> None:
    both = [target(A), target(A6)]
    up = [record(A, State.UP), record(A6, State.UP)]
    standing = choose(start(), situation(both, up))
    assert standing.choice.pool == (replace(target(A), alternate=A6),)
    assert standing.choice.tenures == {A: 1, A6: 1}
    half = choose(standing, situation(both, [record(A, State.DOWN), record(A6, State.UP)]))
    assert half.choice.pool == (target(A6),)
    assert half.choice.tenures == {A6: 1}  # its sessions go on
    healed = choose(half, situation(both, up))
    assert healed.choice.pool == (replace(target(A), alternate=A6),)
    assert healed.choice.tenures == {A: 3, A6: 1}


def test_a_host_that_moves_one_family_after_the_other_leaves_nobody_behind() -> None:
    up = [record(address, State.UP) for address in (A, A6, B, B6)]
    standing = choose(start(), situation([target(A), target(A6)], up))
    assert standing.choice.tenures.keys() == {A, A6}
    answers = [(B, A6), (B, A6), (B, B6), (B, B6), (B, B6)]
    for number, named in enumerate(answers):
        now = 20.0 + number
        targets = [target(address) for address in named]
        standing = choose(standing, situation(targets, up, now=now, asked_at=now))
        if number == 0:
            assert standing.choice.tenures.keys() == {A, A6}  # one answer decides nothing
    assert standing.choice.tenures.keys() == {B, B6}


def test_a_family_that_the_name_no_longer_has_is_left() -> None:
    up = [record(address, State.UP) for address in (A, A6)]
    standing = choose(start(), situation([target(A), target(A6)], up))
    for now in (20.0, 21.0):
        standing = choose(standing, situation([target(A)], up, now=now, asked_at=now))
    assert standing.choice.tenures == {A: 1}


def test_three_addresses_of_one_name_are_three_hosts_and_mysql_has_no_alternates() -> None:
    three = [target(A), target(B), target(A6)]
    up = [record(each.address, State.UP) for each in three]
    assert choose(start(), situation(three, up)).choice.pool == (target(A),)
    mysql = replace(WRITER, protocol=Protocol.MYSQL, target_session_attrs=TargetSessionAttrs.ANY)
    standing = choose(start(), situation([target(A), target(A6)], up, database=mysql))
    assert standing.choice.pool == (target(A),)


def test_one_session_at_a_time_tries_an_address_on_trial() -> None:
    half_open = record(A, State.HALF_OPEN)
    standing = choose(start(), situation([target(A)], [half_open], now=20.0))
    assert standing.choice.on_trial
    trying = replace(half_open, tried_at=20.0)
    meanwhile = choose(standing, situation([target(A)], [trying], now=20.1))
    assert meanwhile.choice.target is None
    assert meanwhile.choice.tenures == standing.choice.tenures  # the one that tries goes on
    later = choose(meanwhile, situation([target(A)], [trying], now=20.0 + TRIAL_LIMIT))
    assert later.choice.on_trial


def test_while_one_address_is_tried_no_session_is_spent_on_another() -> None:
    both = [target(A), target(B)]
    half_open = [record(A, State.HALF_OPEN), record(B, State.HALF_OPEN)]
    standing = choose(start(), situation(both, half_open, now=20.0))
    assert standing.choice.pool == (target(A),)
    trying = [replace(half_open[0], tried_at=20.0), half_open[1]]
    meanwhile = choose(standing, situation(both, trying, now=20.1))
    assert meanwhile.choice.pool == ()
    assert meanwhile.choice.tenures == {A: 1}
    sound = choose(meanwhile, situation(both, [trying[0], record(B, State.UP)], now=20.2))
    assert sound.choice.pool == (target(B),)  # one that needs no trial takes over


def pool(*addresses: Address) -> list[Target]:
    return [target(address) for address in addresses]


def up(*addresses: Address, role: Role = Role.UNKNOWN) -> list[Record]:
    return [record(address, State.UP, role) for address in addresses]


def reading(*addresses: Address) -> Standing:
    return choose(start(), situation(pool(*addresses), up(*addresses), database=READERS))


def test_readers_share_all_that_are_usable() -> None:
    records = [*up(A, B), record(C, State.DOWN)]
    standing = choose(start(), situation(pool(A, B, C), records, database=READERS))
    assert standing.choice.pool == tuple(pool(A, B))
    assert standing.choice.tenures == {A: 1, B: 1}


def test_a_failed_reader_loses_its_own_sessions_alone_and_comes_back_with_a_new_tenure() -> None:
    failed = choose(
        reading(A, B),
        situation(pool(A, B), [record(A, State.DOWN), *up(B)], database=READERS),
    )
    assert failed.choice.pool == tuple(pool(B))
    assert failed.choice.tenures == {B: 1}
    back = choose(failed, situation(pool(A, B), up(A, B), database=READERS))
    assert back.choice.pool == tuple(pool(A, B))
    assert back.choice.tenures == {A: 3, B: 1}


def test_a_reader_that_dns_dropped_keeps_its_sessions_and_gets_no_more() -> None:
    standing = reading(A, B)
    for asked_at in (20.0, 21.0, 22.0):
        standing = choose(
            standing, situation(pool(B), up(A, B), now=asked_at, asked_at=asked_at, database=READERS)
        )
    assert standing.choice.pool == tuple(pool(B))
    assert standing.choice.tenures == {A: 1, B: 1}


def test_a_name_with_one_random_address_for_each_query_never_runs_dry() -> None:
    standing = reading(A)
    unchecked = situation(pool(B), [*up(A), record(B, State.NEW)], now=20.0, database=READERS)
    standing = choose(standing, unchecked)
    assert standing.choice.pool == tuple(pool(A))  # until the new one passed its check
    standing = choose(standing, situation(pool(B), up(A, B), now=20.1, database=READERS))
    assert standing.choice.pool == tuple(pool(B))
    assert standing.choice.tenures == {A: 1, B: 2}


def test_a_reader_name_that_leads_nowhere_gets_no_new_sessions() -> None:
    standing = choose(reading(A), situation([], up(A), failure="gone", database=READERS))
    assert standing.choice.pool == ()
    assert standing.choice.tenures == {A: 1}


def test_a_primary_is_no_reader_and_loses_the_sessions_that_it_has() -> None:
    promoted = [*up(A, role=Role.PRIMARY), *up(B, role=Role.STANDBY)]
    standing = choose(reading(A, B), situation(pool(A, B), promoted, database=READERS))
    assert standing.choice.pool == tuple(pool(B))
    assert standing.choice.tenures == {B: 1}


def test_a_primary_serves_those_who_prefer_a_standby_while_there_is_none() -> None:
    prefer = replace(READERS, target_session_attrs=TargetSessionAttrs.PREFER_STANDBY)
    records = [*up(A, role=Role.PRIMARY), *up(B, role=Role.STANDBY)]
    standing = choose(start(), situation(pool(A, B), records, database=prefer))
    assert standing.choice.pool == tuple(pool(B))
    records[1] = record(B, State.DOWN)
    standing = choose(standing, situation(pool(A, B), records, database=prefer))
    assert standing.choice.pool == tuple(pool(A))
    again = choose(standing, situation(pool(A, B), [records[0], *up(B)], database=prefer))
    assert again.choice.pool == tuple(pool(B))
    assert again.choice.tenures.keys() == {A, B}  # who reads from the primary is not disturbed


def test_the_own_zone_comes_first_and_the_others_while_it_has_none() -> None:
    zoned = replace(READERS, zone="a")
    targets = [target(A, zone="a"), target(B, zone="b"), target(C, zone="a")]
    standing = choose(start(), situation(targets, up(A, B, C), database=zoned))
    assert standing.choice.pool == (targets[0], targets[2])
    lost = [record(A, State.DOWN), *up(B), record(C, State.DOWN)]
    assert choose(standing, situation(targets, lost, database=zoned)).choice.pool == (targets[1],)


def test_a_lower_srv_priority_shares_nothing_with_a_higher_one() -> None:
    targets = [target(A, 10), target(B, 5), target(C, 5)]
    standing = choose(start(), situation(targets, up(A, B, C), database=READERS))
    assert standing.choice.pool == tuple(targets[1:])


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
databases = st.sampled_from(
    [
        WRITER,
        READERS,
        replace(WRITER, target_session_attrs=TargetSessionAttrs.ANY),
        replace(READERS, target_session_attrs=TargetSessionAttrs.PREFER_STANDBY),
        replace(READERS, target_session_attrs=TargetSessionAttrs.READ_ONLY, zone="a"),
    ]
)


@given(databases, moments)
def test_laws(database: Database, story: list[tuple[list[Address], list[State], list[Role], bool]]) -> None:
    standing, now = start(0.0), 0.0
    for names, states, roles, fresh in story:
        now += 1.0
        records = [record(*each) for each in zip(addresses, states, roles, strict=True)]
        before = standing
        present = situation(
            [target(name) for name in names],
            records,
            now=now,
            asked_at=now if fresh else now - 1.5,
            database=database,
        )
        standing = choose(before, present)
        choice, known = standing.choice, {each.address: each for each in records}
        for chosen in choice.pool:
            # Never an address that may not be used, never one known to have the wrong role.
            assert known[chosen.address].state in USABLE
            assert fits(known[chosen.address].role, database.target_session_attrs)
            # What may have new sessions has a tenure.
            assert chosen.address in choice.tenures
        # Nothing that failed or has the wrong role keeps sessions.
        for address in choice.tenures:
            assert known[address].state is not State.DOWN
            assert fits(known[address].role, database.target_session_attrs)
        # A tenure is as old as its epoch; whoever had none before has the present one.
        assert choice.epoch - before.choice.epoch == (choice.tenures != before.choice.tenures)
        for address, since in choice.tenures.items():
            assert since == before.choice.tenures.get(address, choice.epoch)
        # Without balance two addresses never serve at the same time.
        if database.balance is None:
            assert len(choice.pool) <= 1
            assert len(choice.tenures) <= 1
        # Nobody is held longer than the hold after the loss.
        if not choice.pool:
            assert choice.held_until <= now + database.hold
        # The same situation again decides the same.
        assert choose(standing, present).choice == choice


def retiring(standing: Standing, now: Situation, *addresses: Address) -> Standing:
    return choose(standing, replace(now, retired=frozenset(addresses)))


def test_a_former_endpoint_serves_until_the_new_one_is_up() -> None:
    former, standing = record(A, State.UP), serving(A)
    for asked_at, new in ((20.0, State.NEW), (21.0, State.DOWN), (22.0, State.DOWN)):
        now = situation([target(B)], [former, record(B, new)], now=asked_at, asked_at=asked_at)
        standing = retiring(standing, now, A)
        assert standing.choice.pool == (target(A),)
        assert "former endpoint serves, until the new one does: 10.0.0.2:5432: " in standing.choice.why
    now = situation([target(B)], [former, record(B, State.UP)], now=23.0, asked_at=23.0)
    assert retiring(standing, now, A).choice.tenures == {B: 2}


def test_that_a_new_name_leads_nowhere_says_nothing_of_the_former_endpoint() -> None:
    standing = {True: serving(A), False: serving(A)}
    for asked_at in (20.0, 21.0, 22.0):
        now = situation([], [record(A, State.UP)], now=asked_at, asked_at=asked_at, failure="NXDOMAIN")
        standing = {former: retiring(standing[former], now, *([A] if former else [])) for former in standing}
    assert standing[True].choice.pool == (target(A),)
    assert standing[True].choice.why == "the former endpoint serves, until the new one does: NXDOMAIN"
    assert standing[False].choice.pool == ()


def test_a_former_endpoint_that_fails_is_lost() -> None:
    now = situation([], [record(A, State.DOWN)], now=20.0, asked_at=20.0)
    assert retiring(serving(A), now, A).choice.pool == ()


def pool_of(*addresses: Address) -> Standing:
    up = [record(each, State.UP) for each in addresses]
    return choose(start(), situation([target(each) for each in addresses], up, database=READERS))


def test_of_a_pool_a_former_endpoint_ends_its_sessions_and_who_the_dns_dropped_keeps_them() -> None:
    up = [record(each, State.UP) for each in (A, B, C)]
    now = situation([target(C)], up, database=READERS)
    assert retiring(pool_of(A, B), now, A).choice.tenures.keys() == {B, C}
    assert retiring(pool_of(A, B), now).choice.tenures.keys() == {A, B, C}


def test_a_pool_of_former_endpoints_serves_until_a_new_one_is_up() -> None:
    for found, state in (([target(C)], State.DOWN), ([], State.NEW)):
        records = [record(A, State.UP), record(B, State.UP), record(C, state)]
        standing = retiring(pool_of(A, B), situation(found, records, database=READERS), A, B)
        assert {each.address for each in standing.choice.pool} == {A, B}
        up = [*records[:2], record(C, State.UP)]
        standing = retiring(standing, situation([target(C)], up, database=READERS), A, B)
        assert standing.choice.tenures.keys() == {C}
