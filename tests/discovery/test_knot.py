"""Against a real authoritative server whose records change while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import trio

from dbambassador.discovery.refresher import Refresher
from dbambassador.discovery.resolver import Resolver
from dbambassador.events import Event, TargetsChanged
from dbambassador.settings.schema import Database, Endpoint, HostEndpoint, Protocol, SrvEndpoint
from dbambassador.values import Targets
from tests.testbed.dns import Knot, knot

RECORDS = [
    "orders 20 CNAME primary",
    "primary 5 A 10.0.0.7",
    "primary 5 AAAA fd00::7",
    "_postgresql._tcp.orders 5 SRV 10 1 5433 standby",
    "_postgresql._tcp.orders 5 SRV 0 1 5432 primary",
    "standby 5 A 10.0.0.8",
    "text 5 TXT nothing",
    *(f"many 5 A 10.1.0.{n}" for n in range(60)),
]


@pytest.fixture
def server() -> Iterator[Knot]:
    with knot(records=RECORDS) as running:
        yield running


def ignore(event: Event) -> None:
    pass


async def resolve(server: Knot, *endpoints: Endpoint) -> Targets:
    resolver = Resolver(Path("/nonexistent"), [str(server.address)], ignore)
    return await resolver.resolve(endpoints)


def shown(targets: Targets) -> list[str]:
    return [str(address) for address in targets.addresses]


async def test_every_kind_of_record(server: Knot) -> None:
    targets = await resolve(server, HostEndpoint("orders.db.test", 5432))
    assert shown(targets) == ["10.0.0.7:5432", "[fd00::7]:5432"]
    assert targets.targets[0].name == "orders.db.test"
    assert [(step.question, step.kind, step.answer, step.ttl) for step in targets.steps] == [
        ("orders.db.test", "CNAME", "primary.db.test", 20),
        ("primary.db.test", "A", "10.0.0.7", 5),
        ("primary.db.test", "AAAA", "fd00::7", 5),
    ]
    assert {step.server for step in targets.steps} == {str(server.address)}
    assert 4 < targets.expires_at - trio.current_time() <= 5

    targets = await resolve(server, SrvEndpoint("_postgresql._tcp.orders.db.test"))
    assert shown(targets) == ["10.0.0.7:5432", "[fd00::7]:5432", "10.0.0.8:5433"]
    assert [target.priority for target in targets.targets] == [0, 0, 10]

    targets = await resolve(server, HostEndpoint("no.db.test", 5432))
    assert targets.failure == f"no.db.test does not exist (NXDOMAIN from {server.address})"

    targets = await resolve(server, HostEndpoint("text.db.test", 5432))
    assert targets.failure == f"text.db.test has no A or AAAA record (no data from {server.address})"

    targets = await resolve(server, HostEndpoint("orders.elsewhere.", 5432))
    assert targets.failure.endswith(f"{server.address} could not answer (REFUSED)")


async def test_an_answer_too_long_for_udp_comes_over_tcp(server: Knot) -> None:
    targets = await resolve(server, HostEndpoint("many.db.test", 5432))
    assert len(targets.targets) == 60


@pytest.mark.waits
async def test_following_a_database_through_changes_and_failures_of_dns(server: Knot) -> None:
    changes: list[Targets] = []

    def note(event: Event) -> None:
        if isinstance(event, TargetsChanged):
            changes.append(event.targets)

    endpoint = HostEndpoint("orders.db.test", 5432)
    database = Database(name="orders", protocol=Protocol.POSTGRESQL, listen=(), endpoints=(endpoint,))
    refresher = Refresher(database, Resolver(Path("/nonexistent"), [str(server.address)], note), note)

    async def told(wanted: Callable[[Targets], bool]) -> Targets:
        with trio.fail_after(5):
            while not wanted(refresher.targets.value):
                await refresher.targets.newer(refresher.targets.version)
        return refresher.targets.value

    async def found(*addresses: str, stale: bool = False) -> Targets:
        return await told(lambda targets: (shown(targets), targets.stale) == ([*addresses], stale))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(refresher.run)
        await found("10.0.0.7:5432", "[fd00::7]:5432")
        refresher.seek(True)

        server.replace("primary", "A", "10.0.0.8")
        changed = trio.current_time()
        await found("10.0.0.8:5432", "[fd00::7]:5432")
        assert trio.current_time() - changed < 1

        server.delete("primary", "AAAA")
        await found("10.0.0.8:5432")

        server.pause()
        targets = await found("10.0.0.8:5432", stale=True)
        assert "no answer from" in targets.failure
        server.resume()
        resumed = trio.current_time()
        await found("10.0.0.8:5432")
        assert trio.current_time() - resumed < 1

        server.delete("primary")
        targets = await told(lambda targets: not targets.targets)
        assert "primary.db.test" in {step.question for step in targets.steps}
        assert targets.failure.startswith("orders.db.test does not exist")

        server.lose_zone()
        targets = await told(lambda targets: "SERVFAIL" in targets.failure)
        assert targets.targets == ()

        server.stop()
        targets = await told(lambda targets: "Connection refused" in targets.failure)
        assert targets.targets == ()
        nursery.cancel_scope.cancel()
    assert len(changes) >= 7
    assert all(before != after for before, after in pairwise(changes))
