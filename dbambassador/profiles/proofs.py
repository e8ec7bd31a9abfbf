"""What can be proven of a catalogue offline, each failure with a smallest example in facts.

Every fact that a condition mentions ranges over the values mentioned for it, another value and absent; so
each proof speaks about all surroundings there can be, as far as facts go. That every fact is taken as known
for certain here is no loss: hints and unknown facts only make the program choose less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import combinations

from dbambassador.profiles.candidates import Candidate, candidate
from dbambassador.profiles.completions import Budget, Completion, Constraint, TooManyCombinations, find
from dbambassador.profiles.conditions import Domains, Token, Unmentioned, domains
from dbambassador.profiles.endpoints import overlap
from dbambassador.profiles.interpolation import needed
from dbambassador.profiles.wording import listed
from dbambassador.settings.schema import Catalogue, Operator, Profile
from dbambassador.values import Fact, Facts, State

STEPS = 300_000
"""Restrictions examined for one question before it counts as not proven: about 0.3 s of a CPU."""

STEPS_OF_A_PROOF = 4_000_000
"""The same for all questions of one proof. A catalogue of 500 environments that are well told apart takes
1.6 million; one made to be hard, without this, minutes."""

MOST_FINDINGS = 50
"""For one proof: a person mends the first ones and asks again."""

CLUSTER_CA = "dbambassador.k8s.ca.sha256"
IDENTITIES = (
    CLUSTER_CA,
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
    """no-tie, reachable, production-apart, production-proven, endpoints-apart, facts-present, identity,
    fingerprints, roles-seen, expectation."""
    status: Status
    environments: tuple[str, ...]
    text: str
    example: Mapping[str, str] = field(default_factory=dict)
    """Facts in which it fails: values, `another value` or `absent`."""
    path: str = "match"
    """Which part of the environment's file it is about."""

    @property
    def failed(self) -> bool:
        return self.status is Status.FAILS


class _CatalogueTooLarge(Exception):
    """The budget of a whole proof is spent: its remaining questions stay open."""


@dataclass(frozen=True, slots=True)
class _Question:
    """A catalogue in which nothing is known yet."""

    candidates: tuple[Candidate, ...]
    spans: Domains
    whole: Budget

    def example(
        self, constraints: Sequence[Constraint], extra: Mapping[str, frozenset[Token]]
    ) -> Completion | None:
        """Surroundings in which all of it holds; None if there are none. Raises `TooManyCombinations`."""
        return find({**self.spans, **extra}, constraints, self.budget())

    def budget(self) -> Budget:
        """For one question."""
        if self.whole.spent:
            raise _CatalogueTooLarge
        return Budget(STEPS, self.whole)


def prove(catalogue: Catalogue) -> tuple[Finding, ...]:
    """Every proof for every environment; a proof that holds everywhere is one finding."""
    spans = domains(catalogue.profiles)
    facts = Facts.of(Fact(name, State.UNKNOWN) for name in spans)
    candidates = tuple(candidate(each, facts, spans) for each in catalogue.profiles)
    proofs: tuple[tuple[str, str, Callable[[_Question], Iterator[Finding]]], ...] = (
        ("no-tie", "no two environments can tie", _ties),
        ("reachable", "every environment with a match can be chosen", _unreachable),
        ("production-apart", "production and the rest never match together", _mixed),
        ("production-proven", "no production environment can be chosen on hints alone", _unproven),
        ("endpoints-apart", "production and the rest share no endpoint (by name)", _shared),
        ("facts-present", "every ${fact} is present where its environment is chosen", _absent),
        ("identity", "every production match names a cluster, account or identity", _anonymous),
    )
    findings: list[Finding] = []
    for name, text, proof in proofs:
        question = _Question(candidates, spans, Budget(STEPS_OF_A_PROOF))
        findings += _collected(name, text, proof(question)) or [Finding(name, Status.HOLDS, (), text)]
    return tuple(findings)


