"""Log lines: a fold over events. Quiet by default: a line per change of state, none per connection. Pure."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dbambassador.events import Event
from dbambassador.observability import phrases
from dbambassador.observability.phrases import Level, Phrase
from dbambassador.printable import printable

_SUBJECTS = dict.fromkeys(("certificates_reloaded", "certificates_unusable"), "certificates")
"""Events of one subject: the other one makes the same one news again."""

REPEAT_WINDOW = 30.0
"""Seconds in which the same message about the same thing is written once."""

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
class _Last:
    phrase: Phrase
    at: datetime
    suppressed: int = 0


class Log:
    """Writes a line for each event that has one.

    The same message about the same thing is written once in 30 s; how often it came meanwhile is told with
    the next line about it. Lines of single sessions are never suppressed: who asks for them wants each.
    """

    def __init__(
        self, write: Write, clock: Clock, *, level: Level = Level.INFO, structured: bool = False
    ) -> None:
        """`write` takes one line with its newline and must not fail; `clock` gives aware times."""
        self._write = write
        self._clock = clock
        self._level = level
        self._line = _structured if structured else _plain
        self._last: OrderedDict[tuple[str, ...], _Last] = OrderedDict()

    def __call__(self, event: Event) -> None:
        if type(event) in phrases.DETAILS and self._level > Level.DEBUG:
            return
        phrase = phrases.phrase(event)
        if phrase is None or phrase.level < self._level:
            return
        name = phrases.name(event)
        now = self._clock()
        if phrase.level is Level.DEBUG:
            self._put(now, name, phrase, 0)
            return
        subject = (_SUBJECTS.get(name, name), phrase.database, str(getattr(event, "address", "")))
        last = self._last.pop(subject, None)
        repeated = 0
        if last is not None:
            same = last.phrase.text == phrase.text
            if same and (now - last.at).total_seconds() < REPEAT_WINDOW:
                last.suppressed += 1
                self._last[subject] = last
                return
            if same:
                repeated = last.suppressed
            elif last.suppressed:
                self._put(now, name, last.phrase, last.suppressed)
        self._last[subject] = _Last(phrase, now)
        if len(self._last) > REMEMBERED:
            self._last.popitem(last=False)
        self._put(now, name, phrase, repeated)

    def _put(self, now: datetime, name: str, phrase: Phrase, repeated: int) -> None:
        self._write(self._line(now, name, phrase, repeated) + "\n")


def _plain(now: datetime, name: str, phrase: Phrase, repeated: int) -> str:
    level = f"{phrase.level.name.lower()}: " if phrase.level >= Level.WARNING else ""
    again = f" ({repeated} more like this)" if repeated else ""
    return f"{now:%H:%M:%S} {level}{printable(phrase.message)}{again}"


def _structured(now: datetime, name: str, phrase: Phrase, repeated: int) -> str:
    timestamp = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line: dict[str, Any] = {
        "timestamp": timestamp,
        "level": phrase.level.name.lower(),
        "message": printable(phrase.message),
        "event": name,
        **phrase.fields,
    }
    if repeated:
        line["repeated"] = repeated
    return json.dumps(line)
