"""The nodes of a YAML document, each with the place in the text where it stands, and what they say. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

MAX_DEPTH = 100
"""A CronJob's pod is some 15 levels deep. The time of libyaml grows with the square of the depth."""
MAX_DATA = 10_000
"""Nodes of one container or volume, aliases counted as often as they are used."""

STR = "tag:yaml.org,2002:str"
NULL = "tag:yaml.org,2002:null"
MERGE = "tag:yaml.org,2002:merge"


@dataclass(slots=True, eq=False)
class _Node:
    start: int
    """Index of its first character, which may be that of its anchor or tag."""
    end: int
    """Behind its last character. Of a block collection: that of its start, see `content_end`."""
    line: int
    """1-based."""
    tag: str
    anchor: str = ""
    aliased: bool = False
    """An alias refers to it: whoever changes it changes another place too."""


@dataclass(slots=True, eq=False)
class Scalar(_Node):
    value: str = ""


@dataclass(slots=True, eq=False)
class Alias(_Node):
    target: Node | None = None


@dataclass(slots=True, eq=False)
class Sequence(_Node):
    flow: bool = False
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Mapping(_Node):
    flow: bool = False
    pairs: list[tuple[Node, Node]] = field(default_factory=list)


Node: TypeAlias = Scalar | Alias | Sequence | Mapping


def content_end(node: Node) -> int:
    """Behind the last character of the node's content: no comment or blank line that follows is in it."""
    while True:
        if isinstance(node, Mapping) and not node.flow and node.pairs:
            node = node.pairs[-1][1]
        elif isinstance(node, Sequence) and not node.flow and node.items:
            node = node.items[-1]
        else:
            return node.end


def resolved(node: Node) -> Node:
    """What an alias stands for."""
    return node.target if isinstance(node, Alias) and node.target is not None else node


def is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.tag == NULL


def text_of(node: Node | None) -> str | None:
    """The text of a scalar, as a name or a kind is one; None for anything else."""
    node = resolved(node) if node is not None else None
    return node.value if isinstance(node, Scalar) and node.tag == STR else None


def described(node: Node) -> str:
    match node:
        case Mapping():
            return "a mapping"
        case Sequence():
            return "a list"
        case Alias():
            return f"the alias *{node.anchor}"
        case Scalar():
            return "nothing" if is_null(node) else "a single value"


class Unusable(Exception):
    """A node that is no container and no volume: what was found instead."""


def data(node: Node) -> Any:
    """The value of a container or a volume, its aliases and merge keys resolved.

    Raises:
        Unusable: it stands for more than `MAX_DATA` values, contains itself, has a key that is no single
            value, or half a character.
    """
    return _data(node, [MAX_DATA], 0)


def _data(node: Node, left: list[int], depth: int) -> Any:
    left[0] -= 1
    if left[0] < 0 or depth > MAX_DEPTH:
        raise Unusable(f"more than {MAX_DATA} values")
    node = resolved(node)
    if isinstance(node, Sequence):
        return [_data(item, left, depth + 1) for item in node.items]
    if isinstance(node, Mapping):
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key, value in node.pairs:
            found = _data(value, left, depth + 1)
            if isinstance(key, Scalar) and key.tag == MERGE:
                for source in found if isinstance(found, list) else [found]:
                    if isinstance(source, dict):
                        merged = {**source, **merged}
            elif isinstance(scalar := resolved(key), Scalar):
                own[_whole(scalar.value)] = found
            else:
                raise Unusable(f"{described(key)} as a key")
        return {**merged, **own}
    assert isinstance(node, Scalar)
    return _plain(node)


def _whole(text: str) -> str:
    """JSON may write a character as two halves, which YAML reads as two characters."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise Unusable("half a character") from None


def _plain(node: Scalar) -> Any:
    if node.tag == STR:
        return _whole(node.value)
    try:
        return yaml.SafeLoader("").construct_object(yaml.ScalarNode(node.tag, node.value))
    except (yaml.YAMLError, ValueError, LookupError):
        return node.value


def node_of(value: Any) -> Node:
    """The nodes that plain data has when it is written and read again."""
    match value:
        case dict():
            return Mapping(
                0,
                0,
                0,
                "tag:yaml.org,2002:map",
                pairs=[(node_of(key), node_of(each)) for key, each in value.items()],
            )
        case list():
            return Sequence(0, 0, 0, "tag:yaml.org,2002:seq", items=[node_of(each) for each in value])
        case _:
            represented = yaml.representer.SafeRepresenter().represent_data(value)
            return Scalar(0, 0, 0, represented.tag, value=represented.value)
