"""Facts as a document, and back: what `reflect --json` prints and `explain --facts` replays. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dbambassador.errors import InvalidConfiguration, Problem
from dbambassador.reflection.findings import MAX_VALUES, fault, name_fault
from dbambassador.values import Confidence, Fact, Facts, State

_STATES = {state.value: state for state in State}
_CONFIDENCES = {confidence.name.lower(): confidence for confidence in Confidence}
_FIELDS = ("name", "state", "value", "values", "confidence", "source", "reason", "retryable")


def dump(facts: Facts) -> dict[str, Any]:
    """The document; its schema is commands/schemas/reflect.schema.json."""
    families = [facts.families[name] for name in sorted(facts.families)]
    return {"facts": [_record(fact) for fact in facts], "families": [_record(family) for family in families]}


def load(document: object, file: str) -> Facts:
    """The facts of a document that `dump` made. Other keys beside the two sections are left alone.

    Raises:
        InvalidConfiguration: with every problem of the document; `file` names it in them.
    """
    problems: list[Problem] = []
    if not isinstance(document, dict):
        problem = Problem(file, "", _kind(document), "a document of `dbambassador reflect --json`")
        raise InvalidConfiguration((problem,))
    facts = _section(document, "facts", file, problems)
    families = _section(document, "families", file, problems)
    for index, family in enumerate(families):
        if family.present:
            problems.append(Problem(file, f"families[{index}].state", "present", "absent or unknown"))
    if problems:
        raise InvalidConfiguration(tuple(problems))
    return Facts.of(facts, families)


def _record(fact: Fact) -> dict[str, Any]:
    return {
        "name": fact.name,
        "state": fact.state.value,
        "value": fact.value if fact.present else None,
        "values": list(fact.values),
        "confidence": fact.confidence.name.lower(),
        "source": fact.source,
        "reason": fact.reason,
        "retryable": fact.retryable,
    }


def _section(document: Mapping[Any, Any], name: str, file: str, problems: list[Problem]) -> list[Fact]:
    records = document.get(name)
    if not isinstance(records, list):
        problems.append(Problem(file, name, _kind(records), "a list of facts"))
        return []
    facts: dict[str, Fact] = {}
    for index, record in enumerate(records):
        path = f"{name}[{index}]"
        if not isinstance(record, dict):
            problems.append(Problem(file, path, _kind(record), "a fact"))
            continue
        reader = _Record(record, file, path, problems)
        fact = reader.fact()
        if fact.name in facts:
            reader.wrong("name", f"{fact.name} a second time", "each name once")
        facts[fact.name] = fact
    return list(facts.values())


class _Record:
    """Reads one fact, and notes every problem on the way; what it gives counts only if there was none."""

    def __init__(self, fields: Mapping[Any, Any], file: str, path: str, problems: list[Problem]) -> None:
        self._fields = fields
        self._file = file
        self._path = path
        self._problems = problems

    def fact(self) -> Fact:
        for key in sorted(map(str, self._fields.keys() - set(_FIELDS))):
            self.wrong("", f"the key {key!a:.80}", f"one of {', '.join(_FIELDS)}")
        name = self._text("name")
        if problem := name_fault(name):
            self.wrong("name", problem, "a name")
        state = _STATES[self._one_of("state", _STATES)]
        several = self._several() if state is State.PRESENT else ()
        value = ", ".join(several) or (self._value() if state is State.PRESENT else "")
        retryable = self._fields.get("retryable", False)
        if not isinstance(retryable, bool):
            self.wrong("retryable", _kind(retryable), "true or false")
        return Fact(
            name,
            state,
            value,
            _CONFIDENCES[self._one_of("confidence", _CONFIDENCES)],
            self._text("source"),
            self._text("reason"),
            bool(retryable),
            several,
        )

    def wrong(self, key: str, found: str, expected: str) -> None:
        path = f"{self._path}.{key}" if key else self._path
        self._problems.append(Problem(self._file, path, found, expected))

    def _value(self) -> str:
        value = self._fields.get("value")
        if not isinstance(value, str) or not value:
            self.wrong("value", _kind(value), "a value")
            return ""
        if problem := fault(value):
            self.wrong("value", problem, "a value")
        return value

    def _several(self) -> tuple[str, ...]:
        """Left out by documents of the time when every fact had one value."""
        values = self._fields.get("values", [])
        if not isinstance(values, list) or not all(isinstance(value, str) and value for value in values):
            self.wrong("values", _kind(values), "a list of values")
            return ()
        if len(values) < 2:
            return ()
        if len(values) > MAX_VALUES:
            self.wrong("values", f"{len(values)} values", f"at most {MAX_VALUES}")
        for value in values:
            if problem := fault(value):
                self.wrong("values", problem, "a value")
        return tuple(sorted(set(values))) if len(set(values)) > 1 else ()

    def _text(self, key: str) -> str:
        text = self._fields.get(key)
        if text is None:
            return ""
        if not isinstance(text, str) or not text.isprintable():
            self.wrong(key, _kind(text), "printable text")
            return ""
        return text

    def _one_of(self, key: str, choices: Mapping[str, object]) -> str:
        choice = self._fields.get(key)
        if isinstance(choice, str) and choice in choices:
            return choice
        self.wrong(key, _kind(choice), f"one of {', '.join(choices)}")
        return next(iter(choices))


def _kind(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str():
            return f"'{value:.40}'" if value.isprintable() else "text that cannot be printed"
    return f"{value!r:.40}"
