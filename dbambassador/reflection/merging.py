"""Many claims about one name become one fact: explicit overrules strong overrules hint. Pure.

Within one confidence, sources that disagree make the fact unknown: which of them is right cannot be told, and
the wrong one may point at the wrong database.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from dbambassador.printable import shortened
from dbambassador.reflection.findings import Findings
from dbambassador.values import Confidence, Fact, Facts, State

DISAGREE = "sources disagree: "
"""Begins the reason of a fact that is unknown because of that."""

LONGEST_TOLD = 200
"""Characters of a value in the reason of a disagreement: three fingerprints and some words."""


def merged(findings: Findings) -> Facts:
    """One fact for each name and each family."""
    families = {name: _resolved(claims) for name, claims in _by_name(findings.families).items()}
    facts = []
    for name, claims in _by_name(findings.facts).items():
        covering = [prefix for prefix in families if name.startswith(prefix)]
        if covering and families[max(covering, key=len)].state is State.ABSENT:
            # A source that saw the whole family did not see this name: a hint does not stand against that.
            claims = [claim for claim in claims if claim.confidence is not Confidence.HINT]
        if claims:
            facts.append(_resolved(claims))
    return Facts.of(facts, families.values())


def enriched(facts: Facts, findings: Findings) -> Facts:
    """`facts` with what was learned later. What was unknown gives way; what was present competes.

    Sources that disagreed are not reconciled by one more of their rank, nor by a lower one.
    """
    spoken = {fact.name for fact in findings.facts}
    families = {family.name for family in findings.families}
    kept = Findings(
        tuple(fact for fact in facts if _disputed(fact) or not (fact.unknown and fact.name in spoken)),
        tuple(family for name, family in facts.families.items() if name not in families),
    )
    return merged(Findings.joined((kept, findings)))


def _by_name(claims: Iterable[Fact]) -> dict[str, list[Fact]]:
    grouped: dict[str, list[Fact]] = defaultdict(list)
    for claim in claims:
        grouped[claim.name].append(claim)
    return grouped


def _resolved(claims: list[Fact]) -> Fact:
    decisive = [claim for claim in claims if not claim.unknown]
    if not decisive:
        reasons = "; ".join(dict.fromkeys(claim.reason for claim in claims))
        return replace(claims[0], reason=reasons, retryable=any(claim.retryable for claim in claims))
    highest = max(claim.confidence for claim in decisive)
    for claim in claims:
        if _disputed(claim) and claim.confidence >= highest:
            return claim
    heard = [claim for claim in decisive if claim.confidence is highest]
    sources: dict[tuple[State, str], dict[str, None]] = defaultdict(dict)
    for claim in heard:
        sources[claim.state, claim.value][claim.source] = None
    first = heard[0]
    if len(sources) > 1:
        told = ", but ".join(
            f"{' and '.join(spoken_by)} {'say' if len(spoken_by) > 1 else 'says'} "
            f"{shortened(value, LONGEST_TOLD) if state is State.PRESENT else 'there is none'}"
            for (state, value), spoken_by in sources.items()
        )
        return Fact(first.name, State.UNKNOWN, "", highest, "", DISAGREE + told)
    spoken_by = sources[first.state, first.value]
    return Fact(first.name, first.state, first.value, highest, ", ".join(spoken_by), several=first.several)


def _disputed(fact: Fact) -> bool:
    return fact.unknown and fact.reason.startswith(DISAGREE)
