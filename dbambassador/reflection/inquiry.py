"""What may be asked over the network in one start, and in which order: a metadata service, then the API.

The metadata service comes first because it is cheap: the API is asked through a process of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import trio

from dbambassador.reflection import ask_api
from dbambassador.reflection.api_questions import Object, objects_for, question
from dbambassador.reflection.ask_metadata import MetadataServices
from dbambassador.reflection.findings import Findings
from dbambassador.reflection.merging import enriched
from dbambassador.reflection.metadata_services import suggested
from dbambassador.values import Confidence, Facts


class Inquiry:
    """Asks for facts that are missing. No object and no service is asked twice."""

    def __init__(
        self, root: str, environ: Mapping[str, str], metadata: MetadataServices | None = None
    ) -> None:
        """`metadata`: leave to ask metadata services; None for none."""
        self._root = root
        self._environ = environ
        self._metadata = metadata
        self._until = trio.current_time() + ask_api.DEADLINE
        self._asked: set[Object] = set()
        self._silent: set[str] = set()
        self.learned: tuple[Findings, ...] = ()
        """Everything that was told, in the order of asking."""

    @property
    def asked_api(self) -> bool:
        return bool(self._asked)

    async def learn(self, missing: Iterable[str], facts: Facts) -> Facts | None:
        """`facts` with what was learned about the missing ones; None where there is nobody left to ask."""
        missing = tuple(missing)
        findings = await self._ask_metadata(missing, facts)
        if findings is None:
            findings = await self._ask_api(missing, facts)
        if findings is None:
            return None
        self.learned += (findings,)
        self._silent |= {claim.name for claim in (*findings.facts, *findings.families) if claim.retryable}
        return enriched(facts, findings)

    def unanswered(self, missing: Iterable[str], facts: Facts) -> bool:
        """Something did not answer that could still tell one of the missing facts."""
        missing = tuple(missing)
        kinds = {kind for kind in objects_for(missing, facts) & self._asked if kind.mark in self._silent}
        return bool(kinds) or not self._silent.isdisjoint(missing)

    async def _ask_metadata(self, missing: tuple[str, ...], facts: Facts) -> Findings | None:
        if self._metadata is None:
            return None
        service = suggested(facts, self._environ)
        if service is None or not any(doubtful(facts, name) for name in missing if name in service.facts):
            return None
        metadata, self._metadata = self._metadata, None
        return await metadata.ask(service)

    async def _ask_api(self, missing: tuple[str, ...], facts: Facts) -> Findings | None:
        wanted = objects_for(missing, facts) - self._asked
        asking = question(wanted, facts, self._root, self._environ)
        if asking is None:
            return None
        self._asked |= wanted
        return await ask_api.ask(asking, deadline=max(self._until - trio.current_time(), 0.0))


def doubtful(facts: Facts, name: str) -> bool:
    """A fact that is unknown or a mere hint: somebody else may know better."""
    fact = facts.get(name)
    return fact.unknown or (fact.present and fact.confidence is Confidence.HINT)
