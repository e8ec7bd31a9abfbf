"""Changes of a list in a mapping, made twice: in the text, and in the tree that the text has to have then.

Where we write we take over the style that is there: block or flow, indented lists or not, the line ends.
Everything else stays, byte for byte. Pure.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

from dbambassador.injection.tree import Mapping, Node, Scalar, Sequence, content_end, node_of, text_of

_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""What ends a line in YAML 1.1."""
_BLANK = " \t\n\r\x85\u2028\u2029"
_SPACES = " \t"
_NOT_AS_THEY_ARE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""Characters that JSON has as they are, and YAML only escaped."""
_WIDTH = 110
"""Characters of a line, at which a collection of single values is broken into lines of its own."""


class NotInPlace(Exception):
    """The text is written in a style that nobody uses for such a list, as `? key`."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Replaces a range of the text."""

    start: int
    end: int
    text: str


def applied(text: str, edits: Iterable[Edit]) -> str:
    """The text with all edits made, those at one place in the order given.

    Raises:
        NotInPlace: two of them write to the same place. What both take out is taken out once.
    """
    parts: list[str] = []
    position = cleared = 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end > edit.start)):
        start = max(edit.start, cleared) if not edit.text else edit.start
        if start < position:
            raise NotInPlace
        parts += [text[position:start], edit.text]
        position = max(start, edit.end)
        cleared = position if not edit.text else cleared
    return "".join([*parts, text[position:]])


