"""From a name as written to the records of the full name it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import trio

from dbambassador.discovery import wording
from dbambassador.discovery.answers import Answer, Outcome, Question
from dbambassador.discovery.cache import Entry
from dbambassador.discovery.candidates import candidates
from dbambassador.discovery.lookup import Lookup
from dbambassador.discovery.verdict import Heard, Verdict, settle
from dbambassador.values import Step

RESOLUTION_DELAY = 0.05
"""Seconds that the answer of one address family waits for the other (RFC 8305 section 3). The late one goes
on in the background and reaches the cache; until then its last good answer stands in. So a server that drops
AAAA questions costs 50 ms, and one that is merely slow makes no address come and go."""


@dataclass(frozen=True, slots=True)
class Found:
    """The usable answers for a name, or why there are none, and how it was found out."""

    answers: tuple[Answer, ...]
    steps: tuple[Step, ...]
    asked_at: float
    expires_at: float
    stale: bool = False
    failure: str = ""


class Search:
    """Finds the full name behind a name once, and keeps to it.

    The first candidate that has records wins for the life of this configuration: when it vanishes later, the
    name has vanished, and no other candidate takes its place, for that may be another database.
    """

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._winners: dict[tuple[str, tuple[str, ...]], str] = {}
        self._used: dict[tuple[str, tuple[str, ...]], str] = {}
        """What was used past a failing candidate: no winner, and the best there is while DNS is silent."""

    async def find(self, name: str, kinds: tuple[str, ...], *, after: float | None) -> Found:
        """The records of these types, asked for side by side. Never raises for DNS or the network.

        `after` goes past the cache, as in `Lookup.ask`.
        As in glibc, a candidate that does not exist, or that its server fails or refuses to tell about, gives
        way to the next; silence does not, for it says nothing of this name alone. A winner found past a
        failing candidate is used but not kept: only while DNS fails does its last answer stand in.
        """
        steps: list[Step] = []
        verdicts: list[Verdict] = []
        answers: list[Answer] = []
        for candidate in self._candidates(name, kinds):
            questions = [Question(candidate.lower(), kind) for kind in kinds]
            heard = await self._hear(questions, steps, after=after)
            verdict = settle(heard, trio.current_time())
            if verdict.failure and not verdict.usable:
                verdict = self._recall(questions, heard)
            for entry in verdict.stand_ins:
                steps += wording.stand_in(entry, trio.current_time())
            if verdict.usable:
                doubtful = any(earlier.failure for earlier in verdicts)
                (self._used if doubtful else self._winners)[name, kinds] = candidate
                why = wording.failed(name, verdict.failure) if verdict.failure else ""
                return Found(
                    verdict.usable, tuple(steps), verdict.asked_at, verdict.expires_at, verdict.stale, why
                )
            verdicts.append(verdict)
            answers += [each.entry.answer for each in heard if each.entry]
            if verdict.failure and verdict.failure.outcome not in (Outcome.SERVFAIL, Outcome.REFUSED):
                break
        failure = next((verdict.failure for verdict in verdicts if verdict.failure), None)
        used = self._used.get((name, kinds))
        if failure and used:
            questions = [Question(used.lower(), kind) for kind in kinds]
            recalled = self._stand_in(questions, failure, verdicts[-1].asked_at)
            if recalled.usable:
                for entry in recalled.stand_ins:
                    steps += wording.stand_in(entry, trio.current_time())
                why = wording.failed(name, failure)
                return Found(
                    recalled.usable, tuple(steps), recalled.asked_at, recalled.expires_at, recalled.stale, why
                )
        return Found(
            answers=(),
            steps=tuple(steps),
            asked_at=min(verdict.asked_at for verdict in verdicts),
            expires_at=min(verdict.expires_at for verdict in verdicts),
            failure=wording.failed(name, failure) if failure else wording.nothing_at(name, answers),
        )

    def _candidates(self, name: str, kinds: tuple[str, ...]) -> Sequence[str]:
        winner = self._winners.get((name, kinds))
        if winner:
            return (winner,)
        configuration = self._lookup.configuration
        return candidates(name, configuration.search, configuration.ndots)

    async def _hear(
        self, questions: Sequence[Question], steps: list[Step], *, after: float | None
    ) -> list[Heard]:
        """Puts the questions, waits until all are answered or the late ones cut off, and adds the steps."""
        answered: dict[Question, tuple[Entry, bool]] = {}
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for question in questions:
                nursery.start_soon(self._put, question, after, answered, nursery.cancel_scope)
        now = trio.current_time()
        heard = []
        for question in questions:
            entry, cached = answered.get(question, (None, False))
            heard.append(Heard(entry, self._lookup.cache.last_good(question, now)))
            if entry is None:
                steps.append(wording.late(question, now - began))
            else:
                steps += wording.steps(entry.answer, cached_for=entry.expires_at - now if cached else None)
        return heard

    def _stand_in(self, questions: Sequence[Question], failure: Answer, asked_at: float) -> Verdict:
        """The verdict on questions that could not even be put, with what the cache knows of them."""
        now = trio.current_time()
        failed = Entry(failure, asked_at, now)
        return settle([Heard(failed, self._lookup.cache.last_good(each, now)) for each in questions], now)

    def _recall(self, questions: Sequence[Question], heard: Sequence[Heard]) -> Verdict:
        """The verdict with what was heard under an earlier configuration, where this one's servers fail."""
        now, former = trio.current_time(), self._lookup.former
        pairs = zip(questions, heard, strict=True)
        return settle([Heard(each.entry, former.last_good(question, now)) for question, each in pairs], now)

    async def _put(
        self,
        question: Question,
        after: float | None,
        answered: dict[Question, tuple[Entry, bool]],
        together: trio.CancelScope,
    ) -> None:
        entry, _ = answered[question] = await self._lookup.ask(question, after=after)
        if entry.answer.outcome in (Outcome.OK, Outcome.NXDOMAIN):
            together.deadline = min(together.deadline, trio.current_time() + RESOLUTION_DELAY)
