"""What changed facts change about a choice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbambassador.profiles.drift import Drift, between
from dbambassador.profiles.selection import select
from dbambassador.settings.schema import Database, HostEndpoint, Profile, Protocol
from dbambassador.values import Fact, Facts, State
from tests.profiles.making import catalogue, facts, hint, production, profile, unknown

STAGING = profile("staging", "tier=staging")
LIVE = production("live", "tier=live")


def found(before: Facts, now: Facts, chosen: Profile, *profiles: Profile) -> Drift | None:
    every = catalogue(*(profiles or (STAGING, LIVE)))
    assert select(every, before).profile is chosen
    return between(before, now, chosen, every.profiles, lambda known: select(every, known))


def test_another_environment() -> None:
    drift = found(facts(tier="staging", other="a"), facts(tier="live", other="b"), STAGING)
    assert drift == Drift(("tier",), "live", "its match holds, and no other environment's can")


def test_no_environment() -> None:
    drift = found(facts(tier="staging"), facts(), STAGING)
    assert drift == Drift(("tier",), None, "no environment's match holds here")


def test_what_no_environment_mentions_may_change() -> None:
    assert found(facts(tier="staging", other="a"), facts(tier="staging"), STAGING) is None


def test_a_change_that_changes_nothing() -> None:
    wide = profile("staging", "tier In staging,test")
    assert found(facts(tier="staging"), facts(tier="test"), wide, wide, LIVE) is None


@pytest.mark.parametrize("now", [facts(unknown("tier")), Facts.of([], [unknown("t")])])
def test_to_lose_sight_of_a_fact_is_no_change(now: Facts) -> None:
    assert found(facts(tier="staging"), now, STAGING) is None


def test_to_lose_sight_of_what_is_absent_is_no_change() -> None:
    without = profile("staging", "tier DoesNotExist")
    every = Fact("t", State.ABSENT, source="all there are")
    now = Facts.of([], [unknown("t")])
    assert found(Facts.of([], [every]), now, without, without, LIVE) is None


def test_a_fact_that_is_no_more_than_a_hint_now() -> None:
    drift = found(facts(tier="live"), facts(hint("tier", "live")), LIVE)
    assert drift is not None
    assert (drift.facts, drift.would_choose) == (("tier",), None)


def test_other_endpoints() -> None:
    endpoint = HostEndpoint("orders.${place}.test", 5432)
    database = Database(name="orders", protocol=Protocol.POSTGRESQL, listen=(), endpoints=(endpoint,))
    here = replace(STAGING, databases=(database,))
    drift = found(facts(tier="staging", place="a"), facts(tier="staging", place="b"), here, here, LIVE)
    assert drift == Drift(("place",), "staging", "its endpoints would be others")


def test_an_endpoint_stays_where_it_is_while_the_value_does() -> None:
    endpoint = HostEndpoint("orders.${place}.test", 5432)
    database = Database(name="orders", protocol=Protocol.POSTGRESQL, listen=(), endpoints=(endpoint,))
    here = replace(STAGING, databases=(database,))
    now = facts(hint("place", "a"), tier="staging")
    assert found(facts(tier="staging", place="a"), now, here, here, LIVE) is None
