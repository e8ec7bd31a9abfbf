"""Sharing of new sessions: the law of each balance, and that comings and goings bring no bursts."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from math import gcd
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dbambassador.forwarding.balance import Balancer, balancer
from dbambassador.settings.schema import Balance
from dbambassador.values import Address, Target

KEY = b"app\0orders"


def host(number: int, weight: int = 1, alternate: Address | None = None) -> Target:
    return Target(Address(f"10.0.0.{number}", 5432), "db.test", weight=weight, alternate=alternate)


def pool_of(*weights: int) -> tuple[Target, ...]:
    return tuple(host(number, weight) for number, weight in enumerate(weights))


def idle(_: Address) -> int:
    return 0


def taken(balanced: Balancer, pool: Sequence[Target], count: int, key: bytes = KEY) -> list[Target]:
    return [balanced.pick(pool, key) for _ in range(count)]


def round_robin(seed: int) -> Balancer:
    return balancer(Balance.ROUND_ROBIN, idle, Random(seed))


seeds = st.integers(0, 2**32)
pools = st.lists(st.integers(0, 20), min_size=1, max_size=8).map(lambda weights: pool_of(*weights))


@given(st.sampled_from(Balance), pools, st.binary(), seeds)
def test_every_balance_picks_from_the_pool(
    balance: Balance, pool: Sequence[Target], key: bytes, seed: int
) -> None:
    assert balancer(balance, idle, Random(seed)).pick(pool, key) in pool


def test_without_balance_the_first_has_all() -> None:
    pool = pool_of(1, 100)
    assert taken(balancer(None, idle), pool, 5) == [pool[0]] * 5


@given(st.lists(st.integers(1, 12), min_size=1, max_size=8), seeds)
def test_round_robin_gives_each_its_exact_share_of_every_round(weights: list[int], seed: int) -> None:
    pool, divisor = pool_of(*weights), gcd(*weights)
    turns = sum(weights) // divisor
    picked = taken(round_robin(seed), pool, 3 * turns)
    for start in range(2 * turns):
        counts = Counter(target.address for target in picked[start : start + turns])
        assert counts == {target.address: target.weight // divisor for target in pool}


def test_round_robin_is_as_smooth_as_in_nginx() -> None:
    names = {target.address: name for target, name in zip(pool_of(5, 1, 1), "abc", strict=True)}
    for seed in range(20):
        picked = "".join(names[t.address] for t in taken(round_robin(seed), pool_of(5, 1, 1), 14))
        assert picked[:7] in "aabacaa" * 2
        assert picked[7:] == picked[:7]


def test_three_to_one_comes_out_so() -> None:
    heavy, light = pool = pool_of(3, 1)
    for seed in range(8):
        picked = taken(round_robin(seed), pool, 10_000)
        assert all(picked[start : start + 4].count(light) == 1 for start in range(9_997))
        assert picked.count(heavy) == 7_500


def test_many_ambassadors_do_not_all_begin_with_the_same_host() -> None:
    heavy, *light = pool = pool_of(2, 1, 1)
    first = Counter(round_robin(seed).pick(pool, KEY) for seed in range(2_000))
    assert first[heavy] == pytest.approx(1_000, rel=0.1)
    assert all(first[each] == pytest.approx(500, rel=0.15) for each in light)


def test_many_ambassadors_do_not_all_stay_with_the_host_that_was_there_first() -> None:
    pool = pool_of(1, 1)
    second: Counter[Target] = Counter()
    for seed in range(1_000):
        balanced = round_robin(seed)
        balanced.pick(pool[:1], KEY)
        second[balanced.pick(pool, KEY)] += 1
    assert second[pool[0]] == pytest.approx(500, rel=0.15)


weights = st.sampled_from([0, 1, 1, 1, 2, 3, 10, 100, 65_535])
memberships = st.dictionaries(st.integers(1, 6), weights, min_size=1).map(
    lambda members: tuple(host(number, weight) for number, weight in members.items())
)


@given(st.lists(st.tuples(memberships, st.integers(1, 40)), min_size=2, max_size=12), seeds)
def test_comings_goings_and_new_weights_bring_no_bursts(
    times: list[tuple[tuple[Target, ...], int]], seed: int
) -> None:
    balanced = round_robin(seed)
    for pool, sessions in times:
        counts = Counter(target.address for target in taken(balanced, pool, sessions))
        whole = sum(shares(pool).values())
        for address, share in shares(pool).items():
            assert abs(counts[address] - sessions * share / whole) < 2.5


def shares(pool: Sequence[Target]) -> dict[Address, Fraction]:
    return {target.address: Fraction(target.weight or Fraction(1, 1000)) for target in pool}


def test_a_host_that_comes_and_goes_has_its_share_of_the_time_it_is_there() -> None:
    steady, flapping = pool = pool_of(1, 1)
    balanced, counts = round_robin(1), Counter[Target]()
    for _ in range(1_000):
        counts[balanced.pick(pool, KEY)] += 1
        counts[balanced.pick((steady,), KEY)] += 1
    assert counts[flapping] == 500


def test_each_gets_its_due_although_members_come_and_go_all_the_time() -> None:
    random, balanced, members = Random(7), round_robin(7), pool_of(3, 1, 2, 2)
    due, counts = dict.fromkeys(members, 0.0), Counter[Target]()
    for _ in range(10_000):
        pool = random.sample(members, random.randint(2, 4))
        for target in pool:
            due[target] += target.weight / sum(each.weight for each in pool)
        counts[balanced.pick(pool, KEY)] += 1
    assert all(counts[target] == pytest.approx(due[target], abs=5) for target in members)


@pytest.mark.parametrize("balance", Balance)
def test_addresses_that_are_gone_are_forgotten_in_the_end(balance: Balance) -> None:
    balanced = balancer(balance, idle, Random(1))

    def pass_by(numbers: range) -> None:
        for number in numbers:
            gone = Target(Address(f"10.{number >> 8}.{number & 255}.1", 5432), "db.test")
            balanced.pick((host(1), gone), b"")

    pass_by(range(1_000))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        pass_by(range(1_000, 4_000))
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 200_000  # 3,000 addresses with their texts take 500,000


@given(pools, st.lists(st.integers(0, 30), min_size=8, max_size=8), seeds)
def test_least_connections_picks_a_host_that_is_least_loaded_for_its_share(
    pool: tuple[Target, ...], loads: list[int], seed: int
) -> None:
    sessions = {target.address: load for target, load in zip(pool, loads, strict=False)}
    picked = balancer(Balance.LEAST_CONNECTIONS, sessions.__getitem__, Random(seed)).pick(pool, KEY)
    after = {address: (sessions[address] + 1) / share for address, share in shares(pool).items()}
    assert after[picked.address] == min(after.values())


@given(st.lists(st.integers(1, 9), min_size=2, max_size=6), st.integers(0, 200), seeds)
def test_sessions_that_last_settle_by_weight(weights: list[int], count: int, seed: int) -> None:
    pool = pool_of(*weights)
    sessions: Counter[Address] = Counter()
    balanced = balancer(Balance.LEAST_CONNECTIONS, sessions.__getitem__, Random(seed))
    for _ in range(count):
        sessions[balanced.pick(pool, KEY).address] += 1
    for one in pool:
        for other in pool:
            after = Fraction(sessions[other.address] + 1, other.weight)
            assert Fraction(sessions[one.address], one.weight) <= after


def test_hosts_that_are_equally_loaded_take_turns_by_weight() -> None:
    ours: Callable[[Address], int] = {host(0).address: 2, host(1).address: 0}.__getitem__
    heavy, light = pool = pool_of(3, 1)
    picked = taken(balancer(Balance.LEAST_CONNECTIONS, ours, Random(1)), pool, 40)
    assert (picked.count(heavy), picked.count(light)) == (30, 10)


def test_the_sessions_of_both_addresses_of_a_host_count() -> None:
    other = Address("fd00::1", 5432)
    double, single = host(1, alternate=other), host(2)
    sessions = {double.address: 1, other: 2, single.address: 2}
    balanced = balancer(Balance.LEAST_CONNECTIONS, sessions.__getitem__)
    assert taken(balanced, (double, single), 3) == [single] * 3


def test_random_follows_the_weights_and_the_generator_it_is_given() -> None:
    pool = pool_of(3, 1)
    picked, same, other = (
        taken(balancer(Balance.RANDOM, idle, Random(seed)), pool, 10_000) for seed in (1, 1, 2)
    )
    assert picked == same != other
    assert picked.count(pool[0]) == pytest.approx(7_500, abs=250)
    runs = sum(one == next_one for one, next_one in pairwise(picked))
    assert runs == pytest.approx(10_000 * (9 + 1) / 16, abs=300)


keys = st.binary(min_size=1, max_size=40)
hashed = balancer(Balance.HASH, idle)


@given(pools, keys, st.randoms(use_true_random=False))
def test_hash_is_equal_over_all_ambassadors(pool: tuple[Target, ...], key: bytes, random: Random) -> None:
    shuffled = random.sample(pool, len(pool))
    assert balancer(Balance.HASH, idle).pick(shuffled, key) == hashed.pick(pool, key)


def test_hash_is_equal_over_releases() -> None:
    pool = (*pool_of(1, 2, 0), Target(Address("fd00::7", 5433), "db.test"))
    picked = [hashed.pick(pool, f"user{number}\0orders".encode()) for number in range(16)]
    assert [pool.index(target) for target in picked] == [1, 1, 1, 0, 1, 3, 3, 1, 1, 1, 3, 3, 1, 1, 1, 1]


@given(pools, keys)
def test_with_hash_a_host_that_leaves_loses_only_its_own_keys(pool: tuple[Target, ...], key: bytes) -> None:
    before = hashed.pick(pool, key)
    for gone in pool:
        rest = [target for target in pool if target != gone]
        if rest and gone != before:
            assert hashed.pick(rest, key) == before


@given(pools, keys, st.integers(0, 40))
def test_with_hash_a_new_weight_moves_keys_only_to_or_from_its_host(
    pool: tuple[Target, ...], key: bytes, weight: int
) -> None:
    changed = host(0, weight)
    assume(changed.weight != pool[0].weight)
    before, after = hashed.pick(pool, key), hashed.pick((changed, *pool[1:]), key)
    if before.address != after.address:
        assert changed.address == (after if weight > pool[0].weight else before).address


def test_with_hash_keys_are_shared_by_weight_and_the_fewest_move() -> None:
    pool, keys = pool_of(3, 1, 2, 2), [f"user{number}\0db".encode() for number in range(10_000)]
    homes = {key: hashed.pick(pool, key) for key in keys}
    counts = Counter(homes.values())
    assert all(counts[target] == pytest.approx(1_250 * target.weight, rel=0.08) for target in pool)
    moved = sum(hashed.pick(pool[1:], key) != home for key, home in homes.items())
    assert moved == counts[pool[0]]


def test_with_hash_neither_family_nor_its_order_moves_a_key() -> None:
    four, six, other = host(1).address, Address("fd00::1", 5432), host(2)
    for number in range(50):
        key = str(number).encode()
        homes = {
            hashed.pick((Target(address, "db.test", alternate=alternate), other), key) == other
            for address, alternate in ((four, None), (four, six), (six, four))
        }
        assert len(homes) == 1


def test_with_hash_sessions_of_which_nothing_is_known_take_turns() -> None:
    pool = pool_of(3, 1)
    picked = taken(balancer(Balance.HASH, idle), pool, 8, key=b"")
    assert picked.count(pool[0]) == 6


@pytest.mark.parametrize("balance", [Balance.ROUND_ROBIN, Balance.RANDOM, Balance.HASH])
def test_a_weight_of_zero_gets_hardly_any_and_alone_all(balance: Balance) -> None:
    pool = pool_of(1, 0)
    balanced = balancer(balance, idle, Random(3))
    picked = [balanced.pick(pool, str(number).encode()) for number in range(20_020)]
    assert 5 <= picked.count(pool[1]) <= 40  # a thousandth of the other's 20,000
    assert balanced.pick(pool[1:], KEY) == pool[1]


@pytest.mark.parametrize("balance", Balance)
def test_where_all_weights_are_zero_all_are_equal(balance: Balance) -> None:
    pool = pool_of(0, 0)
    balanced = balancer(balance, idle, Random(3))
    picked = [balanced.pick(pool, str(number).encode()) for number in range(2_000)]
    assert picked.count(pool[0]) == pytest.approx(1_000, rel=0.1)


def test_a_weight_of_zero_takes_a_session_once_the_others_are_full_of_them() -> None:
    one, none = pool_of(1, 0)
    for load, expected in ((998, one), (1_000, none)):
        sessions = {one.address: load, none.address: 0}
        balanced = balancer(Balance.LEAST_CONNECTIONS, sessions.__getitem__)
        assert balanced.pick((one, none), KEY) == expected
