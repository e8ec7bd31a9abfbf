"""Metrics: counters and histograms folded from events, and all else read when it is asked for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import product
from typing import Any

from dbambassador import events
from dbambassador.events import Departure, Event, Refusal
from dbambassador.observability.metrics import families, gauges
from dbambassador.observability.metrics.counting import Counter, Histogram
from dbambassador.observability.metrics.exposition import Format, Sample, render
from dbambassador.observability.metrics.families import Family
from dbambassador.values import State

CONNECTED = "connected"
"""The outcome of a dial whose time is of interest: what fails takes as long as it may."""

CLOSED: Mapping[Family, Mapping[str, tuple[str, ...]]] = {
    families.REFUSALS: {"reason": tuple(refusal.name.lower() for refusal in Refusal)},
    families.PREAMBLE_ERRORS: {"reason": ("garbled", "timed_out")},
    families.CHECK_PROBLEMS: {"problem": ("denied", "blocked")},
    families.CANCELS: {"found": ("true", "false")},
    families.RELOADS: {"outcome": ("applied", "refused")},
}
"""Labels of which all values are known beforehand."""

Process = Callable[[], Mapping[Family, float]]


def _unknown() -> Mapping[Family, float]:
    return {}


class Metrics:
    """Counts events; renders the counts, a snapshot, and what the operating system knows."""

    def __init__(self, process: Process = _unknown) -> None:
        """`process`: values of `families.PROCESS`, as far as they can be had."""
        self._process = process
        self._counters = {family: Counter() for family in families.COUNTED}
        self._histograms = {family: Histogram(family) for family in families.TIMED}
        self._facts: dict[str, int] = {}
        self._began: dict[str, int] = {}

    def __call__(self, event: Event) -> None:
        if not (self._of_a_session(event) or self._of_a_client(event) or self._of_a_database(event)):
            self._of_the_process(event)

    def exposed(self, snapshot: Mapping[str, Any], form: Format) -> str:
        """All metrics as one scrape."""
        return render(self._families(snapshot), form)

    def _of_a_session(self, event: Event) -> bool:
        """Returns: whether it is counted."""
        match event:
            case events.SessionOpened(database):
                self._add(families.SESSIONS_OPENED, database)
            case events.SessionEnded(database, _, how):
                self._add(families.SESSIONS_ENDED, database, how)
            case events.SessionsEvicted(database, _, sessions):
                self._counters[families.SESSIONS_EVICTED].add((database,), sessions)
            case events.SessionCrashed(database):
                self._add(families.SESSIONS_CRASHED, database)
            case events.DialEnded(database, _, outcome, seconds):
                self._add(families.DIALS, database, outcome)
                if outcome == CONNECTED:
                    self._time(families.DIAL_SECONDS, seconds, database)
            case _:
                return False
        return True

    def _of_a_client(self, event: Event) -> bool:
        match event:
            case events.ClientRefused(database, refusal):
                self._add(families.REFUSALS, database, refusal.name.lower())
                if refusal is Refusal.GARBLED:
                    self._add(families.PREAMBLE_ERRORS, database, "garbled")
            case events.ClientLeft(database, _, Departure.LEFT):
                self._add(families.LEFT, database)
            case events.ClientLeft(database, _, Departure.GARBLED | Departure.TIMED_OUT as how):
                self._add(families.PREAMBLE_ERRORS, database, how.name.lower())
            case events.ClientCrowdedOut(database):
                self._add(families.CROWDED_OUT, database)
            case events.ClientHeld(database, outcome, seconds):
                self._time(families.HOLDS, seconds, database, outcome)
            case events.CancelForwarded(database, found):
                self._add(families.CANCELS, database, str(found).lower())
            case _:
                return False
        return True

    def _of_a_database(self, event: Event) -> bool:
        match event:
            case events.ProbeEnded(database, _, outcome, seconds):
                self._add(families.CHECKS, database, outcome)
                self._time(families.CHECK_SECONDS, seconds, database)
            case events.CheckDenied(database):
                self._add(families.CHECK_PROBLEMS, database, "denied")
            case events.CheckBlocked(database):
                self._add(families.CHECK_PROBLEMS, database, "blocked")
            case events.LookupEnded(_, kind, outcome, seconds):
                self._add(families.LOOKUPS, kind, outcome)
                self._time(families.LOOKUP_SECONDS, seconds, kind)
            case events.ChoiceChanged(database, choice) if choice.pool:
                began = min(choice.tenures[target.address] for target in choice.pool)
                if began > self._began.get(database, began):
                    self._add(families.FAILOVERS, database)
                self._began[database] = began
            case events.StageCrashed(database):
                self._add(families.STAGES_CRASHED, database)
            case _:
                return False
        return True

    def _of_the_process(self, event: Event) -> None:
        match event:
            case events.FactsGathered(facts):
                states = [fact.state for fact in (*facts, *facts.families.values())]
                self._facts = {state.value: states.count(state) for state in State}
            case events.DriftNoticed():
                self._add(families.DRIFTS)
            case events.CatalogueReloaded():
                self._add(families.RELOADS, "applied")
            case events.ReloadRefused():
                self._add(families.RELOADS, "refused")
            case events.RequestCrashed():
                self._add(families.REQUESTS_CRASHED)

    def _add(self, family: Family, *labels: str) -> None:
        self._counters[family].add(labels)

    def _time(self, family: Family, seconds: float, *labels: str) -> None:
        self._histograms[family].observe(labels, seconds)

    def _families(self, snapshot: Mapping[str, Any]) -> Iterator[tuple[Family, Iterable[Sample]]]:
        names = [str(database["name"]) for database in snapshot["databases"]]
        for family, counter in self._counters.items():
            yield family, counter.samples(_zeros(family, names))
        for family, histogram in self._histograms.items():
            yield family, histogram.samples(_zeros(family, names))
        yield from gauges.seen(snapshot)
        if self._facts:
            yield families.FACTS, [Sample((state,), count) for state, count in self._facts.items()]
        for family, value in self._process().items():
            yield family, [Sample((), value)]


def _zeros(family: Family, databases: list[str]) -> Iterator[tuple[str, ...]]:
    """The series that are known beforehand. They start at 0: a first increase is seen from there alone."""
    known = {"database": databases, **CLOSED.get(family, {})}
    if known.keys() >= set(family.labels):
        yield from product(*(known[label] for label in family.labels))
