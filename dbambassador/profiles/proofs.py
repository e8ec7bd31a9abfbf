"""What can be proven of a catalogue offline, each failure with a smallest example in facts.

Every fact that a condition mentions ranges over the values mentioned for it, another value and absent; so
each proof speaks about all surroundings there can be, as far as facts go. That every fact is taken as known
for certain here is no loss: hints and unknown facts only make the program choose less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import combinations, islice

from dbambassador.profiles.candidates import Candidate, candidate
from dbambassador.profiles.completions import Budget, Completion, Constraint, TooManyCombinations, find
from dbambassador.profiles.conditions import Domains, Token, Unmentioned, domains
from dbambassador.profiles.endpoints import overlap
from dbambassador.profiles.interpolation import needed
from dbambassador.profiles.wording import listed
from dbambassador.settings.schema import Catalogue, Operator, Profile
from dbambassador.values import Fact, Facts, State

STEPS = 1_000_000
"""Restrictions examined for one question before it counts as not proven: about a second of a CPU."""

MOST_FINDINGS = 50
"""For one proof: a person mends the first ones and asks again."""

IDENTITIES = (
    "dbambassador.k8s.ca.sha256",
    "k8s.cluster.uid",
    "k8s.cluster.name",
    "cloud.account.id",
    "host.id",
    "deployment.environment.name",
)
"""Facts that tell one cluster, account or machine from every other, or that a person states expressly."""


class Status(Enum):
    HOLDS = "holds"
    FAILS = "fails"
    NOT_PROVEN = "not-proven"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one proof for the environments it speaks of."""

    proof: str
    """no-tie, reachable, production-apart, endpoints-apart, facts-present, identity, expectation."""
    status: Status
    environments: tuple[str, ...]
    text: str
    example: Mapping[str, str] = field(default_factory=dict)
    """Facts in which it fails: values, `another value` or `absent`."""

    @property
    def failed(self) -> bool:
        return self.status is Status.FAILS


@dataclass(frozen=True, slots=True)
class _Question:
    """A catalogue in which nothing is known yet."""

    candidates: tuple[Candidate, ...]
    spans: Domains

    def example(
        self, constraints: Sequence[Constraint], extra: Mapping[str, frozenset[Token]]
    ) -> Completion | None:
        """Surroundings in which all of it holds; None if there are none. Raises `TooManyCombinations`."""
        return find({**self.spans, **extra}, constraints, Budget(STEPS))


def prove(catalogue: Catalogue) -> tuple[Finding, ...]:
    """Every proof for every environment; a proof that holds everywhere is one finding."""
    spans = domains(catalogue.profiles)
    facts = Facts.of(Fact(name, State.UNKNOWN) for name in spans)
    question = _Question(tuple(candidate(each, facts, spans) for each in catalogue.profiles), spans)
    proofs: tuple[tuple[str, str, Callable[[_Question], Iterable[Finding]]], ...] = (
        ("no-tie", "no two environments can tie", _ties),
        ("reachable", "every environment with a match can be chosen", _unreachable),
        ("production-apart", "production and the rest never match together", _mixed),
        ("endpoints-apart", "production and the rest share no endpoint (by name)", _shared),
        ("facts-present", "every ${fact} is present where its environment is chosen", _absent),
        ("identity", "every production match names a cluster, account or identity", _anonymous),
    )
    findings: list[Finding] = []
    for name, text, proof in proofs:
        found = list(islice(proof(question), MOST_FINDINGS + 1))
        if len(found) > MOST_FINDINGS:
            more = Finding(name, found[-1].status, (), f"and more; only {MOST_FINDINGS} are shown")
            found = [*found[:-1], more]
        findings += found or [Finding(name, Status.HOLDS, (), text)]
    return tuple(findings)


def _ties(question: _Question) -> Iterator[Finding]:
    for one, other in combinations(question.candidates, 2):
        if (
            one.profile.priority != other.profile.priority
            or one.profile.production != other.profile.production
        ):
            continue
        both = [one.stands, other.stands]
        if _apart(question, both):
            continue
        above = [
            each
            for each in question.candidates
            if each.profile.production != one.profile.production
            or each.profile.priority > one.profile.priority
        ]
        text = f"they tie at priority {one.profile.priority}"
        yield from _refute(question, "no-tie", (one, other), [*both, *(each.falls for each in above)], text)


