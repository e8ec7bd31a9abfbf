"""Endpoints to targets, with the caches and files between them."""

from __future__ import annotations

from pathlib import Path

import dns.rcode
import pytest
import trio

from dbambassador.discovery import lookup
from dbambassador.discovery.assembly import MAX_TARGETS
from dbambassador.discovery.resolver import MAX_SERVICES, Resolver
from dbambassador.errors import UsageError
from dbambassador.events import Event
from dbambassador.settings.schema import HostEndpoint, SrvEndpoint
from dbambassador.values import Targets
from tests.discovery.zone import site

ORDERS = [HostEndpoint("orders.db.test", 5432)]


def shown(targets: Targets) -> list[str]:
    return [str(address) for address in targets.addresses]


def ignore(event: Event) -> None:
    pass


async def test_literals_and_localhost_ask_nobody(tmp_path: Path) -> None:
    async with site(tmp_path) as place:
        place.write("hosts", "10.6.6.6 localhost")
        endpoints = [
            HostEndpoint("10.0.0.1", 1),
            HostEndpoint("::1", 2),
            HostEndpoint("LocalHost", 3),
            HostEndpoint("db.localhost.", 4),
        ]
        targets = await place.resolver.resolve(endpoints)
        assert shown(targets) == ["10.0.0.1:1", "[::1]:2", "127.0.0.1:3", "[::1]:3", "127.0.0.1:4", "[::1]:4"]
        assert targets.expires_at > targets.asked_at
        assert place.asked == []


async def test_the_hosts_file_ends_both_families_and_is_read_again(tmp_path: Path) -> None:
    async with site(tmp_path, orders__db__test=["20 A 10.0.0.1", "20 AAAA fd00::1"]) as place:
        place.write("hosts", "10.0.0.9 Orders.db.test")
        targets = await place.resolver.resolve(ORDERS)
        assert shown(targets) == ["10.0.0.9:5432"]
        assert [(step.kind, step.server) for step in targets.steps] == [
            ("hosts", str(tmp_path / "etc/hosts"))
        ]
        assert place.asked == []
        place.write("hosts", "10.0.0.10 orders.db.test")
        assert shown(await place.resolver.resolve(ORDERS)) == ["10.0.0.10:5432"]
        place.write("hosts", "")
        assert shown(await place.resolver.resolve(ORDERS)) == ["10.0.0.1:5432", "[fd00::1]:5432"]


async def test_weight_zone_and_name_come_from_the_endpoint(tmp_path: Path) -> None:
    async with site(tmp_path, orders__db__test=["20 A 10.0.0.1"]) as place:
        (target,) = (
            await place.resolver.resolve([HostEndpoint("orders.db.test.", 5432, weight=3, zone="a")])
        ).targets
        assert (target.name, target.weight, target.zone, target.priority) == ("orders.db.test", 3, "a", 0)


async def test_answers_come_from_the_cache_with_their_first_asking_until_asked_freshly(
    tmp_path: Path,
) -> None:
    async with site(tmp_path, orders__db__test=["20 A 10.0.0.1"]) as place:
        first = await place.resolver.resolve(ORDERS)
        await trio.sleep(0.01)
        again = await place.resolver.resolve(ORDERS)
        assert (again.asked_at, again.expires_at) == (first.asked_at, first.expires_at)
        assert {step.server for step in again.steps} == {"cache"}
        assert len(place.asked) == 2
        place.zone.records["orders.db.test"] = ["20 A 10.0.0.2"]
        anew = await place.resolver.resolve(ORDERS, after=trio.current_time())
        assert shown(anew) == ["10.0.0.2:5432"]
        assert anew.asked_at > first.asked_at
        assert shown(await place.resolver.resolve(ORDERS)) == ["10.0.0.2:5432"]


async def test_identical_questions_in_flight_are_shared_even_if_the_first_asker_leaves(
    tmp_path: Path,
) -> None:
    async with site(tmp_path, orders__db__test=["20 A 10.0.0.1"]) as place:
        place.zone.delays = {"A": 0.1, "AAAA": 0.1}
        results: list[Targets] = []

        async def one() -> None:
            results.append(await place.resolver.resolve(ORDERS, after=trio.current_time()))

        with trio.move_on_after(0.02):
            await one()
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(one)
        assert [shown(result) for result in results] == [["10.0.0.1:5432"]] * 5
        assert sorted(place.asked) == [("orders.db.test", "A"), ("orders.db.test", "AAAA")]


async def test_negative_answers_are_remembered_and_expire(tmp_path: Path) -> None:
    async with site(tmp_path) as place:
        targets = await place.resolver.resolve(ORDERS)
        assert targets.failure == f"orders.db.test does not exist (NXDOMAIN from {place.server.address})"
        assert targets.targets == ()
        assert 0.9 < targets.expires_at - trio.current_time() <= 10
        await place.resolver.resolve(ORDERS)
        assert len(place.asked) == 2


