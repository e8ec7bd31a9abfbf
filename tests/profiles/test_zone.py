"""The zone that a database is told: where it comes from, and what it has no part in."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from dbambassador.locate import Request, api_would_be_asked
from dbambassador.profiles.catalogue import Catalogue
from dbambassador.profiles.drift import between
from dbambassador.profiles.interpolation import ZONES, interpolate, needed
from dbambassador.profiles.proofs import Status, prove
from dbambassador.profiles.selection import select
from dbambassador.reflection.gather import gather
from dbambassador.settings.schema import Database, HostEndpoint, Profile, Protocol, SrvEndpoint
from dbambassador.values import Fact, Facts, State
from tests.profiles.making import catalogue, facts, hint, production, profile, unknown

CLOUD, NODE, POD = ZONES
ZONED = HostEndpoint("a.db.test", 5432, zone="eu-1a")
PLAIN = HostEndpoint("b.db.test", 5432)


def leading_to(*endpoints: HostEndpoint | SrvEndpoint, base: Profile | None = None) -> Profile:
    database = Database(name="orders", protocol=Protocol.POSTGRESQL, listen=(), endpoints=endpoints)
    return dataclasses.replace(base or profile("staging", "a=1"), databases=(database,))


def zone(written: Profile, found: Facts) -> str:
    return interpolate(written, found).databases[0].zone


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ({CLOUD: "eu-1a", NODE: "eu-1b", POD: "eu-1c"}, "eu-1a"),
        ({NODE: "eu-1b", POD: "eu-1c"}, "eu-1b"),
        ({POD: "eu-1c"}, "eu-1c"),
        ({}, ""),
    ],
)
def test_the_first_fact_that_is_present_tells_it(known: dict[str, str], told: str) -> None:
    assert zone(leading_to(ZONED, PLAIN), facts(**known)) == told


def test_an_unknown_fact_leaves_it_to_the_next() -> None:
    assert zone(leading_to(ZONED), facts(unknown(CLOUD), **{POD: "eu-1c"})) == "eu-1c"


def test_a_fact_with_several_values_names_no_single_zone() -> None:
    both = Fact(CLOUD, State.PRESENT, "eu-1a, eu-1b", several=("eu-1a", "eu-1b"))

    assert zone(leading_to(ZONED), facts(both)) == ""


def test_a_hint_is_good_enough_in_production_too() -> None:
    written = leading_to(ZONED, base=production("production", "a=1"))

    assert zone(written, facts(hint(CLOUD, "eu-1a"))) == "eu-1a"


@pytest.mark.parametrize("endpoint", [PLAIN, SrvEndpoint("_postgresql._tcp.db.test")])
def test_where_no_endpoint_names_a_zone_there_is_none(endpoint: HostEndpoint | SrvEndpoint) -> None:
    assert zone(leading_to(endpoint), facts(**{CLOUD: "eu-1a"})) == ""


def test_each_database_is_told_by_its_own_endpoints() -> None:
    one, other = leading_to(ZONED).databases[0], leading_to(PLAIN).databases[0]
    both = dataclasses.replace(profile("staging", "a=1"), databases=(one, other))

    found = interpolate(both, facts(**{CLOUD: "eu-1b"}))

    assert [database.zone for database in found.databases] == ["eu-1b", ""]


def test_the_labels_of_a_pod_tell_it(tmp_path: Path) -> None:
    labels = tmp_path / "etc" / "podinfo" / "labels"
    labels.parent.mkdir(parents=True)
    labels.write_text('topology.kubernetes.io/zone="eu-1a"\n')
    found = gather(tmp_path, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, {})

    assert found.get(POD).present
    assert zone(leading_to(ZONED), found) == "eu-1a"


class TestNothingElseDependsOnIt:
    NOT_ASKED = Facts.of(
        [Fact("k8s.node.name", State.PRESENT, "node-1"), Fact("a", State.PRESENT, "1"), unknown(CLOUD)],
        [Fact("k8s.node.label.", State.UNKNOWN, reason="the API was not asked")],
    )
    """Of a pod that could ask the API for its node's zone."""

    def asked(self, written: Profile) -> tuple[str, ...]:
        request = Request(directory=Path("environments"), environ={"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
        return api_would_be_asked(request, catalogue(written), self.NOT_ASKED)

    def test_no_api_is_asked_for_its_sake(self) -> None:
        templated = HostEndpoint(f"db.${{{CLOUD}}}.test", 5432)

        assert self.asked(leading_to(templated)) == (CLOUD,)
        assert self.asked(leading_to(ZONED)) == ()

    def test_no_fact_is_needed_and_none_decides(self) -> None:
        written = leading_to(ZONED)

        assert needed(written) == frozenset()
        for zones in ({}, {CLOUD: "eu-1a"}, {CLOUD: "elsewhere"}):
            selection = select(catalogue(written), facts(a="1", **zones))
            assert (selection.profile, selection.undecided) == (written, ())

    def test_endpoints_are_told_apart_by_name(self) -> None:
        ours = leading_to(HostEndpoint("db.test", 5432, zone="eu-1a"))
        theirs = leading_to(HostEndpoint("db.test", 5432, zone="eu-1b"), base=production("production", "a=2"))

        failed = [each.proof for each in prove(catalogue(ours, theirs)) if each.status is Status.FAILS]

        assert failed == ["endpoints-apart"]

    def test_the_proofs_are_those_of_endpoints_without_zones(self) -> None:
        def proven(zone: str) -> object:
            staging = leading_to(HostEndpoint("db.test", 5432, zone=zone))
            base = production("production", "a=2")
            return prove(
                catalogue(staging, leading_to(HostEndpoint("${region}.test", 5432, zone=zone), base=base))
            )

        assert proven("eu-1a") == proven("")

    def test_another_zone_is_no_drift(self) -> None:
        written = leading_to(ZONED)
        environments: Catalogue = catalogue(written)

        drift = between(
            facts(a="1", **{CLOUD: "eu-1a"}),
            facts(a="1", **{CLOUD: "eu-1b"}),
            written,
            environments.profiles,
            lambda now: select(environments, now),
        )

        assert drift is None
