"""How staging could come to be pointed at production, story by story, and what stops it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from random import Random

import pytest

from dbambassador import cli
from dbambassador.errors import InvalidConfiguration
from dbambassador.locate import Request, locate
from dbambassador.profiles.apart import led
from dbambassador.profiles.proofs import Status, prove
from dbambassador.profiles.selection import Verdict, select
from dbambassador.settings.schema import (
    Catalogue,
    Database,
    Endpoint,
    HostEndpoint,
    Kind,
    Profile,
    Protocol,
    SrvEndpoint,
)
from dbambassador.values import Confidence, Fact, Facts, State
from tests.profiles.brute_force import answer
from tests.profiles.cases import cases
from tests.profiles.making import catalogue, facts, hint, production, profile, unknown
from tests.reflection.places import BARE, COMPOSE, POD, Place

CA, NAMESPACE = "dbambassador.k8s.ca.sha256", "k8s.namespace.name"
PRODUCTION = production("production", f"{NAMESPACE}=shop", f"{CA}=production-ca")
STAGING = profile("staging", f"{NAMESPACE}=shop", f"{CA}=staging-ca")
SHOP = catalogue(PRODUCTION, STAGING)
ALONE = catalogue(PRODUCTION)
"""Production's file alone, copied to where it does not belong."""


def chosen(every: Catalogue, found: Facts, **asked: object) -> str | None:
    selection = select(every, found, **asked)  # type: ignore[arg-type]
    return selection.profile.name if selection.profile else None


def leading_to(base: Profile, *endpoints: Endpoint) -> Profile:
    database = Database(name="orders", protocol=Protocol.POSTGRESQL, listen=(), endpoints=endpoints)
    return dataclasses.replace(base, databases=(database,))


class TestTheNameIsTheSame:
    def test_a_staging_cluster_with_a_namespace_called_like_production(self) -> None:
        found = facts(**{NAMESPACE: "shop", CA: "staging-ca"})

        assert chosen(SHOP, found) == "staging"
        assert chosen(ALONE, found) is None

    def test_a_copy_of_the_production_cluster_under_another_authority(self) -> None:
        assert chosen(SHOP, facts(**{NAMESPACE: "shop", CA: "disaster-recovery-ca"})) is None

    @pytest.mark.parametrize("name", ["shop-staging", "nonshop", "Shop", "SHOP", "shop ", "shop."])
    def test_a_name_that_merely_looks_like_it(self, name: str) -> None:
        assert chosen(ALONE, facts(**{NAMESPACE: name, CA: "production-ca"})) is None

    def test_a_cluster_whose_bundle_holds_both_authorities_while_they_are_exchanged(self) -> None:
        both = Fact(CA, State.PRESENT, "…", several=("production-ca", "staging-ca"))

        assert select(SHOP, facts(both, **{NAMESPACE: "shop"})).verdict is Verdict.CONFLICT


class TestTheEvidenceIsMissing:
    @pytest.mark.parametrize("every", [SHOP, ALONE])
    def test_a_pod_without_the_ca_file(self, every: Catalogue) -> None:
        selection = select(every, facts(unknown(CA, "ca.crt: not mounted"), **{NAMESPACE: "shop"}))

        assert (selection.verdict, selection.undecided) == (Verdict.UNDECIDED, (CA,))

    def test_nothing_is_known_at_all(self) -> None:
        assert select(SHOP, facts(unknown(CA), unknown(NAMESPACE))).verdict is Verdict.UNDECIDED

    def test_two_sources_disagree_about_the_cluster(self) -> None:
        torn = unknown(CA, "sources disagree: one says production-ca, but another says staging-ca")

        assert chosen(SHOP, facts(torn, **{NAMESPACE: "shop"})) is None

    def test_a_refusal_is_no_evidence_of_absence(self) -> None:
        guarded = catalogue(production("production", "label NotIn staging", f"{NAMESPACE}=shop"))

        assert chosen(guarded, facts(unknown("label", "403 Forbidden"), **{NAMESPACE: "shop"})) is None
        assert chosen(guarded, facts(**{NAMESPACE: "shop"})) == "production"

    def test_what_is_unknown_could_lift_the_protection_of_staging(self) -> None:
        """Staging is sure but for a rule that may forbid it: production does not move up."""
        every = catalogue(
            production("production", f"{NAMESPACE}=shop", forbid=("tier=staging",)),
            profile("staging", f"{NAMESPACE}=shop", "tier=staging"),
        )

        assert select(every, facts(unknown("tier"), **{NAMESPACE: "shop"})).verdict is Verdict.UNDECIDED


