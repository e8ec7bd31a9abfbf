from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dbambassador.discovery.assembly import MAX_TARGETS, merge
from dbambassador.values import Address, Step, Target, Targets


def target(host: str, priority: int = 0, port: int = 5432, name: str = "db") -> Target:
    return Target(Address(host, port), name, priority)


def test_priority_then_endpoint_then_address() -> None:
    first = Targets((target("10.0.0.9"), target("10.0.0.10"), target("fd00::1"), target("10.0.0.1", 1)))
    second = Targets((target("10.0.0.2"),))
    hosts = [each.address.host for each in merge([first, second]).targets]
    assert hosts == ["10.0.0.9", "10.0.0.10", "fd00::1", "10.0.0.2", "10.0.0.1"]


def test_an_address_counts_once_for_the_best_place_that_names_it() -> None:
    first = Targets((target("10.0.0.1", 5, name="late"),))
    second = Targets((target("10.0.0.1", 0, name="early"), target("10.0.0.1", 0, 5433, name="port")))
    assert [each.name for each in merge([first, second]).targets] == ["early", "port"]


def test_times_staleness_and_failures_are_those_of_all_parts() -> None:
    parts = [
        Targets(asked_at=2, expires_at=9, failure="a"),
        Targets(asked_at=3, expires_at=7, stale=True, failure="b"),
        Targets(asked_at=4, expires_at=8, failure="a"),
    ]
    merged = merge(parts)
    assert (merged.asked_at, merged.expires_at, merged.stale, merged.failure) == (2, 7, True, "a; b")


def test_a_step_is_shown_once() -> None:
    alias = Step("a", "CNAME", "b", "ns", 5.0)
    again = replace(alias, ttl=4.9)
    assert len(merge([Targets(steps=(alias, Step("b", "A", "x"))), Targets(steps=(again,))]).steps) == 2


@given(st.lists(st.ip_addresses().map(str), unique=True, max_size=100), st.randoms(use_true_random=False))
def test_rotation_changes_nothing(hosts: list[str], shuffle: random.Random) -> None:
    targets = [target(host) for host in hosts]
    before = merge([Targets(tuple(targets))]).targets
    shuffle.shuffle(targets)
    assert merge([Targets(tuple(targets))]).targets == before
    assert len(before) == min(len(hosts), MAX_TARGETS)