@pytest.mark.parametrize("code", [dns.rcode.SERVFAIL, dns.rcode.REFUSED])
async def test_stale_addresses_are_served_while_dns_fails_but_never_on_nxdomain(
    tmp_path: Path, code: dns.rcode.Rcode
) -> None:
    async with site(tmp_path, orders__db__test=["20 A 10.0.0.1"]) as place:
        good = await place.resolver.resolve(ORDERS)
        place.zone.codes[""] = code
        stale = await place.resolver.resolve(ORDERS, after=trio.current_time())
        assert shown(stale) == ["10.0.0.1:5432"]
        assert stale.stale
        assert stale.asked_at == good.asked_at
        assert stale.failure == (
            f"orders.db.test could not be looked up: {place.server.address} could not answer ({code.name})"
        )
        place.zone.codes[""] = dns.rcode.NXDOMAIN
        assert (await place.resolver.resolve(ORDERS, after=trio.current_time())).targets == ()
        place.zone.codes[""] = code
        gone = await place.resolver.resolve(ORDERS, after=trio.current_time())
        assert gone.targets == ()
        assert not gone.stale


async def test_a_changed_configuration_whose_servers_fail_keeps_the_last_good_answer(tmp_path: Path) -> None:
    async with site(tmp_path, orders__db__test=["20 A 10.0.0.1"]) as place:
        await place.resolver.resolve(ORDERS)
        place.zone.codes[""] = dns.rcode.SERVFAIL
        for change in ("options timeout:1", "options timeout:2"):
            place.write("resolv.conf", change)
            targets = await place.resolver.resolve(ORDERS)
            assert (shown(targets), targets.stale) == (["10.0.0.1:5432"], True)
            assert "SERVFAIL" in targets.failure
        place.zone.codes[""] = dns.rcode.NXDOMAIN
        assert shown(await place.resolver.resolve(ORDERS)) == []


async def test_a_changed_configuration_is_asked_anew_and_what_was_heard_before_is_not_mixed_in(
    tmp_path: Path,
) -> None:
    async with site(tmp_path, orders__db__test=["20 A 10.0.0.1", "20 AAAA fd00::1"]) as place:
        assert len((await place.resolver.resolve(ORDERS)).targets) == 2
        place.write("resolv.conf", "options timeout:1")
        place.zone.records["orders.db.test"] = ["20 A 10.0.0.2", "20 AAAA fd00::2"]
        place.zone.delays["AAAA"] = 0.5
        assert shown(await place.resolver.resolve(ORDERS)) == ["10.0.0.2:5432"]


async def test_services_carry_priority_weight_and_port(tmp_path: Path) -> None:
    async with site(
        tmp_path,
        _pg__db__test=[
            "20 SRV 2 5 5433 b.db.test.",
            "20 SRV 1 0 5432 a.db.test.",
            "20 SRV 1 9 5434 gone.test.",
        ],
        a__db__test=["20 A 10.0.0.9"],
        b__db__test=["5 A 10.0.0.1"],
    ) as place:
        targets = await place.resolver.resolve([SrvEndpoint("_pg.db.test")])
        assert [(str(t.address), t.name, t.priority, t.weight) for t in targets.targets] == [
            ("10.0.0.9:5432", "a.db.test", 1, 0),
            ("10.0.0.1:5433", "b.db.test", 2, 5),
        ]
        assert targets.steps[0].kind == "SRV"
        assert targets.failure.startswith("gone.test does not exist")


async def test_services_follow_the_search_list_but_their_targets_do_not(tmp_path: Path) -> None:
    async with site(
        tmp_path,
        _pg__a__test=["20 SRV 1 0 5432 db."],
        db=["20 A 10.0.0.1"],
        db__a__test=["20 A 10.6.6.6"],
    ) as place:
        place.write("resolv.conf", "search a.test\noptions ndots:5")
        assert shown(await place.resolver.resolve([SrvEndpoint("_pg")])) == ["10.0.0.1:5432"]


async def test_a_service_decidedly_not_available_is_told_so(tmp_path: Path) -> None:
    async with site(tmp_path, _pg__db__test=["20 SRV 0 0 0 ."]) as place:
        targets = await place.resolver.resolve([SrvEndpoint("_pg.db.test")])
        assert targets.targets == ()
        assert targets.failure == (
            f"_pg.db.test is decidedly not available (SRV target '.' from {place.server.address})"
        )


async def test_a_service_that_names_itself_ends(tmp_path: Path) -> None:
    async with site(tmp_path, _pg__db__test=["20 SRV 0 0 5432 _pg.db.test."]) as place:
        targets = await place.resolver.resolve([SrvEndpoint("_pg.db.test")])
        assert targets.targets == ()
        assert targets.failure.startswith("_pg.db.test has no A or AAAA record (no data from")


