"""Log lines: a fold over events. Quiet by default: a line per change of state, none per connection. Pure."""

from __future__ import annotations

import json
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dbambassador.events import Event
from dbambassador.observability import phrases
from dbambassador.observability.phrases import Level, Phrase
from dbambassador.printable import printable

_SUBJECTS = {
    name: " ".join(names)
    for names in (
        ("certificates_reloaded", "certificates_unusable"),
        ("catalogue_reloaded", "reload_refused"),
        ("check_denied", "check_restored"),
        ("descriptors_exhausted", "descriptors_recovered"),
        ("drift_noticed", "drift_ended"),
    )
    for name in names
}
"""Events of one subject: the other one makes the same one news again."""

REPEAT_WINDOW = 30.0
"""Seconds in which the same message about the same thing is written once."""

RESTLESS = 10
"""Changes of one thing within `RESTLESS_WINDOW` that are all written: a failover has two or three."""
RESTLESS_WINDOW = 60.0
"""Seconds."""

REMEMBERED = 256
"""Subjects whose last message is remembered: far more than databases times kinds of events."""

Clock = Callable[[], datetime]
Write = Callable[[str], None]


def threshold(*, quiet: bool, debug: bool) -> Level:
    """The level from which lines are written: `--quiet` leaves errors only, and wins."""
    if quiet:
        return Level.ERROR
    return Level.DEBUG if debug else Level.INFO


@dataclass(slots=True)
class _Subject:
    """What was written about one thing."""

    phrase: Phrase
    """The last that happened to it, written or not."""
    name: str
    at: datetime
    """Of the last line."""
    changes: deque[datetime]
    """Times of its latest changes, written or not."""
    repeated: int = 0
    """How often the last line was left out since."""
    left_out: int = 0
    """How many changes were, and were not the last."""

    def restless(self, now: datetime) -> bool:
        """It changed so often lately that it is time to be brief."""
        return len(self.changes) == RESTLESS and (now - self.changes[0]).total_seconds() < RESTLESS_WINDOW

    def due(self, now: datetime) -> bool:
        return (now - self.at).total_seconds() >= REPEAT_WINDOW


class Log:
    """Writes a line for each event that has one.

    The same message about the same thing is written once in 30 s; how often it came meanwhile is told with
    the next line about it. What changes all the time is told of every 30 s, as it is then. Who asks for the
    lines of single sessions wants each of them, and each change.
    """

    def __init__(
        self, write: Write, clock: Clock, *, level: Level = Level.INFO, structured: bool = False
    ) -> None:
        """`write` takes one line with its newline and must not fail; `clock` gives aware times."""
        self._write = write
        self._clock = clock
        self._level = level
        self._line = _structured if structured else _plain
        self._subjects: OrderedDict[tuple[str, ...], _Subject] = OrderedDict()
        self._owing: dict[tuple[str, ...], _Subject] = {}
        """Those whose last change is not written yet."""

    def __call__(self, event: Event) -> None:
        if self._owing:
            self._pay(self._clock())
        if type(event) in phrases.DETAILS and self._level > Level.DEBUG:
            return
        phrase = phrases.phrase(event)
        if phrase is None or phrase.level < self._level:
            return
        name = phrases.name(event)
        now = self._clock()
        if phrase.level is Level.DEBUG:
            self._write(self._line(now, name, phrase, {}) + "\n")
            return
        key = (_SUBJECTS.get(name, name), phrase.database, str(getattr(event, "address", "")))
        subject = self._subjects.pop(key, None)
        if subject is None:
            subject = _Subject(phrase, name, now, deque([now], RESTLESS))
            self._put(subject, now)
        else:
            self._follow(key, subject, name, phrase, now)
        self._subjects[key] = subject
        if len(self._subjects) > REMEMBERED:
            oldest, forgotten = self._subjects.popitem(last=False)
            if self._owing.pop(oldest, None) is not None:
                self._put(forgotten, now)

    def _follow(
        self, key: tuple[str, ...], subject: _Subject, name: str, phrase: Phrase, now: datetime
    ) -> None:
        """Writes what has become of something that was written about before, or leaves it out."""
        if subject.phrase.text == phrase.text and key not in self._owing:
            if subject.due(now):
                self._put(subject, now)
            else:
                subject.repeated += 1
            return
        if subject.repeated:
            self._put(subject, now)
        subject.name, subject.phrase = name, phrase
        restless = subject.restless(now)
        subject.changes.append(now)
        subject.left_out += self._owing.pop(key, None) is not None
        if self._level > Level.DEBUG and restless:
            self._owing[key] = subject
        else:
            self._put(subject, now)

    def _pay(self, now: datetime) -> None:
        """Writes how it stands now with what changes all the time."""
        for key, subject in list(self._owing.items()):
            if subject.due(now):
                del self._owing[key]
                self._put(subject, now)

    def _put(self, subject: _Subject, now: datetime) -> None:
        counts = {"repeated": subject.repeated, "left_out": subject.left_out}
        left_out = {word: count for word, count in counts.items() if count}
        self._write(self._line(now, subject.name, subject.phrase, left_out) + "\n")
        subject.at, subject.repeated, subject.left_out = now, 0, 0


def _plain(now: datetime, name: str, phrase: Phrase, left_out: dict[str, int]) -> str:
    level = f"{phrase.level.name.lower()}: " if phrase.level >= Level.WARNING else ""
    words = {"repeated": "more like this", "left_out": "changes left out"}
    counts = "".join(f" ({number} {words[key]})" for key, number in left_out.items())
    return f"{now:%H:%M:%S} {level}{printable(phrase.message)}{counts}"


def _structured(now: datetime, name: str, phrase: Phrase, left_out: dict[str, int]) -> str:
    timestamp = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line: dict[str, Any] = {
        "timestamp": timestamp,
        "level": phrase.level.name.lower(),
        "message": printable(phrase.message),
        "event": name,
        **phrase.fields,
        **left_out,
    }
    return json.dumps(line)