class Page:
    """A text, and the edits made so far."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.edits: list[Edit] = []
        first = _BREAK.search(text)
        self.newline = "\r\n" if first and first[0] == "\r\n" else "\n"
        self._starts = [0, *(each.end() for each in _BREAK.finditer(text))]

    def prepend(self, mapping: Mapping, key: str, items: list[Any], before: str) -> None:
        """Puts items at the head of the list under a key. Where there is no such list, one is made.

        Args:
            before: a key of the mapping, in front of which a key that is missing is put.
        """
        found = _pair(mapping, key)
        if found is None:
            self._new_key(mapping, key, items, before)
        elif isinstance(found[1], Sequence) and found[1].items:
            self._into(found[1], found[0], items)
            found[1].items[:0] = map(node_of, items)
        else:
            self._instead(mapping, found, items, before)

    def replace(self, mapping: Mapping, key: str, number: int, item: Any) -> None:
        """Writes an item of the list under a key anew."""
        name, sequence = self._list(mapping, key)
        node = sequence.items[number]
        start, end = node.start, self._end(node)
        if sequence.flow or getattr(node, "flow", False):
            margin, unit = self._margin(start), "  "
            many = _BREAK.search(self.text, start, end) is not None
            written = self._flow(item, margin or "", unit if many else None)
        else:
            column = self._column(start)
            dash = self._dash(start)
            lines = _block([item], indented=self._indented(dash, name))
            written = self.newline.join([lines[0][2:], *(" " * (column - 2) + line for line in lines[1:])])
        self.edits.append(Edit(start, end, written))
        sequence.items[number] = node_of(item)

    def remove(self, mapping: Mapping, key: str, numbers: set[int]) -> None:
        """Takes items out of the list under a key, and the key with the last of them."""
        name, sequence = self._list(mapping, key)
        if len(numbers) == len(sequence.items):
            position = mapping.pairs.index((name, sequence))
            if mapping.flow:
                self._out([(each.start, content_end(value)) for each, value in mapping.pairs], {position})
            else:
                self._lines_out(name.start, self._end(sequence))
            del mapping.pairs[position]
            return
        if sequence.flow:
            self._out([(item.start, content_end(item)) for item in sequence.items], numbers)
        else:
            for number in numbers:
                item = sequence.items[number]
                self._lines_out(self._dash(item.start), self._end(item))
        sequence.items = [item for number, item in enumerate(sequence.items) if number not in numbers]

    def _new_key(self, mapping: Mapping, key: str, items: list[Any], before: str) -> None:
        position = next(n for n, (name, _) in enumerate(mapping.pairs) if text_of(name) == before)
        name, value = mapping.pairs[position]
        if mapping.flow:
            margin = self._margin(name.start)
            unit = None if margin is None else self._unit(value, name)
            separator = " " if margin is None else self.newline + margin
            written = f"{json.dumps(key)}: {self._flow(items, margin or '', unit)},{separator}"
            self.edits.append(Edit(name.start, name.start, written))
        else:
            start = self._line_start(name.start)
            margin = self.text[start : name.start]
            lines = [f"{margin}{key}:", *self._list_lines(items, margin, mapping, before)]
            bound = content_end(mapping.pairs[position - 1][1]) if position else 0
            start = self._above_comments(start, margin, bound)
            self.edits.append(Edit(start, start, self.newline.join([*lines, ""])))
        mapping.pairs.insert(position, (node_of(key), node_of(items)))

    def _into(self, sequence: Sequence, key: Node, items: list[Any]) -> None:
        first = sequence.items[0].start
        if sequence.flow:
            margin = self._margin(first)
            unit = None if margin is None else self._unit(sequence, key)
            separator = " " if margin is None else self.newline + margin
            written = "".join(f"{self._flow(item, margin or '', unit)},{separator}" for item in items)
            self.edits.append(Edit(first, first, written))
        else:
            dash = self._dash(first)
            margin = self.text[self._line_start(dash) : dash]
            lines = _block(items, indented=self._indented(dash, key))
            self._lines_below(key.end, [margin + line for line in lines])

    def _instead(self, mapping: Mapping, pair: tuple[Node, Node], items: list[Any], like: str) -> None:
        """In place of `[]`, null or nothing."""
        key, value = pair
        written = value.value if isinstance(value, Scalar) else "[]"
        start = (
            self.text.rindex("[", 0, value.end) if isinstance(value, Sequence) else value.end - len(written)
        )
        if mapping.flow:
            margin = self._margin(key.start)
            space = "" if start > value.start or self.text[start - 1] in _SPACES else " "
            unit = None if margin is None else "  "
            self.edits.append(Edit(start, value.end, space + self._flow(items, margin or "", unit)))
        else:
            line = self._line_start(key.start)
            margin = self.text[line : key.start]
            if start < value.end:
                spaces = start - key.end - len(self.text[key.end : start].rstrip(_SPACES))
                self.edits.append(Edit(start - spaces, value.end, ""))
            self._lines_below(value.end, self._list_lines(items, margin, mapping, like))
        mapping.pairs[mapping.pairs.index(pair)] = (key, node_of(items))

    def _flow(self, value: Any, margin: str, unit: str | None) -> str:
        """As JSON, which is YAML in flow style; on one line, or each further line behind a margin."""
        written = json.dumps(value, ensure_ascii=False, indent=unit)
        written = _NOT_AS_THEY_ARE.sub(lambda found: f"\\u{ord(found[0]):04x}", written)
        return written.replace("\n", self.newline + margin)

    def _unit(self, inner: Node, key: Node) -> str:
        """How much deeper the items of a list in flow style are than its key."""
        if isinstance(inner, Sequence) and inner.items:
            inside, outside = self._margin(inner.items[0].start), self._margin(key.start)
            if inside and outside is not None and inside.startswith(outside) and inside != outside:
                return inside[len(outside) :]
        return "  "

    def _indented(self, dash: int, key: Node) -> bool:
        """Whether the list of this key, whose item has its dash here, stands deeper than the key."""
        return self._column(dash) > self._column(key.start)

    def _dash(self, item: int) -> int:
        """The dash of a block list's item; one in a comment between the two is none."""
        dash = self.text.rfind("-", 0, item)
        while dash >= 0 and self._margin(dash) is None:
            dash = self.text.rfind("-", 0, dash)
        if dash < 0:
            raise NotInPlace
        return dash

    def _column(self, index: int) -> int:
        return index - self._line_start(index)

    def _list(self, mapping: Mapping, key: str) -> tuple[Node, Sequence]:
        found = _pair(mapping, key)
        assert found is not None
        assert isinstance(found[1], Sequence)
        return found[0], found[1]

    def _list_lines(self, items: list[Any], margin: str, mapping: Mapping, like: str) -> list[str]:
        """A new list, as deep under its key as that under the key `like` is, or two spaces."""
        pair = _pair(mapping, like)
        assert pair is not None
        indented = True
        if isinstance(pair[1], Sequence) and pair[1].items and not pair[1].flow:
            indented = self._indented(self._dash(pair[1].items[-1].start), pair[0])
        return [margin + "  " * indented + line for line in _block(items, indented=indented)]

    def _above_comments(self, start: int, margin: str, bound: int) -> int:
        """The start of the comment lines that belong to the line at `start`."""
        while start > bound:
            above = self._line_start(start - 1)
            if above < bound or not self.text.startswith(margin + "#", above):
                break
            start = above
        return start

    def _lines_below(self, index: int, lines: list[str]) -> None:
        """Below the line of this index."""
        end = _BREAK.search(self.text, index)
        if end is None:
            last = len(self.text)
            self.edits.append(Edit(last, last, "".join(self.newline + line for line in lines)))
        else:
            self.edits.append(Edit(end.end(), end.end(), "".join(line + self.newline for line in lines)))

    def _lines_out(self, start: int, end: int) -> None:
        after = _BREAK.search(self.text, end)
        self.edits.append(Edit(self._line_start(start), after.end() if after else len(self.text), ""))

    def _out(self, ranges: list[tuple[int, int]], numbers: set[int]) -> None:
        """Takes entries out of a flow collection, each with a comma."""
        rest = [number for number in range(len(ranges)) if number not in numbers]
        for number in sorted(numbers):
            start, end = ranges[number]
            if rest and number < rest[-1]:
                end = ranges[number + 1][0]
            elif rest:
                start = ranges[number - 1][1]
            self.edits.append(Edit(start, end, ""))

    def _margin(self, index: int) -> str | None:
        """What stands in front on the line, if that is nothing but spaces."""
        before = self.text[self._line_start(index) : index]
        return before if not before.strip(_SPACES) else None

    def _line_start(self, index: int) -> int:
        return self._starts[bisect_right(self._starts, index) - 1]

    def _end(self, node: Node) -> int:
        """Behind the last visible character: a block scalar ends with the line breaks that follow it."""
        end = content_end(node)
        return node.start + len(self.text[node.start : end].rstrip(_BLANK))


def _pair(mapping: Mapping, key: str) -> tuple[Node, Node] | None:
    return next((pair for pair in mapping.pairs if text_of(pair[0]) == key), None)


class _Level(yaml.SafeDumper):
    """Lists on the level of their keys, as kubectl writes them."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


class _Indented(_Level):
    """Lists deeper than their keys."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _block(items: list[Any], *, indented: bool) -> tuple[str, ...]:
    """The lines of a list in block style."""
    return _dumped(json.dumps(items, default=str), indented)


@lru_cache(maxsize=8)
def _dumped(items: str, indented: bool) -> tuple[str, ...]:
    """Remembered: a manifest of a thousand pods has the same lines a thousand times."""
    written: str = yaml.dump(
        json.loads(items),
        Dumper=_Indented if indented else _Level,
        sort_keys=False,
        default_flow_style=None,
        width=_WIDTH,
        allow_unicode=True,
    )
    return tuple(written.rstrip("\n").split("\n"))
