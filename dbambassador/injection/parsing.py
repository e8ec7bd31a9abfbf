"""YAML text → the nodes of each document. Pure.

Built from the parser's events, so that an alias stays an alias: neither a few bytes that stand for gigabytes
nor deep nesting costs more than the text is long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from dbambassador.errors import InvalidConfiguration, Problem
from dbambassador.injection.tree import MAX_DEPTH, Alias, Mapping, Node, Scalar, Sequence

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_HALVES = re.compile(r"\\u[dD][89a-fA-F]")
"""JSON's way to write a character past U+FFFF, which libyaml refuses; the slower loader reads it."""
_RESOLVER: Any = yaml.resolver.Resolver()


def documents(file: str, text: str) -> Iterator[Node]:
    """The root of each document; of an empty one, a scalar that is null.

    Raises:
        InvalidConfiguration: this is no YAML, or deeper than anybody writes it.
    """
    building = _Building(file)
    loader = yaml.SafeLoader if _HALVES.search(text) else LOADER
    try:
        for event in yaml.parse(text, Loader=loader):
            root = building.feed(event)
            if root is not None:
                yield root
    except (yaml.YAMLError, ValueError) as error:  # ValueError: PyYAML, for "\U00110000"
        raise InvalidConfiguration((_syntax_error(file, text, error),)) from None


class _Building:
    """One document at a time, from its events."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.open: list[Sequence | Mapping] = []
        self.keys: list[Node | None] = []
        """Of each open mapping the key that waits for its value."""
        self.anchors: dict[str, Node] = {}

    def feed(self, event: Any) -> Node | None:
        if isinstance(event, yaml.DocumentStartEvent):
            self.anchors = {}
        elif isinstance(event, yaml.CollectionStartEvent):
            self._opened(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            return self._placed(self._closed(event))
        elif isinstance(event, yaml.AliasEvent):
            return self._placed(self._alias(event))
        elif isinstance(event, yaml.ScalarEvent):
            return self._placed(self._scalar(event))
        return None

    def _opened(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if len(self.open) == MAX_DEPTH:
            found = Problem(self.file, "", "deeper nesting", f"at most {MAX_DEPTH} levels", line)
            raise InvalidConfiguration((found,))
        maker, kind = (
            (Mapping, yaml.MappingNode)
            if isinstance(event, yaml.MappingStartEvent)
            else (Sequence, yaml.SequenceNode)
        )
        tag = event.tag if event.tag not in (None, "!") else _RESOLVER.resolve(kind, None, event.implicit)
        start, end = event.start_mark.index, event.end_mark.index
        node = maker(start, end, line, tag, event.anchor or "", flow=bool(event.flow_style))
        self._anchored(node)
        self.open.append(node)
        self.keys.append(None)

    def _closed(self, event: Any) -> Node:
        self.keys.pop()
        node = self.open.pop()
        if node.flow:
            node.end = event.end_mark.index
        return node

    def _alias(self, event: Any) -> Node:
        target = self.anchors.get(event.anchor)
        if target is None:
            problem = f"the alias *{event.anchor} of no anchor before it"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        target.aliased = True
        start, end = event.start_mark, event.end_mark
        return Alias(start.index, end.index, start.line + 1, "", event.anchor, target=target)

    def _scalar(self, event: Any) -> Node:
        tag = event.tag
        if tag in (None, "!"):
            tag = _RESOLVER.resolve(yaml.ScalarNode, event.value, event.implicit)
        start, end = event.start_mark, event.end_mark
        node = Scalar(start.index, end.index, start.line + 1, tag, event.anchor or "", value=event.value)
        self._anchored(node)
        return node

    def _anchored(self, node: Node) -> None:
        if node.anchor:
            self.anchors[node.anchor] = node

    def _placed(self, node: Node) -> Node | None:
        """Puts it into what is open; returns it if it is the document's root."""
        if not self.open:
            return node
        parent = self.open[-1]
        if isinstance(parent, Sequence):
            parent.items.append(node)
        elif (key := self.keys[-1]) is None:
            self.keys[-1] = node
        else:
            parent.pairs.append((key, node))
            self.keys[-1] = None
        return None


def _syntax_error(file: str, text: str, error: Exception) -> Problem:
    mark = getattr(error, "problem_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    what = getattr(error, "problem", None) or "it cannot be read"
    forbidden = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if isinstance(error, yaml.reader.ReaderError) and forbidden:
        before = text[: forbidden.start()]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        what = f"a character that YAML does not allow, {hex(ord(forbidden[0]))}"
    lines = text.split("\n")
    here = lines[line - 1] if line <= len(lines) else ""
    hint = ""
    if "{{" in text:
        hint = "a template? render it first, as in `helm template … | dbambassador inject -f -`"
    elif "\t" in here:
        hint = "indent with spaces, not tabs"
    return Problem(file, "", f"invalid YAML in column {column}: {what}", "YAML", line, hint)
