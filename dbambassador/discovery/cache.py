"""How long an answer may be used: TTLs clamped, negative answers remembered, stale ones bounded. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from dbambassador.discovery.answers import Answer, Outcome, Question

MIN_TTL = 1.0
"""Seconds. Consul answers with TTL 0: without a floor every new session would ask again."""
MAX_TTL = 30.0
"""Seconds. A database that moved must not stay hidden behind a TTL of a day; one question in half a minute
costs nobody anything."""
MAX_NEGATIVE_TTL = 10.0
"""Seconds. A name that does not exist yet may appear any moment (a service being deployed)."""
MAX_STALE = 300.0
"""Seconds after its expiry that an answer may stand in while DNS fails. RFC 8767 proposes days, for the web:
an old address of a database may be a former primary that still accepts writes, so minutes, to bridge the
restart of a nameserver."""
MAX_ENTRIES = 1024
"""Configured names are few; this bounds what ever-changing SRV targets leave behind."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A definite answer and the time it may be used. Times are seconds on one monotonic clock."""

    answer: Answer
    asked_at: float
    expires_at: float


def lifetime(answer: Answer) -> float:
    """Seconds that a definite answer may be used."""
    longest = MAX_TTL if answer.outcome is Outcome.OK else MAX_NEGATIVE_TTL
    return min(max(answer.ttl, MIN_TTL), longest)


class Cache:
    """The last definite answer to each question.

    A negative answer takes the place of a positive one, so nothing stale outlives it: NXDOMAIN is an answer,
    not a failure of DNS. Failures are not remembered.
    """

    def __init__(self) -> None:
        self._entries: dict[Question, Entry] = {}

    def over(self, older: Cache) -> Cache:
        """A new one with the answers of both; to a question that both know, this one's."""
        joined = Cache()
        joined._entries = {**older._entries, **self._entries}
        return joined

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, answer: Answer, asked_at: float, now: float) -> Entry:
        """Remembers a definite answer that arrived now, and gives it back with its times."""
        entry = Entry(answer, asked_at, now + lifetime(answer))
        self._entries.pop(answer.question, None)
        self._entries[answer.question] = entry
        if len(self._entries) > MAX_ENTRIES:
            # Insertion order is the order of the last answer: the first is the one longest without news.
            del self._entries[next(iter(self._entries))]
        return entry

    def fresh(self, question: Question, now: float) -> Entry | None:
        """The answer, while its time lasts."""
        entry = self._entries.get(question)
        return entry if entry and now < entry.expires_at else None

    def last_good(self, question: Question, now: float) -> Entry | None:
        """The last answer with records, even past its time, as long as it may stand in for a missing one."""
        entry = self._entries.get(question)
        if entry and entry.answer.outcome is Outcome.OK and now < entry.expires_at + MAX_STALE:
            return entry
        return None
