"""What goes on of a choice under other settings: laws for arbitrary ones, and single cases."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dbambassador.health.adoption import alone, retired
from dbambassador.health.choice import Standing
from dbambassador.settings.schema import Database, HostEndpoint, Protocol, SrvEndpoint
from dbambassador.values import Address, Target
from tests.choices import lost, serving

HOSTS = ("a.test", "b.test", "c.test")
DATABASE = Database(name="orders", protocol=Protocol.POSTGRESQL, listen=(), endpoints=())
NOBODY: frozenset[Address] = frozenset()


def address(host: str) -> Address:
    return Address(f"10.0.0.{HOSTS.index(host) + 1}", 5432)


def name(of: Address) -> str:
    return HOSTS[int(of.host[-1]) - 1]


def leading_to(*hosts: str, srv: str = "") -> Database:
    endpoints = [HostEndpoint(host, 5432) for host in hosts]
    return replace(DATABASE, endpoints=(*endpoints, *([SrvEndpoint(srv)] if srv else [])))


hosts = st.lists(st.sampled_from(HOSTS), unique=True, min_size=1)


@given(hosts, hosts, st.sets(st.sampled_from(HOSTS)))
def test_who_is_named_no_more_retires(before: list[str], now: list[str], had: set[str]) -> None:
    already = frozenset(map(address, had))
    found = retired(leading_to(*before), leading_to(*now), map(address, before), already, name)
    if before == now:
        assert found == already
    else:
        assert found == {address(host) for host in (set(before) | had) - set(now)}


def test_another_weight_or_zone_is_no_other_host() -> None:
    before, now = leading_to("a.test"), leading_to("a.test", "b.test")
    weighed = replace(before, endpoints=(HostEndpoint("a.test.", 5432, weight=3, zone="a"),))
    for database in (now, weighed):
        assert retired(before, database, [address("a.test")], NOBODY, name) == NOBODY


def test_another_port_is_another_host() -> None:
    now = replace(DATABASE, endpoints=(HostEndpoint("a.test", 6432),))
    assert retired(leading_to("a.test"), now, [address("a.test")], NOBODY, name) == {address("a.test")}


def test_whom_the_dns_had_dropped_before_is_not_meant() -> None:
    serving_now = [address("a.test"), address("c.test")]
    found = retired(leading_to("a.test"), leading_to("b.test"), serving_now, NOBODY, name)
    assert found == {address("a.test")}


def test_hosts_of_a_service_that_is_asked_no_more_retire() -> None:
    before, now = leading_to("a.test", srv="_pg.test"), leading_to("a.test")
    found = retired(before, now, map(address, HOSTS), NOBODY, name)
    assert found == {address("b.test"), address("c.test")}
    assert retired(before, leading_to(srv="_pg.test"), map(address, HOSTS), NOBODY, name) == {
        address("a.test")
    }


def test_of_a_pool_the_host_with_most_sessions_goes_on() -> None:
    targets = [Target(address(host), host) for host in HOSTS]
    choice = serving(4, *targets)
    sessions = {address("b.test"): 3, address("c.test"): 1}

    standing = alone(Standing(choice, None), lambda each: sessions.get(each, 0))

    assert standing.active == targets[1]
    assert standing.choice.pool == (targets[1],)
    assert standing.choice.tenures == {address("b.test"): choice.tenures[address("b.test")]}
    assert standing.choice.epoch == 5


def test_without_a_pool_there_is_nobody_to_go_on() -> None:
    standing = Standing(lost(4), 1.0)
    assert alone(standing, lambda _: 0) == standing