def _collected(name: str, text: str, findings: Iterator[Finding]) -> list[Finding]:
    """The first ones of each status: a failure must not hide behind many that are merely not proven."""
    kept: list[Finding] = []
    seen: Counter[Status] = Counter()
    try:
        for finding in findings:
            seen[finding.status] += 1
            if seen[finding.status] <= MOST_FINDINGS:
                kept.append(finding)
            if seen[Status.FAILS] > MOST_FINDINGS:
                break
    except _CatalogueTooLarge:
        open_ = "the catalogue is too large to prove the rest of this within bounds"
        kept.append(Finding(name, Status.NOT_PROVEN, (), f"{open_}: {text}"))
    hidden = [status for status in Status if seen[status] > MOST_FINDINGS]
    return [
        *kept,
        *(Finding(name, each, (), f"and more; only {MOST_FINDINGS} are shown") for each in hidden),
    ]


def _ties(question: _Question) -> Iterator[Finding]:
    # From the highest priority down: the fewer stand above, the quicker a tie is found.
    ranked = sorted(question.candidates, key=lambda each: -each.profile.priority)
    for one, other in combinations(ranked, 2):
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
                text = f"can never be chosen: wherever it matches, {_overlapping(question, one)} too"
                yield Finding("reachable", Status.FAILS, name, text)
        except TooManyCombinations:
            yield _open("reachable", name, "can be chosen")


def _overlapping(question: _Question, one: Candidate) -> str:
    """Those of its rivals that match where it does."""
    rivals = [each for each in one.rivals(question.candidates) if each.match is not None]
    try:
        rivals = [each for each in rivals if not _apart(question, [one.stands, each.stands])]
    except _CatalogueTooLarge:
        pass  # all of them, then: the finding itself is certain
    names = [each.profile.name for each in rivals]
    return f"{names[0]} does" if len(names) == 1 else f"another does (of {listed(names)})"


def _mixed(question: _Question) -> Iterator[Finding]:
    for one, other in _across(question):
        both = [one.stands, other.stands]
        text = "a production environment and another both match, so neither would be chosen"
        yield from _refute(question, "production-apart", (one, other), both, text)


def _unproven(question: _Question) -> Iterator[Finding]:
    """In a production match a hint counts as unknown, so that no condition on it holds for certain. What
    remains is a match that holds where nothing at all is present."""
    for one in question.candidates:
        if not one.profile.production or not one.profile.match:
            continue
        keys = dict.fromkeys(requirement.key for requirement in one.profile.match)
        nothing = [({key: frozenset[Token]({Unmentioned.ABSENT})},) for key in keys]
        text = "it needs no fact to be present, so it can be chosen where nothing proves where this is"
        constraints = [*nothing, *one.chosen(question.candidates)]
        yield from _refute(question, "production-proven", (one,), constraints, text)


def _shared(question: _Question) -> Iterator[Finding]:
    for one, other in _across(question):
        names = (one.profile.name, other.profile.name)
        try:
            for endpoint, certain in overlap(one, other, question.budget()):
                if certain:
                    text = f"both lead to {endpoint}"
                    yield Finding("endpoints-apart", Status.FAILS, names, text, path="endpoint")
                else:
                    depends = "depends on values of facts that no condition names"
                    text = f"whether both can lead to {endpoint} {depends}"
                    yield Finding("endpoints-apart", Status.NOT_PROVEN, names, text, path="endpoint")
        except TooManyCombinations:
            yield _open("endpoints-apart", names, "both lead to one endpoint")


def _absent(question: _Question) -> Iterator[Finding]:
    for one in question.candidates:
        for fact in sorted(needed(one.profile)):
            names = (one.profile.name,)
            if one.profile.match is None:
                text = f"its endpoint needs ${{{fact}}}, and being chosen by name does not make that present"
                yield Finding("facts-present", Status.WARNING, names, text, path="endpoint")
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
