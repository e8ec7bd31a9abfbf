from __future__ import annotations

import dataclasses

import pytest

from dbambassador.errors import InvalidConfiguration
from dbambassador.profiles.interpolation import interpolate, needed
from dbambassador.settings.schema import (
    Database,
    Endpoint,
    HostEndpoint,
    Profile,
    Protocol,
    SrvEndpoint,
)
from tests.profiles.making import facts, hint, production, profile, unknown


def leading_to(*endpoints: Endpoint, base: Profile | None = None) -> Profile:
    database = Database(name="orders", protocol=Protocol.POSTGRESQL, listen=(), endpoints=endpoints)
    return dataclasses.replace(base or profile("staging", "a=1"), databases=(database,))


def test_every_fact_is_replaced_by_its_value() -> None:
    written = leading_to(
        HostEndpoint("orders-${zone}.${region}.db.test", 5432),
        SrvEndpoint("_postgresql._tcp.${region}.test"),
        HostEndpoint("10.0.0.1", 5433),
    )

    assert needed(written) == {"zone", "region"}
    assert interpolate(written, facts(zone="a", region="eu-west-1")).databases[0].endpoints == (
        HostEndpoint("orders-a.eu-west-1.db.test", 5432),
        SrvEndpoint("_postgresql._tcp.eu-west-1.test"),
        HostEndpoint("10.0.0.1", 5433),
    )


def test_a_value_may_be_the_whole_host_and_an_address() -> None:
    found = interpolate(leading_to(HostEndpoint("${host}", 5432)), facts(host="fd00::7"))

    assert found.databases[0].endpoints == (HostEndpoint("fd00::7", 5432),)


def test_unknown_and_absent_facts_are_errors_that_name_them_all() -> None:
    written = leading_to(HostEndpoint("${region}.${zone}", 1), HostEndpoint("${rack}.test", 1))

    with pytest.raises(InvalidConfiguration) as raised:
        interpolate(written, facts(unknown("region", "403"), rack="r1"))

    assert [(problem.file, problem.path, problem.found) for problem in raised.value.problems] == [
        (
            "environments/staging.yaml",
            "databases.orders.endpoints[0].host",
            "${region}, which is unknown: 403",
        ),
        ("environments/staging.yaml", "databases.orders.endpoints[0].host", "${zone}, which is absent"),
    ]


def test_a_hint_leads_no_production_anywhere() -> None:
    endpoint = HostEndpoint("${region}.test", 5432)

    assert interpolate(leading_to(endpoint), facts(hint("region", "eu"))).databases[0].endpoints == (
        HostEndpoint("eu.test", 5432),
    )
    with pytest.raises(InvalidConfiguration, match="only a hint"):
        interpolate(leading_to(endpoint, base=production("production", "a=1")), facts(hint("region", "eu")))


@pytest.mark.parametrize("value", ["eu west", "a/b", "-", "x" * 64, "a..b", "eu:1", "é"])
def test_a_value_that_makes_no_host_name_is_an_error(value: str) -> None:
    with pytest.raises(InvalidConfiguration, match=r"databases\.orders\.endpoint: found"):
        interpolate(leading_to(HostEndpoint("db.${region}.test", 5432)), facts(region=value))
