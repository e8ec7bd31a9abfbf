"""Selection against brute force, over random catalogues and facts."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbambassador.profiles.candidates import candidate
from dbambassador.profiles.catalogue import Catalogue
from dbambassador.profiles.conditions import domains
from dbambassador.profiles.selection import select
from dbambassador.settings.schema import Kind, Operator, Profile, Requirement
from dbambassador.values import Confidence, Fact, Facts, State
from tests.profiles.brute_force import answer, answer_by_name

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
        value = draw(st.sampled_from((*VALUES, "unheard of"))) if state is State.PRESENT else ""
        found.append(Fact(name, state, value, draw(st.sampled_from(Confidence))))
    return Facts.of(found)


LAW = settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))


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


@settings(LAW, max_examples=1000)
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