async def test_answers_without_measure_are_cut(tmp_path: Path) -> None:
    many = [f"20 SRV {n} 0 5432 n{n}.db.test." for n in range(30)]
    async with site(tmp_path, _pg__db__test=many, n0__db__test=["20 A 10.0.0.1"]) as place:
        assert shown(await place.resolver.resolve([SrvEndpoint("_pg.db.test")])) == ["10.0.0.1:5432"]
        assert len({name for name, _ in place.asked}) == 1 + MAX_SERVICES
        place.zone.records["orders.db.test"] = [f"20 A 10.0.{n // 250}.{n % 250}" for n in range(900)]
        targets = await place.resolver.resolve(ORDERS)
        assert len(targets.targets) == MAX_TARGETS
        assert all(len(step.answer) < 400 for step in targets.steps)
        assert any(step.answer.endswith("and 892 more") for step in targets.steps)


async def test_one_endpoint_that_fails_leaves_the_others(tmp_path: Path) -> None:
    async with site(tmp_path, orders__db__test=["20 A 10.0.0.1"]) as place:
        targets = await place.resolver.resolve([HostEndpoint("no.db.test", 1), *ORDERS])
        assert shown(targets) == ["10.0.0.1:5432"]
        assert targets.failure.startswith("no.db.test does not exist")


async def test_every_question_is_told_once(tmp_path: Path) -> None:
    async with site(tmp_path, orders__db__test=["20 A 10.0.0.1"]) as place:
        await place.resolver.resolve(ORDERS)
        await place.resolver.resolve(ORDERS)
        assert place.outcomes == {("orders.db.test", "A"): "ok", ("orders.db.test", "AAAA"): "nodata"}
        assert len(place.events) == 2


async def test_a_name_that_cannot_be_asked_for_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    async with site(tmp_path) as place:
        targets = await place.resolver.resolve([HostEndpoint("a..b.", 1)])
        assert targets.failure == "a..b could not be looked up: not a valid name (A DNS label is empty.)"
        long = ".".join(["a" * 63] * 4)
        assert "not a valid name" in (await place.resolver.resolve([HostEndpoint(long, 1)])).failure
        assert place.asked == []


async def test_the_server_that_answered_last_is_asked_first(tmp_path: Path) -> None:
    async with site(tmp_path) as silent, site(tmp_path, orders__db__test=["20 A 10.0.0.1"]) as good:
        silent.zone.delays = {"A": 9, "AAAA": 9}
        servers = [str(silent.server.address), str(good.server.address)]
        resolver = Resolver(tmp_path, servers, ignore)
        assert shown(await resolver.resolve(ORDERS, after=trio.current_time())) == ["10.0.0.1:5432"]
        silent.server.asked.clear()
        assert shown(await resolver.resolve(ORDERS, after=trio.current_time())) == ["10.0.0.1:5432"]
        assert silent.asked == []


async def test_one_late_answer_does_not_bind_to_a_server_with_another_view(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a company's nameserver before a public one that does not know its names, or knows others by them."""
    async with site(tmp_path, orders__db__test=["20 A 10.0.0.1"]) as own, site(tmp_path) as other:
        resolver = Resolver(tmp_path, [str(own.server.address), str(other.server.address)], ignore)
        own.zone.delays = {"A": 0.8, "AAAA": 0.8}
        assert "NXDOMAIN" in (await resolver.resolve(ORDERS, after=trio.current_time())).failure
        own.zone.delays = {}
        assert shown(await resolver.resolve(ORDERS, after=trio.current_time())) == ["10.0.0.1:5432"]

        other.zone.records = {"orders.db.test": ["20 A 192.0.2.1"]}
        monkeypatch.setattr(lookup, "URGENT_PREFERENCE", 0.2)
        own.zone.delays = {"A": 0.8, "AAAA": 0.8}
        assert shown(await resolver.resolve(ORDERS, after=trio.current_time())) == ["192.0.2.1:5432"]
        own.zone.delays = {}
        await trio.sleep(lookup.URGENT_PREFERENCE)
        assert shown(await resolver.resolve(ORDERS, after=trio.current_time())) == ["10.0.0.1:5432"]


async def test_in_peace_a_server_that_answered_in_anothers_place_is_asked_first_for_longer(
    tmp_path: Path,
) -> None:
    records = {"orders__db__test": ["1 A 10.0.0.1"]}
    async with site(tmp_path, **records) as first, site(tmp_path, **records) as second:
        resolver = Resolver(tmp_path, [str(each.server.address) for each in (first, second)], ignore)
        first.zone.delays = {"A": 9, "AAAA": 9}
        await resolver.resolve(ORDERS)
        first.server.asked.clear()
        await trio.sleep(lookup.URGENT_PREFERENCE + 0.1)
        await resolver.resolve(ORDERS)
        assert first.asked == []
        await resolver.resolve(ORDERS, after=trio.current_time())
        assert first.asked != []


async def test_nameservers_come_from_resolv_conf_unless_given(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").write_text("nameserver 127.0.0.77\noptions timeout:1 attempts:1")
    targets = await Resolver(tmp_path, [], ignore).resolve(ORDERS)
    assert "127.0.0.77:53" in targets.failure


def test_a_nameserver_must_be_an_address(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'ns\.test'"):
        Resolver(tmp_path, ["127.0.0.1:5300", "ns.test"], ignore)


async def test_nothing_to_resolve() -> None:
    assert (await Resolver(Path("/nonexistent"), [], ignore).resolve([])).addresses == ()
