"""Bytes → tree: what of YAML is accepted, and where every node was written."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbambassador.errors import Problem
from dbambassador.settings.document import parse
from dbambassador.settings.tree import Entries, Node, Scalar, leaves, merge


def tree(text: str) -> Node:
    node, problems = parse("file.yaml", text.encode())
    assert not problems
    assert node is not None
    return node


def problem(content: bytes | str) -> Problem:
    _, problems = parse("file.yaml", content.encode() if isinstance(content, str) else content)
    assert len(problems) == 1, [str(each) for each in problems]
    return problems[0]


def test_every_value_knows_its_line_and_path() -> None:
    text = "databases:\n  orders:\n    listen:\n      - a\n      - b\nmatch: {matchFacts: {k8s.x: y}}\n"

    places = [(leaf.place.line, leaf.place.path) for leaf in leaves(tree(text))]

    assert places == [
        (4, "databases.orders.listen[0]"),
        (5, "databases.orders.listen[1]"),
        (6, 'match.matchFacts["k8s.x"]'),
    ]


def test_an_empty_file_is_an_empty_mapping() -> None:
    for text in ("", "# nothing\n", "\ufeff"):
        assert tree(text) == Entries(tree(text).place, {})


@pytest.mark.parametrize(
    ("content", "found", "line"),
    [
        ("a: 1\nb: [", "invalid YAML", 3),
        ("a: 1\n\tb: 2\n", "invalid YAML", 2),
        ("a: 1\na: 2\n", "the key again, first on line 1", 2),
        ("a: {b: 1, b: 1}\n", "the key again", 1),
        ("a: 1\n---\nb: 2\n", "a second document", 2),
        ("a: &x {b: 1}\nc: *x\n", "the alias *x", 2),
        ("a: &x [*x]\n", "the alias *x", 1),
        ("a: !!python/object:os.system 1\n", "the tag", 1),
        ("a: !secret {b: 1}\n", "the tag !secret", 1),
        ("1: a\n", "the key 1", 1),
        ("yes: a\n", "the key yes", 1),
        ("? [a, b]\n: c\n", "a compound key", 1),
        (b"a: \xff\n", "the byte 0xff", 1),
        (b"\xff\xfea\x00", "the byte 0xff", 1),
        (b"a: \x00", "invalid YAML", None),
        ("a: " + "[" * 100 + "]" * 100, "deeper nesting", 1),
        (b"#" * (1 << 20) + b"\n", "more than 1024 KiB", None),
    ],
)
def test_what_is_not_accepted_is_named_with_its_line(
    content: bytes | str, found: str, line: int | None
) -> None:
    described = problem(content)

    assert found in described.found
    assert described.file == "file.yaml"
    assert described.line in (line, 2) if line == 3 else described.line == line


def test_tabs_are_pointed_out() -> None:
    assert "spaces" in problem("a:\n\tb: 1\n").hint


@pytest.mark.parametrize(
    "bomb", ["[" * 1_000_000, "{a: " * 200_000, "- " * 400_000, "a: &a [x]\n" + "b: *a\n" * 9]
)
def test_bombs_cost_neither_stack_nor_time(bomb: str) -> None:
    began = time.process_time()

    node, problems = parse("file.yaml", bomb.encode())

    assert node is None
    assert problems
    assert time.process_time() - began < 3


@given(st.binary(max_size=200))
def test_any_bytes_give_a_tree_or_problems(content: bytes) -> None:
    node, problems = parse("file.yaml", content)

    assert node is not None or problems


@given(st.text(alphabet="ab:-[]{}&*!|>'\"#\n ,?1", max_size=60))
def test_anything_like_yaml_gives_a_tree_or_problems(text: str) -> None:
    node, problems = parse("file.yaml", text.encode())

    assert node is not None or problems


def test_merging_keeps_where_each_value_was_written() -> None:
    base, _ = parse("base", b"a: {x: 1, y: 2}\nlist: [1, 2]\n")
    over, _ = parse("over", b"a: {y: 3}\nlist: [9]\n")
    assert base is not None
    assert over is not None

    merged = merge(base, over, lambda path: {})

    assert [
        (leaf.place.file, leaf.place.path, leaf.text) for leaf in leaves(merged) if isinstance(leaf, Scalar)
    ] == [
        ("base", "a.x", "1"),
        ("over", "a.y", "3"),
        ("over", "list[0]", "9"),
    ]


def test_a_key_takes_the_place_of_its_alternatives_where_they_are_ones() -> None:
    base, _ = parse("base", b"a: {one: 1}\nb: {one: 1, other: 2}\n")
    over, _ = parse("over", b"a: {other: 2}\nb: {other: 3}\n")
    assert base is not None
    assert over is not None

    merged = merge(base, over, lambda path: {"other": frozenset({"one"})} if path == ("b",) else {})

    assert [leaf.place.path for leaf in leaves(merged)] == ["a.one", "a.other", "b.other"]