def _unreachable(question: _Question) -> Iterator[Finding]:
    for one in question.candidates:
        if one.profile.match is None:
            continue
        name = (one.profile.name,)
        if one.match is None:
            yield Finding(
                "reachable", Status.FAILS, name, "can never match: its conditions contradict each other"
            )
            continue
        if not one.stands:
            yield Finding("reachable", Status.FAILS, name, "can never match: its forbid covers its match")
            continue
        try:
            if question.example(one.chosen(question.candidates), {}) is None:
                rivals = listed(
                    [each.profile.name for each in one.rivals(question.candidates) if each.match is not None]
                )
                text = f"can never be chosen: wherever it matches, another does too (of {rivals})"
                yield Finding("reachable", Status.FAILS, name, text)
        except TooManyCombinations:
            yield _open("reachable", name, "can be chosen")


def _mixed(question: _Question) -> Iterator[Finding]:
    for one, other in _across(question):
        both = [one.stands, other.stands]
        text = "a production environment and another both match, so neither would be chosen"
        yield from _refute(question, "production-apart", (one, other), both, text)


def _shared(question: _Question) -> Iterator[Finding]:
    for one, other in _across(question):
        names = (one.profile.name, other.profile.name)
        for endpoint, certain in overlap(one, other):
            if certain:
                text = f"both lead to {endpoint}"
                yield Finding("endpoints-apart", Status.FAILS, names, text)
            else:
                text = (
                    f"whether both can lead to {endpoint} depends on values of facts that no condition names"
                )
                yield Finding("endpoints-apart", Status.NOT_PROVEN, names, text)


def _absent(question: _Question) -> Iterator[Finding]:
    for one in question.candidates:
        for fact in sorted(needed(one.profile)):
            names = (one.profile.name,)
            if one.profile.match is None:
                text = f"its endpoint needs ${{{fact}}}, and being chosen by name does not make that present"
                yield Finding("facts-present", Status.WARNING, names, text)
                continue
            nowhere = {fact: frozenset[Token]({Unmentioned.ABSENT})}
            extra = {} if fact in question.spans else {fact: frozenset[Token](Unmentioned)}
            text = f"its endpoint needs ${{{fact}}}, which can be absent where it matches"
            constraints = [one.stands, (nowhere,)]
            yield from _refute(question, "facts-present", (one,), constraints, text, extra)


def _anonymous(question: _Question) -> Iterator[Finding]:
    for one in question.candidates:
        match = one.profile.match
        if not one.profile.production or match is None:
            continue
        if not any(each.operator is Operator.IN and each.key in IDENTITIES for each in match):
            text = f"its match names no cluster, account or identity, as {listed(list(IDENTITIES), 'or')}"
            yield Finding("identity", Status.WARNING, (one.profile.name,), text)


def _apart(question: _Question, both: Sequence[Constraint]) -> bool:
    """Whether two can be seen to exclude each other before the whole catalogue is looked at."""
    try:
        return question.example(both, {}) is None
    except TooManyCombinations:
        return False


def _across(question: _Question) -> Iterator[tuple[Candidate, Candidate]]:
    """Every production environment with every other one."""
    for one in question.candidates:
        if one.profile.production:
            yield from ((one, other) for other in question.candidates if not other.profile.production)


def _refute(
    question: _Question,
    proof: str,
    subjects: Sequence[Candidate],
    constraints: Sequence[Constraint],
    text: str,
    extra: Mapping[str, frozenset[Token]] | None = None,
) -> Iterator[Finding]:
    """A finding if there are surroundings in which the constraints hold."""
    names = tuple(each.profile.name for each in subjects)
    try:
        example = question.example(constraints, extra or {})
    except TooManyCombinations:
        yield _open(proof, names, text)
        return
    if example is not None:
        mentioned = _mentioned(each.profile for each in subjects) | set(extra or {})
        facts = {key: _text(token) for key, token in sorted(example.items()) if key in mentioned}
        others = {
            key: _text(token)
            for key, token in sorted(example.items())
            if key not in mentioned and token is not Unmentioned.ABSENT
        }
        yield Finding(proof, Status.FAILS, names, text, facts | others)


def _mentioned(profiles: Iterable[Profile]) -> set[str]:
    return {
        requirement.key for profile in profiles for requirement in (*(profile.match or ()), *profile.forbid)
    }


def _text(token: Token) -> str:
    return token.value if isinstance(token, Unmentioned) else token


def _open(proof: str, names: tuple[str, ...], text: str) -> Finding:
    return Finding(proof, Status.NOT_PROVEN, names, f"too many combinations of facts to tell: {text}")
