"""Which full name a name stands for, and two address families side by side."""

from __future__ import annotations

from pathlib import Path

import dns.rcode
import trio

from dbambassador.settings.schema import HostEndpoint
from dbambassador.values import Targets
from tests.discovery.zone import Site, site

ORDERS = [HostEndpoint("orders", 5432)]
FULL = [HostEndpoint("orders.db.test.", 5432)]
WITHOUT_WAITING = 1.0
"""Seconds: whoever waits for an answer that does not come waits for 3 s."""


def hosts(targets: Targets) -> list[str]:
    return [address.host for address in targets.addresses]


async def fresh(place: Site, endpoints: list[HostEndpoint] = FULL) -> Targets:
    return await place.resolver.resolve(endpoints, after=trio.current_time())


async def test_the_winning_candidate_is_kept(tmp_path: Path) -> None:
    async with site(tmp_path, orders__b__test=["20 A 10.0.0.2"]) as place:
        place.write("resolv.conf", "search a.test b.test\noptions ndots:2")
        assert hosts(await fresh(place, ORDERS)) == ["10.0.0.2"]
        assert sorted(place.asked[:2]) == [("orders.a.test", "A"), ("orders.a.test", "AAAA")]
        assert sorted(place.asked[2:]) == [("orders.b.test", "A"), ("orders.b.test", "AAAA")]
        place.server.asked.clear()
        place.zone.records["orders.a.test"] = ["20 A 10.6.6.6"]
        assert hosts(await fresh(place, ORDERS)) == ["10.0.0.2"]
        assert {name for name, _ in place.asked} == {"orders.b.test"}


async def test_the_winner_that_vanishes_gives_way_to_no_other_name(tmp_path: Path) -> None:
    async with site(tmp_path, orders__a__test=["20 A 10.0.0.1"], orders__b__test=["20 A 10.6.6.6"]) as place:
        place.write("resolv.conf", "search a.test b.test")
        assert hosts(await fresh(place, ORDERS)) == ["10.0.0.1"]
        del place.zone.records["orders.a.test"]
        targets = await fresh(place, ORDERS)
        assert targets.targets == ()
        assert "orders does not exist (NXDOMAIN from 127.0.0.1:" in targets.failure
        assert "asked for orders.a.test)" in targets.failure
        place.zone.records["orders.a.test"] = ["20 A 10.0.0.3"]
        assert hosts(await fresh(place, ORDERS)) == ["10.0.0.3"]


async def test_another_search_list_chooses_anew(tmp_path: Path) -> None:
    async with site(tmp_path, orders__a__test=["20 A 10.0.0.1"], orders__b__test=["20 A 10.0.0.2"]) as place:
        place.write("resolv.conf", "search a.test")
        assert hosts(await place.resolver.resolve(ORDERS)) == ["10.0.0.1"]
        place.write("resolv.conf", "search b.test # changed")
        place.write("resolv.conf", "search b.test")
        assert hosts(await place.resolver.resolve(ORDERS)) == ["10.0.0.2"]


async def test_a_name_that_no_candidate_has_is_told_with_what_was_tried(tmp_path: Path) -> None:
    async with site(tmp_path) as place:
        place.write("resolv.conf", "search a.test b.test")
        failure = (await fresh(place, ORDERS)).failure
        assert failure == (
            f"orders does not exist (NXDOMAIN from {place.server.address}"
            "; asked for orders.a.test, orders.b.test, orders)"
        )


async def test_a_candidate_without_data_gives_way(tmp_path: Path) -> None:
    async with site(tmp_path, orders__a__test=["20 TXT x"], orders__b__test=["20 A 10.0.0.2"]) as place:
        place.write("resolv.conf", "search a.test b.test")
        assert hosts(await fresh(place, ORDERS)) == ["10.0.0.2"]


