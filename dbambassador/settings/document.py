"""The bytes of one YAML file → its tree, or the problems that prevent one.

Only what an environment file needs of YAML is accepted: one document, no anchors or aliases (a few hundred
bytes of them can stand for gigabytes), no tags of its own, no key twice.
"""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from dbambassador.errors import Problem
from dbambassador.settings.tree import Entries, Node, Place, Scalar, Sequence, shortened

MAX_BYTES = 1024 * 1024
"""A ConfigMap, which is where these files live in a cluster, holds at most 1 MiB (Kubernetes API)."""
MAX_DEPTH = 32
"""An environment file is six levels deep; deeper nesting only serves to exhaust the stack."""

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
TAG_PREFIX = "tag:yaml.org,2002:"
KINDS = {"map", "seq", "str", "int", "float", "bool", "null", "timestamp", "merge", "value"}


def parse(file: str, content: bytes) -> tuple[Node | None, tuple[Problem, ...]]:
    """The tree of a file, and every problem of its form. Without a tree there is at least one problem.

    An empty file (or one of comments alone) is an empty mapping.
    """
    if len(content) > MAX_BYTES:
        return None, (Problem(file, "", f"more than {MAX_BYTES // 1024} KiB", "a file of at most 1 MiB"),)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return None, (Problem(file, "", f"the byte 0x{content[error.start]:02x}", "UTF-8 text", line),)
    try:
        unsupported = tuple(_unsupported(file, text))
        if unsupported:
            return None, unsupported
        root = yaml.compose(text, Loader=LOADER)
    except yaml.YAMLError as error:
        return None, (_syntax_error(file, text, error),)
    if root is None:
        return Entries(Place(file, 1), {}), ()
    problems: list[Problem] = []
    return _node(root, Place(file, _line(root)), problems), tuple(problems)


def _unsupported(file: str, text: str) -> Iterator[Problem]:
    """Walks the events, which need no stack, before anything is composed from them."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=LOADER):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents == 2:
                yield Problem(file, "", "a second document", "one YAML document", line, "one file for each")
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth == MAX_DEPTH + 1:
                yield Problem(file, "", "deeper nesting", f"at most {MAX_DEPTH} levels", line)
                return
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if isinstance(event, yaml.AliasEvent):
            yield Problem(
                file,
                "",
                f"the alias *{shortened(event.anchor or '')}",
                "the value itself",
                line,
                "what environments share goes into _defaults.yaml",
            )


def _syntax_error(file: str, text: str, error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return Problem(file, "", f"invalid YAML: {shortened(str(error))}", "YAML")
    lines = text.splitlines()
    tab = mark.line < len(lines) and "\t" in lines[mark.line]
    found = f"invalid YAML: {getattr(error, 'problem', None) or 'unreadable'}"
    return Problem(file, "", found, "YAML", mark.line + 1, "indent with spaces, not tabs" if tab else "")


def _node(node: yaml.Node, place: Place, problems: list[Problem]) -> Node:
    kind = node.tag.removeprefix(TAG_PREFIX)
    if kind not in KINDS:
        found = f"the tag {shortened(node.tag)}"
        problems.append(Problem(place.file, place.path, found, "no tag", place.line))
    if isinstance(node, yaml.MappingNode):
        return _entries(node, place, problems)
    if isinstance(node, yaml.SequenceNode):
        items = enumerate(node.value)
        return Sequence(place, tuple(_node(item, place.item(n, _line(item)), problems) for n, item in items))
    return Scalar(place, kind if kind in KINDS else "str", node.value)


def _entries(node: yaml.MappingNode, place: Place, problems: list[Problem]) -> Entries:
    entries: dict[str, Node] = {}
    lines: dict[str, int] = {}
    for key, value in node.value:
        line = _line(key)
        if not (isinstance(key, yaml.ScalarNode) and key.tag == TAG_PREFIX + "str"):
            found, hint = "a compound key", ""
            if isinstance(key, yaml.ScalarNode):
                found, hint = f"the key {shortened(key.value)}", "quote it"
            problems.append(Problem(place.file, place.path, found, "a text as key", line, hint))
            continue
        here = place.key(key.value, line)
        if key.value in entries:
            found = f"the key again, first on line {lines[key.value]}"
            problems.append(Problem(place.file, here.path, found, "each key once", line))
            continue
        lines[key.value] = line
        entries[key.value] = _node(value, here, problems)
    return Entries(place, entries)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
