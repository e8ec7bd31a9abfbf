"""Questions shared by those who ask them, and what becomes of their answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import dns.rcode
import pytest
import trio

from dbambassador.discovery import lookup, pace
from dbambassador.discovery.answers import Answer, Outcome, Question
from dbambassador.discovery.lookup import Lookup
from dbambassador.discovery.refresher import Refresher
from dbambassador.discovery.resolv_conf import ResolvConf
from dbambassador.events import Event
from dbambassador.settings.schema import Database, HostEndpoint, Protocol
from dbambassador.values import Address
from tests.discovery.zone import Site, site

QUESTION = Question("orders.db.test", "A")


def ignore(event: Event) -> None:
    pass


def lookup_at(place: Site) -> Lookup:
    return Lookup(ResolvConf((place.server.address,)), ignore)


@pytest.mark.parametrize("code", [None, dns.rcode.SERVFAIL])
async def test_an_answer_put_since_then_will_do_for_whoever_has_not_seen_it(
    tmp_path: Path, code: dns.rcode.Rcode | None
) -> None:
    async with site(tmp_path, orders__db__test=["20 A 10.0.0.1"]) as place:
        if code is not None:
            place.zone.codes[""] = code
        asking = lookup_at(place)
        began = trio.current_time()
        first, _ = await asking.ask(QUESTION, after=began - 0.1)
        again, cached = await asking.ask(QUESTION, after=began - 0.1)
        assert again is first
        assert not cached
        assert len(place.asked) == 1
        newer, _ = await asking.ask(QUESTION, after=first.asked_at)
        assert newer.asked_at > first.asked_at
        assert len(place.asked) == 2


async def test_a_failure_is_kept_for_those_who_ask_freshly_only_and_not_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "REMEMBERED", 0.05)
    async with site(tmp_path) as place:
        place.zone.codes[""] = dns.rcode.SERVFAIL
        asking = lookup_at(place)
        await asking.ask(QUESTION)
        await asking.ask(QUESTION)
        assert len(place.asked) == 2
        await trio.sleep(lookup.REMEMBERED)
        await asking.ask(Question("other.db.test", "A"))
        began = trio.current_time()
        entry, _ = await asking.ask(QUESTION, after=0.0)
        assert entry.asked_at >= began


async def test_a_bug_reaches_all_who_wait_and_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(question: Question, servers: Sequence[Address], lifetime: float) -> Answer:
        await trio.sleep(0.01)
        raise ZeroDivisionError

    async with site(tmp_path, orders__db__test=["20 A 10.0.0.1"]) as place:
        asking = lookup_at(place)
        failed = 0

        async def one() -> None:
            nonlocal failed
            with pytest.raises(ZeroDivisionError):
                await asking.ask(QUESTION, after=trio.current_time())
            failed += 1

        with monkeypatch.context() as patched:
            patched.setattr(lookup, "ask", fail)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(one)
                nursery.start_soon(one)
        assert failed == 2
        entry, _ = await asking.ask(QUESTION, after=trio.current_time())
        assert entry.answer.outcome is Outcome.OK


def database(port: int) -> Database:
    endpoint = HostEndpoint("orders.db.test", port)
    return Database(name=f"db{port}", protocol=Protocol.POSTGRESQL, listen=(), endpoints=(endpoint,))


@pytest.mark.waits
async def test_databases_of_one_name_ask_no_more_often_than_one_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the schedule of the real thing, but for its lengths: 0.2 s for a second, then 0.5 s."""
    monkeypatch.setattr(pace, "HASTE", 1.0)
    monkeypatch.setattr(pace, "SLOW_PERIOD", 0.5)
    async with site(tmp_path, orders__db__test=["20 A 10.0.0.1"]) as place, trio.open_nursery() as nursery:
        refreshers = [Refresher(database(port), place.resolver, ignore) for port in range(5)]
        for refresher in refreshers:
            nursery.start_soon(refresher.run)
            await refresher.targets.newer(0)
        began = trio.current_time()
        for refresher in refreshers:
            refresher.seek(True)
            await trio.sleep(0.045)
        await trio.sleep_until(began + 0.5)
        place.zone.records["orders.db.test"] = ["20 A 10.0.0.2"]
        changed = trio.current_time()
        for refresher in refreshers:
            while refresher.targets.value.addresses[0].host != "10.0.0.2":
                await refresher.targets.newer(refresher.targets.version)
        assert trio.current_time() - changed < 2 * pace.FAST_PERIOD + 0.05
        await trio.sleep_until(began + 3.2)
        nursery.cancel_scope.cancel()
    for kind in ("A", "AAAA"):
        times = [at - began for at, _, asked in place.zone.asked_at if asked == kind and at > began]
        fast = [at for at in times if at < pace.HASTE]
        slow = [at for at in times if at > pace.HASTE + 0.5]
        assert 4 <= len(fast) <= pace.HASTE / pace.FAST_PERIOD + 2, times
        assert 2 <= len(slow) <= (slow[-1] - slow[0]) / pace.SLOW_PERIOD + 1.5, times