class TestTheEvidenceIsAGuess:
    @pytest.mark.parametrize("name", [NAMESPACE, CA])
    def test_one_of_the_two_is_only_a_hint(self, name: str) -> None:
        certain = {NAMESPACE: "shop", CA: "production-ca"}
        guess = hint(name, certain.pop(name))

        for every in (SHOP, ALONE):
            assert chosen(every, facts(guess, **certain)) is None

    def test_a_hint_of_staging_does_not_outweigh_production(self) -> None:
        """Nor the other way round: where both may be, neither is."""
        assert chosen(SHOP, facts(hint(CA, "staging-ca"), **{NAMESPACE: "shop"})) is None

    def test_a_hint_does_not_lift_what_forbids_production(self) -> None:
        guarded = catalogue(production("production", f"{NAMESPACE}=shop", forbid=("platform=compose",)))

        for guess in ("compose", "kubernetes", ""):
            assert chosen(guarded, facts(hint("platform", guess), **{NAMESPACE: "shop"})) is None

    @pytest.mark.parametrize("seed", range(4))
    def test_no_production_is_reached_on_hints_alone_in_a_catalogue_that_check_passes(
        self, seed: int
    ) -> None:
        """The proof `production-proven`, against brute force in every kind of surroundings without proof."""
        random, passed, refused = Random(seed), 0, 0
        for case in cases(2000 + seed, 400):
            every = Catalogue("directory", case.profiles)
            failing = {
                finding.environments[0]
                for finding in prove(every)
                if finding.proof == "production-proven" and finding.status is not Status.HOLDS
            }
            names = {each.key for one in case.profiles for each in (*(one.match or ()), *one.forbid)}
            guesses = Facts.of(_guess(random, name) for name in names)
            outcome = answer(case.profiles, guesses).chosen
            assert chosen(every, guesses) == outcome
            reached = next((one for one in case.profiles if one.name == outcome and one.production), None)
            passed += any(one.production and one.match for one in case.profiles) and not failing
            refused += bool(failing)
            assert reached is None or reached.name in failing
        assert passed > 50
        assert refused > 10

    def test_check_refuses_production_that_needs_nothing_to_be_present(self) -> None:
        vague = catalogue(production("production", "tier NotIn staging", "laptop DoesNotExist"))

        (finding,) = (each for each in prove(vague) if each.proof == "production-proven")

        assert finding.status is Status.FAILS
        assert dict(finding.example) == {"tier": "absent", "laptop": "absent"}
        assert chosen(vague, facts()) == "production"


def _guess(random: Random, name: str) -> Fact:
    """What is known without any proof: nothing, or a hint."""
    if random.random() < 0.3:
        return Fact(name, State.ABSENT)
    state = random.choice((State.PRESENT, State.ABSENT, State.UNKNOWN))
    value = random.choice(("a", "b", "c")) if state is State.PRESENT else ""
    confidence = Confidence.STRONG if state is State.UNKNOWN else Confidence.HINT
    return Fact(name, state, value, confidence)


