"""Each proof: a catalogue where it holds, one where it fails, and an example that really fails."""

from __future__ import annotations

import dataclasses

from hypothesis import HealthCheck, given, settings

from dbambassador.profiles import expectations
from dbambassador.profiles.catalogue import Catalogue
from dbambassador.profiles.proofs import Finding, Status, prove
from dbambassador.profiles.selection import Verdict, select
from dbambassador.settings.schema import (
    Database,
    Expectation,
    HostEndpoint,
    Profile,
    Protocol,
    SrvEndpoint,
)
from dbambassador.values import Fact, Facts, State
from tests.profiles.making import catalogue, facts, production, profile
from tests.profiles.test_selection_law import profiles


def found(proof: str, every: Catalogue) -> list[Finding]:
    return [finding for finding in prove(every) if finding.proof == proof]


def only(proof: str, every: Catalogue) -> Finding:
    (finding,) = found(proof, every)
    return finding


def leading_to(base: Profile, *hosts: str, port: int = 5432) -> Profile:
    endpoints = tuple(
        SrvEndpoint(host.removeprefix("srv:")) if host.startswith("srv:") else HostEndpoint(host, port)
        for host in hosts
    )
    database = Database(name="orders", protocol=Protocol.POSTGRESQL, listen=(), endpoints=endpoints)
    return dataclasses.replace(base, databases=(database,))


def stated(example: dict[str, str]) -> Facts:
    """The facts of an example, to be selected with."""
    return Facts.of(
        Fact(name, State.ABSENT) if value == "absent" else Fact(name, State.PRESENT, value)
        for name, value in example.items()
    )


def test_a_tie_is_found_with_facts_in_which_it_happens() -> None:
    every = catalogue(profile("one", "a=1"), profile("two", "b=1"), profile("three", "a=2", "b=2"))

    finding = only("no-tie", every)

    assert finding.status is Status.FAILS
    assert finding.environments == ("one", "two")
    assert dict(finding.example) == {"a": "1", "b": "1"}
    assert select(every, stated(dict(finding.example))).verdict is Verdict.TIE


def test_priority_or_a_third_one_above_settles_a_tie() -> None:
    assert (
        only("no-tie", catalogue(profile("one", "a=1", priority=1), profile("two", "b=1"))).status
        is Status.HOLDS
    )
    covered = catalogue(
        profile("one", "a=1"), profile("two", "a=1", "b=1"), profile("top", "a=1", priority=1)
    )
    assert only("no-tie", covered).status is Status.HOLDS


def test_unreachable_ones_are_found() -> None:
    every = catalogue(
        profile("contradictory", "a=1", "a=2"),
        profile("forbidden", "b=1", forbid=("b Exists",)),
        profile("shadowed", "c=1", "d=1"),
        profile("shadow", "c=1", priority=1),
        profile("manual"),
    )

    findings = found("reachable", every)

    assert {finding.environments[0]: finding.status for finding in findings} == {
        "contradictory": Status.FAILS,
        "forbidden": Status.FAILS,
        "shadowed": Status.FAILS,
    }
    (shadowed,) = (finding for finding in findings if finding.environments == ("shadowed",))
    assert shadowed.text == "can never be chosen: wherever it matches, shadow does too"


def test_production_that_can_match_together_with_another_is_found() -> None:
    every = catalogue(production("production", "a=1"), profile("staging", "b=1"))

    finding = only("production-apart", every)

    assert (finding.status, dict(finding.example)) == (Status.FAILS, {"a": "1", "b": "1"})
    assert select(every, stated(dict(finding.example))).verdict is Verdict.CONFLICT
    apart = catalogue(production("production", "a=1"), profile("staging", "b=1", forbid=("a=1",)))
    assert only("production-apart", apart).status is Status.HOLDS


