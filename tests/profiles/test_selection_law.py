"""Selection against brute force, over random catalogues and facts.

Tens of thousands of cases by seed, and some thousands by hypothesis, which finds the smallest one that fails.
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbambassador.profiles import selection as selection_room
from dbambassador.profiles.candidates import candidate
from dbambassador.profiles.catalogue import Catalogue
from dbambassador.profiles.conditions import domains
from dbambassador.profiles.selection import Verdict, select
from dbambassador.settings.schema import Kind, Operator, Profile, Requirement
from dbambassador.values import Confidence, Fact, Facts, State
from tests.profiles import brute_force
from tests.profiles.brute_force import answer, answer_by_name
from tests.profiles.cases import cases, several

NAMES = ("k8s.namespace.name", "cloud.region", "host.name", "dbambassador.platform")
VALUES = ("a", "b", "c")

values = st.lists(st.sampled_from(VALUES), min_size=1, max_size=2, unique=True).map(tuple)
requirements = st.one_of(
    st.builds(Requirement, st.sampled_from(NAMES), st.sampled_from((Operator.IN, Operator.NOT_IN)), values),
    st.builds(
        Requirement, st.sampled_from(NAMES), st.sampled_from((Operator.EXISTS, Operator.DOES_NOT_EXIST))
    ),
)


@st.composite
def profiles(draw: st.DrawFn) -> tuple[Profile, ...]:
    count = draw(st.integers(1, 5))
    return tuple(
        Profile(
            name=f"environment-{number}",
            file=f"environment-{number}.yaml",
            kind=draw(st.sampled_from((*Kind, Kind.PRODUCTION))),
            priority=draw(st.integers(0, 2)),
            match=draw(st.none() | st.lists(requirements, min_size=1, max_size=3).map(tuple)),
            forbid=draw(st.just(()) | st.lists(requirements, max_size=2).map(tuple)),
        )
        for number in range(count)
    )


@st.composite
def known(draw: st.DrawFn) -> Facts:
    found = []
    for name in NAMES:
        state = draw(
            st.sampled_from((State.PRESENT, State.PRESENT, State.ABSENT, State.UNKNOWN, State.UNKNOWN))
        )
        confidence = draw(st.sampled_from(Confidence))
        if state is State.PRESENT:
            value = st.sampled_from((*VALUES, "unheard of"))
            found.append(several(name, draw(st.lists(value, min_size=1, max_size=3)), confidence))
        else:
            found.append(Fact(name, state, "", confidence))
    return Facts.of(found)


SEEDS, CASES = 40, 1000
"""Every run has the same 40,000 cases; in small parts, so that several processes share them."""

ENOUGH = 10
"""Cases of each verdict in each part; below, the generator would have dried up."""

LAW = settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_law(seed: int) -> None:
    verdicts: Counter[str] = Counter()
    for number, case in enumerate(cases(seed, CASES)):
        expected = answer(case.profiles, case.facts)

        selection = select(Catalogue("directory", case.profiles), case.facts)

        chosen = selection.profile.name if selection.profile else None
        found = (selection.verdict.value, chosen, frozenset(selection.undecided))
        assert found == (expected.verdict, expected.chosen, expected.undecided), f"case {number}: {case}"
        verdicts[expected.verdict] += 1
    assert min(verdicts[name] for name in ("chosen", "no-match", "tie", "conflict", "undecided")) >= ENOUGH


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_law_by_name(seed: int) -> None:
    verdicts: Counter[str] = Counter()
    for number, case in enumerate(cases(seed, CASES // 2)):
        expected = answer_by_name(case.profiles, case.facts, case.requested, case.override)

        selection = select(
            Catalogue("directory", case.profiles),
            case.facts,
            requested=case.requested,
            override_match=case.override,
        )

        assert selection.verdict.value == expected, f"case {number}: {case}"
        assert (selection.profile.name if selection.profile else None) == (
            case.requested if expected == "chosen" else None
        )
        verdicts[expected] += 1
    assert min(verdicts[name] for name in ("chosen", "mismatch", "forbidden")) >= ENOUGH


@pytest.mark.parametrize("steps", [0, 1, 10, 30])
def test_out_of_budget_it_is_undecided_rather_than_wrong(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection_room, "STEPS", steps)
    given_up = 0
    for case in cases(seed=steps, count=CASES):
        expected = answer(case.profiles, case.facts)

        selection = select(Catalogue("directory", case.profiles), case.facts)

        if selection.verdict.value == expected.verdict:
            assert set(selection.undecided) >= expected.undecided
        else:
            assert selection.verdict in (Verdict.UNDECIDED, Verdict.CONFLICT)
            assert selection.profile is None
            given_up += 1
        if expected.chosen is not None:
            assert selection.profile is not None
    assert given_up or steps


def test_brute_force_shares_nothing_with_selection_but_the_types() -> None:
    tree = ast.parse(Path(brute_force.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    plain = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}

    ours = {name for name in imported | plain if name and name.startswith(("dbambassador", "tests"))}
    assert ours == {"dbambassador.settings.schema", "dbambassador.values"}


@LAW
@given(profiles(), known())
def test_chooses_exactly_where_every_completion_chooses_the_same(
    every: tuple[Profile, ...], facts: Facts
) -> None:
    expected = answer(every, facts)

    selection = select(Catalogue("directory", every), facts)

    assert selection.verdict.value == expected.verdict
    assert (selection.profile.name if selection.profile else None) == expected.chosen
    assert set(selection.undecided) == expected.undecided


@settings(LAW, max_examples=500)
@given(profiles(), known(), st.integers(0, 5), st.booleans())
def test_by_name_is_blocked_by_forbid_and_by_proof_alone(
    every: tuple[Profile, ...], facts: Facts, number: int, override: bool
) -> None:
    name = f"environment-{number}"

    selection = select(Catalogue("directory", every), facts, requested=name, override_match=override)

    assert selection.verdict.value == answer_by_name(every, facts, name, override)
    assert (selection.profile is not None) == (selection.verdict.value == "chosen")


@settings(LAW, max_examples=500)
@given(profiles(), known())
def test_every_reason_fits_its_environment(every: tuple[Profile, ...], facts: Facts) -> None:
    selection = select(Catalogue("directory", every), facts)
    spans = domains(every)

    for profile, reason in zip(every, selection.reasons, strict=True):
        one = candidate(profile, facts, spans)
        assert reason.environment == profile.name
        assert (reason.status == "chosen") == (profile is selection.profile)
        assert (reason.status == "ruled-out") == (profile.match is not None and one.match is None)
        if reason.status in ("matches", "may-match", "may-be-forbidden") and profile.match is not None:
            assert one.stands
        if reason.status in ("ruled-out", "may-match", "forbidden", "may-be-forbidden"):
            own = {str(each): each.key for each in (*(profile.match or ()), *profile.forbid)}
            assert reason.fact == own[reason.requirement]
            assert reason.found