class TestSomebodyTurnedAKnob:
    @pytest.mark.parametrize("first", [-1000, 0, 1000])
    def test_a_priority_that_lifts_production_above_staging(self, first: int) -> None:
        every = catalogue(
            production("production", f"{NAMESPACE}=shop", priority=first),
            profile("staging", f"{NAMESPACE}=shop"),
        )

        assert select(every, facts(**{NAMESPACE: "shop"})).verdict is Verdict.CONFLICT

    def test_a_tie_of_two_productions_is_not_settled_by_their_names(self) -> None:
        two = catalogue(production("a", f"{NAMESPACE}=shop"), production("b", f"{NAMESPACE}=shop"))

        assert select(two, facts(**{NAMESPACE: "shop"})).verdict is Verdict.TIE

    def test_the_production_manifest_was_copied_with_its_environment_variable(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        _write(tmp_path / "environments", REAL_PRODUCTION, REAL_STAGING)
        for name, value in {**POD.environ, "DBAMBASSADOR_ENVIRONMENT": "production"}.items():
            monkeypatch.setenv(name, value)
        root = str(POD.build(tmp_path / "root"))

        code = cli.main(["explain", "--environments", str(tmp_path / "environments"), "--root", root])

        assert code == 3
        assert "the one asked for does not match" in capsys.readouterr().out

    def test_insisting_on_the_name_does_not_pass_a_forbid(self) -> None:
        guarded = catalogue(
            production("production", f"{CA}=production-ca", forbid=(f"{CA}=staging-ca",)), STAGING
        )
        here = facts(**{NAMESPACE: "shop", CA: "staging-ca"})

        for found in (here, facts(unknown(CA), **{NAMESPACE: "shop"})):
            asked = select(guarded, found, requested="production", override_match=True)
            assert asked.verdict is Verdict.FORBIDDEN
        why = "production was asked for by name, but its forbid holds here"
        assert select(guarded, here, requested="production").why == f"{why}: {CA} = staging-ca"

    def test_an_environment_without_a_match_is_never_found_by_chance(self) -> None:
        manual = catalogue(production("production"), STAGING)

        assert chosen(manual, facts()) is None
        assert chosen(manual, facts(**{NAMESPACE: "shop", CA: "staging-ca"})) == "staging"

    def test_a_misspelt_name_chooses_nothing_near_it(self) -> None:
        assert select(SHOP, facts(), requested="productio").verdict is Verdict.NO_SUCH

    def test_a_fact_that_a_person_states_is_named_as_the_source(self) -> None:
        """Explicit facts are believed, as the last word of a person; the explanation says so."""
        stated = [
            Fact(NAMESPACE, State.PRESENT, "shop", Confidence.EXPLICIT, "--fact"),
            Fact(CA, State.PRESENT, "production-ca", Confidence.EXPLICIT, "/etc/facts.yaml"),
        ]

        assert chosen(SHOP, Facts.of(stated)) == "production"


REAL_PRODUCTION = f"""
environment: production
match: {{matchFacts: {{k8s.namespace.name: shop, {CA}: "{"0" * 64}"}}}}
databases:
  orders: {{protocol: postgresql, listen: [localhost:5432], endpoint: "orders.production.test:5432"}}
"""
REAL_STAGING = """
environment: staging
match: {matchFacts: {k8s.namespace.name: shop-staging}}
databases: {orders: {protocol: postgresql, listen: [localhost:5432], endpoint: "orders.staging.test:5432"}}
"""


def _write(directory: Path, production_file: str, staging_file: str) -> Path:
    directory.mkdir()
    (directory / "production.yaml").write_text(production_file)
    (directory / "staging.yaml").write_text(staging_file)
    return directory


def _claiming(place: Place, files: dict[str, str], **variables: str) -> Place:
    return Place({**place.files, **files}, place.directories, {**place.environ, **variables})


PRETENDERS: dict[str, Place] = {
    "resource attributes": _claiming(
        BARE, {}, OTEL_RESOURCE_ATTRIBUTES="k8s.namespace.name=shop,cloud.region=production"
    ),
    "a downward variable on a laptop": _claiming(BARE, {}, K8S_NAMESPACE_NAME="shop"),
    "a downward variable in compose": _claiming(COMPOSE, {}, POD_NAMESPACE="shop"),
    "a VPN that pushes the cluster's search list": _claiming(
        BARE,
        {"etc/resolv.conf": "search shop.svc.cluster.local svc.cluster.local cluster.local\n"},
    ),
    "a host named like production": _claiming(BARE, {"etc/hostname": "production-shop\n"}),
    "a mounted podinfo": _claiming(BARE, {"etc/podinfo/namespace": "shop"}),
}


@pytest.mark.parametrize("pretender", PRETENDERS)
async def test_a_place_that_only_says_it_is_production(pretender: str, tmp_path: Path) -> None:
    place = PRETENDERS[pretender]
    trusting = REAL_PRODUCTION.replace(f', {CA}: "{"0" * 64}"', "")
    directory = _write(tmp_path / "environments", trusting, REAL_STAGING)

    located = await locate(
        Request(directory=directory, root=place.build(tmp_path / "root"), environ=place.environ)
    )

    assert located.profile is None
    assert located.selection.verdict in (Verdict.UNDECIDED, Verdict.NO_MATCH)


async def test_the_real_pod_is_chosen_and_a_pod_of_another_cluster_is_not(tmp_path: Path) -> None:
    """So that the pretenders do not fail for want of anything to choose."""
    trusting = REAL_PRODUCTION.replace(f', {CA}: "{"0" * 64}"', "")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    root = POD.build(tmp_path / "root")
    by_namespace = _write(tmp_path / "a" / "environments", trusting, REAL_STAGING)
    by_authority = _write(tmp_path / "b" / "environments", REAL_PRODUCTION, REAL_STAGING)

    for directory, expected in ((by_namespace, "production"), (by_authority, None)):
        located = await locate(Request(directory=directory, root=root, environ=POD.environ))
        assert (located.profile.name if located.profile else None) == expected


class TestAFactIsPartOfTheAddress:
    """The right environment, and a name that leads to production's database all the same."""

    @pytest.mark.parametrize(
        ("theirs", "ours", "value"),
        [
            (HostEndpoint("orders.production.test", 5432), "orders.${tier}.test", "production"),
            (HostEndpoint("Orders.Production.test", 5432), "orders.${tier}.test", "PRODUCTION"),
            (HostEndpoint("db.shop.production.test", 5432), "db.${tier}.test", "shop.production"),
            (HostEndpoint("10.0.0.7", 5432), "${tier}", "10.0.0.7"),
            (HostEndpoint("10.0.0.7", 5432), "${tier}", "::ffff:10.0.0.7"),
            (HostEndpoint("${region}.production.test", 5432), "eu.${tier}.test", "production"),
        ],
    )
    def test_staging_is_not_led_to_production_by_what_is_found_here(
        self, theirs: Endpoint, ours: str, value: str
    ) -> None:
        staging = leading_to(profile("staging", "a=2"), HostEndpoint(ours, 5432))
        every = catalogue(leading_to(production("production", "a=1"), theirs), staging)
        found = facts(a="2", tier=value, region="eu")

        with pytest.raises(InvalidConfiguration) as raised:
            led(staging, found, every)

        (problem,) = raised.value.problems
        assert problem.path == "databases.orders.endpoint"
        assert "which production leads to" in problem.found

    def test_a_service_name_of_production(self) -> None:
        staging = leading_to(profile("staging", "a=2"), SrvEndpoint("_postgresql._tcp.${tier}.test"))
        theirs = leading_to(production("production", "a=1"), SrvEndpoint("_postgresql._tcp.production.test"))

        with pytest.raises(InvalidConfiguration):
            led(staging, facts(tier="production"), catalogue(theirs, staging))

    def test_nor_production_to_staging(self) -> None:
        ours = leading_to(production("production", "a=1"), HostEndpoint("orders.${tier}.test", 5432))
        staging = leading_to(profile("staging", "a=2"), HostEndpoint("orders.staging.test", 5432))

        with pytest.raises(InvalidConfiguration):
            led(ours, facts(tier="staging"), catalogue(ours, staging))

    @pytest.mark.parametrize(
        ("theirs", "condition", "ours", "port"),
        [
            ("orders.production.test", "a=1", "orders.${tier}.test", 5432),
            ("orders.staging.test", "a=1", "orders.${tier}.test", 5433),
            ("orders.${tier}.test", "tier=production", "orders.${tier}.test", 5432),
            ("orders.${tier}.test", "tier NotIn staging", "orders.${tier}.test", 5432),
        ],
    )
    def test_names_that_stay_apart_are_no_concern(
        self, theirs: str, condition: str, ours: str, port: int
    ) -> None:
        """Also where both are written alike: production's fact has production's value."""
        staging = leading_to(profile("staging", "tier=staging"), HostEndpoint(ours, 5432))
        other = leading_to(production("production", condition), HostEndpoint(theirs, port))

        result = led(staging, facts(tier="staging"), catalogue(other, staging))

        assert result.databases[0].endpoints == (HostEndpoint("orders.staging.test", 5432),)

    def test_two_of_one_side_may_share(self) -> None:
        ours = leading_to(profile("staging", "a=2"), HostEndpoint("orders.${tier}.test", 5432))
        other = leading_to(profile("test", "a=1", kind=Kind.TEST), HostEndpoint("orders.x.test", 5432))

        assert led(ours, facts(tier="x"), catalogue(other, ours)).name == "staging"

    @pytest.mark.parametrize(
        "value", ["production.test/x", "production@x", "a b", "production:5432", "..", "ö"]
    )
    def test_a_value_that_is_no_part_of_a_name(self, value: str) -> None:
        staging = leading_to(profile("staging", "a=2"), HostEndpoint("${tier}.test", 5432))

        with pytest.raises(InvalidConfiguration):
            led(staging, facts(tier=value), catalogue(staging))

    def test_a_literal_name_that_facts_here_make_for_production(self) -> None:
        live = leading_to(production("production", "a=1"), HostEndpoint("db.${tier}.test", 5432))
        staging = leading_to(profile("staging", "a=2"), HostEndpoint("DB.eu.test", 5432))

        with pytest.raises(InvalidConfiguration) as refused:
            led(staging, facts(tier="eu"), catalogue(live, staging))
        assert "which production leads to" in str(refused.value)
        assert led(staging, facts(tier="us"), catalogue(live, staging)) == staging

    def test_a_literal_name_of_production_is_never_refused(self) -> None:
        live = leading_to(production("production", "a=1"), HostEndpoint("db.eu.test", 5432))
        staging = leading_to(profile("staging", "a=2"), HostEndpoint("db.${tier}.test", 5432))

        assert led(live, facts(tier="eu"), catalogue(live, staging)) == live

    def test_check_sees_that_an_address_is_the_same_however_it_is_written(self) -> None:
        for one, other in (
            ("10.0.0.7", "::ffff:10.0.0.7"),
            ("DB.test", "db.test"),
            ("fd00::7", "FD00:0::7%a"),
        ):
            every = catalogue(
                leading_to(production("production", "a=1"), HostEndpoint(one, 5432)),
                leading_to(profile("staging", "a=2"), HostEndpoint(other, 5432)),
            )
            statuses = [each.status for each in prove(every) if each.proof == "endpoints-apart"]
            assert statuses == [Status.FAILS]

    async def test_the_whole_way(self, tmp_path: Path) -> None:
        """`run`, `wait` and `resolve` all locate; none of them gets such a profile."""
        staging = REAL_STAGING.replace("shop-staging", "shop").replace(
            "orders.staging.test", "orders.${k8s.pod.label.team}.test"
        )
        theirs = REAL_PRODUCTION.replace("orders.production.test", "orders.payments.test")
        directory = _write(tmp_path / "environments", theirs, staging)

        with pytest.raises(InvalidConfiguration, match="which production leads to"):
            await locate(Request(directory=directory, root=POD.build(tmp_path / "root"), environ=POD.environ))


def test_one_unknown_fact_that_could_make_it_production_is_enough_to_choose_nothing() -> None:
    """For every fact of every kind of rule, one at a time."""
    every = catalogue(
        production("production", f"{NAMESPACE}=shop", f"{CA} In p1,p2", forbid=("platform=compose",)),
        profile("staging", f"{NAMESPACE}=shop", f"{CA} NotIn p1,p2"),
    )
    certain = {NAMESPACE: "shop", CA: "p1", "platform": "kubernetes"}

    assert chosen(every, facts(**certain)) == "production"
    for name in certain:
        others = {key: value for key, value in certain.items() if key != name}
        assert chosen(every, facts(unknown(name), **others)) is None
