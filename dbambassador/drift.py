"""Watches, at next to no cost, whether the facts that led to the choice still hold.

The choice is frozen for the life of the process: what this finds is told, and nothing is moved. Watched are
the volumes of the kubelet and, if they were part of the decision, the labels of the namespace. All else that
an environment can mention stays the same for as long as a process lives, or nearly so.
"""

from __future__ import annotations

import random
from dataclasses import replace

import trio

from dbambassador.events import DriftEnded, DriftNoticed, Publish, StageCrashed
from dbambassador.locate import Located, Request
from dbambassador.profiles.drift import Drift, between
from dbambassador.profiles.selection import Selection, select
from dbambassador.reflection import ask_api, volumes
from dbambassador.reflection.api_questions import NAMESPACE_LABELS, Object, question
from dbambassador.reflection.findings import Findings
from dbambassador.reflection.gather import gather
from dbambassador.reflection.merging import enriched
from dbambassador.values import Facts

VOLUME_INTERVAL = 20.0
"""Seconds between looks at two links. The kubelet itself takes about a minute to update a volume."""

NAMESPACE_INTERVAL = 300.0
"""Seconds, ± 20 %, between requests for the namespace. Each needs a process that costs about half a second of
CPU, and a namespace is given another label once in a year."""

NAMESPACE_DEADLINE = 60.0
"""Seconds. That process has the lowest priority, so that the sessions do not feel it, and may take long."""


class DriftWatch:
    """Compares today's facts with those of the start. Holds no resources."""

    def __init__(self, request: Request, located: Located, publish: Publish) -> None:
        """`located` has chosen an environment."""
        self._request = request
        self._located = located
        self._publish = publish
        self._learned = located.learned
        self.drift: Drift | None = None
        self.since = 0.0
        """When the present drift was noticed, on trio's clock."""

    def adopt(self, located: Located) -> None:
        """Compares with what other files made of the facts of the start, from now on."""
        self._located = located
        self._compare()

    async def run(self) -> None:
        """Watches for ever."""
        while True:
            try:
                await self._watch()
            except Exception as bug:  # to watch is not worth a session
                self._publish(StageCrashed("", "drift", repr(bug)))

    async def _watch(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_volumes)
            if self._namespace_decided():
                nursery.start_soon(self._watch_namespace)

    async def _watch_volumes(self) -> None:
        # Not as they are now: they may have changed since the facts were gathered.
        seen: tuple[str, ...] = volumes.NEVER_UPDATED
        while True:
            await trio.sleep(VOLUME_INTERVAL)
            versions = volumes.versions(self._request.root)
            if versions != seen:
                seen = versions
                self._compare()

    async def _watch_namespace(self) -> None:
        facts, request = self._located.facts, self._request
        asking = question([Object.NAMESPACE], facts, str(request.root), request.environ)
        while asking is not None:
            await trio.sleep(NAMESPACE_INTERVAL * random.uniform(0.8, 1.2))
            told = await ask_api.ask(replace(asking, unhurried=True), deadline=NAMESPACE_DEADLINE)
            (family,) = told.families
            if not family.unknown:
                self._learned = (*(_without_namespace(part) for part in self._learned), told)
                self._compare()
            elif not family.retryable:
                return  # the permission was withdrawn: to go on asking would only fill audit logs

    def _namespace_decided(self) -> bool:
        families = [family for part in self._learned for family in part.families]
        return any(family.name == NAMESPACE_LABELS and not family.unknown for family in families)

    def _compare(self) -> None:
        chosen, catalogue = self._located.selection.profile, self._located.catalogue
        served = self._located.profile
        if chosen is None or served is None:
            return
        names = {database.name for database in served.databases}
        chosen = replace(chosen, databases=tuple(each for each in chosen.databases if each.name in names))
        drift = between(self._located.facts, self._facts(), chosen, catalogue.profiles, self._choose)
        before, self.drift = self.drift, drift
        if drift == before:
            return
        if drift is None:
            self._publish(DriftEnded(chosen.name))
            return
        self.since = trio.current_time()
        self._publish(DriftNoticed(drift.facts, chosen.name, drift.would_choose, drift.why))

    def _facts(self) -> Facts:
        request = self._request
        facts = gather(request.root, request.environ, request.explicit)
        for part in self._learned:
            facts = enriched(facts, part)
        return facts

    def _choose(self, facts: Facts) -> Selection:
        request = self._request
        return select(
            self._located.catalogue,
            facts,
            requested=request.environment,
            override_match=request.override_match,
        )


def _without_namespace(part: Findings) -> Findings:
    return Findings(
        tuple(fact for fact in part.facts if not fact.name.startswith(NAMESPACE_LABELS)),
        tuple(family for family in part.families if family.name != NAMESPACE_LABELS),
    )