class TestEndpoints:
    def compare(self, ours: Profile, theirs: Profile) -> Status:
        return only("endpoints-apart", catalogue(ours, theirs)).status

    def test_equal_names_are_found_whatever_their_case(self) -> None:
        ours, theirs = production("production", "a=1"), profile("staging", "a=2")

        assert (
            self.compare(leading_to(ours, "DB.test"), leading_to(theirs, "x.test", "db.test")) is Status.FAILS
        )
        assert (
            self.compare(leading_to(ours, "db.test"), leading_to(theirs, "db.test", port=1)) is Status.HOLDS
        )
        assert self.compare(leading_to(ours, "db.test"), leading_to(theirs, "srv:db.test")) is Status.HOLDS

    def test_two_of_the_same_side_may_share(self) -> None:
        ours, theirs = profile("test", "a=1"), profile("staging", "a=2")

        assert self.compare(leading_to(ours, "db.test"), leading_to(theirs, "db.test")) is Status.HOLDS

    def test_facts_are_spelled_out_as_far_as_the_match_names_their_values(self) -> None:
        ours = leading_to(production("production", "region In a,b"), "db-${region}.test")

        assert self.compare(ours, leading_to(profile("staging", "region=c"), "db-b.test")) is Status.FAILS
        assert (
            self.compare(ours, leading_to(profile("staging", "region=c"), "db-${region}.test"))
            is Status.HOLDS
        )

    def test_what_depends_on_values_that_nobody_names_is_not_proven(self) -> None:
        ours = leading_to(production("production", "a=1"), "db-${region}.test")

        assert self.compare(ours, leading_to(profile("staging", "a=2"), "db-b.test")) is Status.NOT_PROVEN
        assert self.compare(ours, leading_to(profile("staging", "a=2"), "db-b.example")) is Status.HOLDS
        assert self.compare(ours, leading_to(profile("staging", "a=2"), "db-${region}.test")) is Status.FAILS


def test_an_interpolated_fact_that_can_be_absent_is_found() -> None:
    never_absent = leading_to(profile("one", "a=1", "region Exists"), "${region}.test")
    forbidden = leading_to(profile("one", "a=1", forbid=("region DoesNotExist",)), "${region}.test")
    unmentioned = leading_to(profile("one", "a=1"), "${region}.test")
    other_value = leading_to(profile("one", "region NotIn x"), "${region}.test")

    for fine in (never_absent, forbidden):
        assert only("facts-present", catalogue(fine)).status is Status.HOLDS
    for failing in (unmentioned, other_value):
        finding = only("facts-present", catalogue(failing))
        assert finding.status is Status.FAILS
        assert finding.example["region"] == "absent"


def test_production_without_identity_is_warned_of() -> None:
    anonymous = catalogue(production("production", "k8s.namespace.name=shop"))
    vague = catalogue(production("production", "k8s.cluster.uid Exists"))
    identified = catalogue(production("production", "cloud.account.id=123"), production("manual"))

    assert only("identity", anonymous).status is Status.WARNING
    assert only("identity", vague).status is Status.WARNING
    assert only("identity", identified).status is Status.HOLDS


def test_expectations_are_run_against_the_whole_catalogue() -> None:
    rows = (
        Expectation({"a": "1"}, True),
        Expectation({"a": "2"}, True),
        Expectation({"a": "1", "b": "1"}, True),
    )
    every = catalogue(dataclasses.replace(profile("one", "a=1"), expect=rows), profile("two", "b=1"))

    findings = expectations.run(every)

    assert [(finding.status, dict(finding.example)) for finding in findings] == [
        (Status.FAILS, {"a": "2"}),
        (Status.FAILS, {"a": "1", "b": "1"}),
    ]
    assert "expect[1] wants this one, but none is chosen" in findings[0].text
    held = catalogue(dataclasses.replace(profile("one", "a=1"), expect=rows[:1]))
    assert [finding.status for finding in expectations.run(held)] == [Status.HOLDS]


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(profiles())
def test_every_example_shows_what_its_proof_denies(every: tuple[Profile, ...]) -> None:
    known = Catalogue("directory", every)

    for finding in prove(known):
        if finding.status is not Status.FAILS or not finding.example:
            continue
        verdict = select(known, stated(dict(finding.example))).verdict
        if finding.proof == "no-tie":
            assert verdict is Verdict.TIE
        elif finding.proof == "production-apart":
            assert verdict is Verdict.CONFLICT


def test_no_finding_hides_behind_many() -> None:
    every = catalogue(*(profile(f"environment-{number}", "a=1") for number in range(30)))

    ties = found("no-tie", every)

    assert ties[-1].status is Status.FAILS
    assert "and more" in ties[-1].text
    assert select(every, facts(a="1")).verdict is Verdict.TIE
