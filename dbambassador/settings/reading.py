"""Reading typed values out of a tree while collecting every problem, instead of stopping at the first.

A `Key` describes one key of the file format once, for the decoder and for the JSON Schema alike.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from dbambassador.errors import Problem
from dbambassador.settings.tree import Entries, Node, Place, Scalar, Sequence, described, shortened

T = TypeVar("T")
D = TypeVar("D")
E = TypeVar("E", bound=Enum)

WHOLE_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
"""Decimal alone: YAML 1.1 also reads 0777 as octal and 5:30 as sexagesimal, which nobody means here."""


class Refused(Exception):
    """A value that cannot be used; `found` is left empty where the value itself says it."""

    def __init__(self, expected: str, *, hint: str = "", found: str = "") -> None:
        super().__init__(expected)
        self.expected = expected
        self.hint = hint
        self.found = found


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a mapping in the file format."""

    name: str
    description: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict)
    """Its JSON Schema, without the description."""
    required: str = ""
    """What is expected where it is missing (after merging the defaults); empty: it may be left out."""
    refusal: str = ""
    """Why this key cannot be honoured here. It is refused, never ignored."""
    secret: bool = False
    """No message may repeat its value."""


def section_schema(keys: tuple[Key, ...], *, required: bool = False) -> dict[str, Any]:
    """The JSON Schema of a mapping; `required`: nothing of it can come from the defaults."""
    schema: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            key.name: {"description": key.description, **key.schema} for key in keys if not key.refusal
        },
    }
    if required:
        schema["required"] = [key.name for key in keys if key.required]
    return schema


class Report:
    """The problems of one file and of the defaults merged under it."""

    def __init__(self, file: str, *, partial: bool = False) -> None:
        self.file = file
        self.partial = partial
        """The defaults on their own: a key that an environment must give may be missing."""
        self.problems: list[Problem] = []

    def add(self, place: Place, found: str, expected: str, hint: str = "") -> None:
        self.problems.append(Problem(place.file, place.path, found, expected, place.line, hint))

    def missing(self, parent: Place, key: str, expected: str) -> None:
        """A missing key is this file's to give, also where its parent was written in the defaults."""
        if not self.partial:
            line = parent.line if parent.file == self.file else None
            hint = "" if parent.file == self.file else f"{parent.path} comes from {parent.file}"
            self.add(Place(self.file, line, parent.path).key(key, line), "nothing", expected, hint)

    def attempt(self, node: Node, parse: Callable[[Node], T], otherwise: D) -> T | D:
        try:
            return parse(node)
        except Refused as refused:
            self.add(node.place, refused.found or described(node), refused.expected, refused.hint)
            return otherwise


class Section:
    """A mapping being read. What cannot be read is reported and replaced by `otherwise`.

    The replacement lets decoding go on to the next problem; a file with problems is never used.
    """

    def __init__(self, node: Node | None, keys: tuple[Key, ...], report: Report) -> None:
        self.report = report
        self.keys = {key.name: key for key in keys}
        self.place = node.place if node is not None else Place(report.file)
        self.entries: Mapping[str, Node] = {}
        self.readable = node is None or isinstance(node, Entries)
        if isinstance(node, Entries):
            self.entries = node.entries
        elif node is not None:
            report.add(node.place, described(node), f"a mapping with {listed(self._usable())}")
            return
        for name, value in self.entries.items():
            if name not in self.keys:
                report.add(value.place, f"the unknown key {shortened(name)}", *self._instead(name))
            elif self.keys[name].refusal:
                untold = self.keys[name].secret or isinstance(value, Entries)
                found = name if untold else f"{name}: {described(value)}"
                report.add(value.place, found, f"no {name}", self.keys[name].refusal)

    def _instead(self, name: str) -> tuple[str, str]:
        near = difflib.get_close_matches(name, self.keys, n=1)
        hint = f"did you mean {near[0]}?" if near else ""
        if "matchFacts" in self.keys and "." in name:
            hint = "facts go under matchFacts"
        return f"one of {listed(self._usable())}", hint

    def _usable(self) -> list[str]:
        return [key.name for key in self.keys.values() if not key.refusal]

    def node(self, name: str) -> Node | None:
        """The node under a key; None, after reporting, for a required one that is missing."""
        key = self.keys[name]
        node = self.entries.get(name)
        if node is None and key.required and self.readable:
            self.report.missing(self.place, name, key.required)
        return node

    def read(self, name: str, parse: Callable[[Node], T], otherwise: D) -> T | D:
        node = self.node(name)
        return otherwise if node is None else self.report.attempt(node, parse, otherwise)


def listed(names: list[str]) -> str:
    return ", ".join(names[:-1]) + (" or " if len(names) > 1 else "") + names[-1] if names else ""


def text(expected: str) -> Callable[[Node], str]:
    """A non-empty text on one line."""

    def parse(node: Node) -> str:
        if isinstance(node, Scalar) and node.kind in ("int", "float", "bool", "timestamp"):
            raise Refused(expected, hint=f'quote it: "{shortened(node.text)}"')
        if not (isinstance(node, Scalar) and node.kind == "str" and node.text):
            raise Refused(expected)
        if not node.text.isprintable():
            raise Refused(expected, hint="it holds a control character")
        return node.text

    return parse


def whole_number(lowest: int, highest: int, expected: str) -> Callable[[Node], int]:
    def parse(node: Node) -> int:
        if not (isinstance(node, Scalar) and WHOLE_NUMBER.fullmatch(node.text)):
            raise Refused(expected)
        if node.kind != "int":
            raise Refused(expected, hint="without quotes")
        if not lowest <= int(node.text) <= highest:
            raise Refused(expected)
        return int(node.text)

    return parse


def one_of(choices: type[E], what: str) -> Callable[[Node], E]:
    values = [choice.value for choice in choices]

    def parse_choice(node: Node) -> E:
        expected = f"{what}: {listed(values)}"
        if isinstance(node, Scalar) and node.kind != "str" and node.text not in values:
            raise Refused(expected)  # quoting it would not help
        written = text(expected)(node)
        if written not in values:
            raise Refused(expected)
        return choices(written)

    return parse_choice


def boolean(node: Node) -> bool:
    if isinstance(node, Scalar) and node.kind == "bool":
        return node.text.lower() in ("true", "yes", "on")
    raise Refused("true or false")


def items(node: Node, expected: str, report: Report) -> tuple[Node, ...]:
    """The items of a list that must not be empty."""
    if isinstance(node, Sequence) and node.items:
        return node.items
    hint = "write it as a list: [ … ]" if isinstance(node, Scalar) and node.kind != "null" else ""
    report.add(node.place, described(node), expected, hint)
    return ()