async def test_a_failing_candidate_gives_way_but_the_winner_past_it_is_not_kept(tmp_path: Path) -> None:
    async with site(tmp_path, orders__a__test=["20 A 10.0.0.1"], orders__b__test=["20 A 10.0.0.2"]) as place:
        place.write("resolv.conf", "search a.test b.test")
        place.zone.codes["orders.a.test"] = dns.rcode.SERVFAIL
        assert hosts(await fresh(place, ORDERS)) == ["10.0.0.2"]
        del place.zone.codes["orders.a.test"]
        assert hosts(await fresh(place, ORDERS)) == ["10.0.0.1"]
        place.zone.codes["orders.a.test"] = dns.rcode.SERVFAIL
        targets = await fresh(place, ORDERS)
        assert hosts(targets) == ["10.0.0.1"]
        assert targets.stale


async def test_what_was_used_past_a_failing_candidate_stands_in_while_dns_is_silent(tmp_path: Path) -> None:
    async with site(tmp_path, orders__b__test=["20 A 10.0.0.2"]) as place:
        place.write("resolv.conf", "search a.test b.test\noptions timeout:1 attempts:1")
        place.zone.codes["orders.a.test"] = dns.rcode.REFUSED
        assert hosts(await fresh(place, ORDERS)) == ["10.0.0.2"]
        place.zone.delays = {"A": 9, "AAAA": 9}
        targets = await fresh(place, ORDERS)
        assert hosts(targets) == ["10.0.0.2"]
        assert targets.stale
        place.zone.delays = {}
        del place.zone.codes["orders.a.test"]
        place.zone.records = {}
        targets = await fresh(place, ORDERS)
        assert targets.targets == (), "nothing outlives NXDOMAIN"


async def test_silence_about_a_candidate_ends_the_search(tmp_path: Path) -> None:
    async with site(tmp_path, orders__b__test=["20 A 10.6.6.6"]) as place:
        place.write("resolv.conf", "search a.test b.test\noptions timeout:1 attempts:1")
        place.zone.delays = {"A": 9, "AAAA": 9}
        targets = await fresh(place, ORDERS)
        assert targets.targets == ()
        assert targets.failure.startswith("orders could not be looked up: no answer from 127.0.0.1:")
        assert {name for name, _ in place.asked} == {"orders.a.test"}


async def test_a_server_that_drops_aaaa_costs_the_resolution_delay(tmp_path: Path) -> None:
    async with site(tmp_path, orders__db__test=["20 A 10.0.0.1"]) as place:
        place.zone.delays["AAAA"] = 9
        began = trio.current_time()
        targets = await fresh(place)
        assert 0.05 <= trio.current_time() - began < WITHOUT_WAITING
        assert hosts(targets) == ["10.0.0.1"]
        assert not targets.failure
        assert targets.steps[1].kind == "AAAA"
        assert targets.steps[1].answer.startswith("no answer after ")


async def test_a_slow_family_neither_comes_nor_goes(tmp_path: Path) -> None:
    async with site(tmp_path, orders__db__test=["20 A 10.0.0.1", "20 AAAA fd00::1"]) as place:
        place.zone.delays["AAAA"] = 0.15
        assert hosts(await fresh(place)) == ["10.0.0.1"]
        await trio.sleep(0.2)
        for _ in range(3):
            targets = await fresh(place)
            assert hosts(targets) == ["10.0.0.1", "fd00::1"]
            assert not targets.stale


async def test_a_name_with_one_family_waits_for_the_other(tmp_path: Path) -> None:
    async with site(tmp_path, orders__db__test=["20 AAAA fd00::1"]) as place:
        place.zone.delays["AAAA"] = 0.2
        assert hosts(await fresh(place)) == ["fd00::1"]


async def test_nxdomain_waits_for_nobody(tmp_path: Path) -> None:
    async with site(tmp_path) as place:
        place.zone.delays["AAAA"] = 9
        began = trio.current_time()
        targets = await fresh(place)
        assert trio.current_time() - began < WITHOUT_WAITING
        assert targets.failure == f"orders.db.test does not exist (NXDOMAIN from {place.server.address})"
