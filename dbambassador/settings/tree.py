"""A YAML file as a small frozen tree in which every node knows its file, line and path.

Decoding works on this tree and never on plain dictionaries, so that a problem found late (after merging,
when two databases meet on one address) still names the line that a person has to change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from dbambassador import printable

PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
LONGEST_SHOWN = 60
"""Characters of a value that a message repeats: enough to recognise it in the file."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node was written."""

    file: str
    line: int | None = None
    """1-based; of the key, for a value under a key."""
    path: str = ""

    def key(self, name: str, line: int | None) -> Place:
        step = name if PLAIN_KEY.fullmatch(name) else f'["{shortened(name)}"]'
        if step is name and self.path:
            step = f".{name}"
        return Place(self.file, line, self.path + step)

    def item(self, index: int, line: int | None) -> Place:
        return Place(self.file, line, f"{self.path}[{index}]")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value, with the type that YAML gives to its spelling."""

    place: Place
    kind: str
    """YAML's own name of the type, without its prefix: str, int, float, bool, null, timestamp."""
    text: str
    """As written, without quotes."""


@dataclass(frozen=True, slots=True)
class Sequence:
    place: Place
    items: tuple[Node, ...]

    def __iter__(self) -> Iterator[Node]:
        return iter(self.items)


@dataclass(frozen=True, slots=True)
class Entries:
    """A YAML mapping."""

    place: Place
    entries: Mapping[str, Node]


Node = Scalar | Sequence | Entries


def shortened(text: str) -> str:
    """On one line, printable, and no longer than a message can bear."""
    return printable.shortened(printable.printable(text), LONGEST_SHOWN)


def described(node: Node) -> str:
    """What was found, in words."""
    match node:
        case Entries(entries=entries):
            return "a mapping" if entries else "an empty mapping"
        case Sequence(items=items):
            return "a list" if items else "an empty list"
        case Scalar(kind="null"):
            return "nothing"
        case Scalar(kind="str", text=text):
            return f"'{shortened(text)}'"
        case Scalar(kind="int" | "float", text=text):
            return f"the number {shortened(text)}"
        case Scalar(kind="timestamp", text=text):
            return f"the date {shortened(text)}"
        case Scalar(text=text):
            return shortened(text)


Alternatives = Callable[[tuple[str, ...]], Mapping[str, frozenset[str]]]
"""For the mapping under these keys: each of its keys with those that it takes the place of."""


def merge(base: Node, over: Node, alternatives: Alternatives, path: tuple[str, ...] = ()) -> Node:
    """`over` laid over `base`: mappings are merged key by key, lists and single values replaced.

    A key of `over` also replaces its alternatives in `base`. Every node keeps the place where it was written.

    Args:
        path: the keys that lead to both.
    """
    if not (isinstance(base, Entries) and isinstance(over, Entries)):
        return over
    instead = alternatives(path)
    replaced = frozenset[str]().union(*(instead.get(key, ()) for key in over.entries))
    merged = {key: node for key, node in base.entries.items() if key not in replaced}
    for key, node in over.entries.items():
        merged[key] = merge(merged[key], node, alternatives, (*path, key)) if key in merged else node
    return Entries(over.place, merged)


def leaves(node: Node) -> Iterator[Scalar | Sequence | Entries]:
    """Every value with its place, in order: single values, and lists or mappings that are empty."""
    match node:
        case Entries(entries=entries) if entries:
            for child in entries.values():
                yield from leaves(child)
        case Sequence(items=items) if items:
            for child in items:
                yield from leaves(child)
        case _:
            yield node
