"""Manifests in every style that YAML has, for hypothesis."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import yaml
from hypothesis import strategies as st

NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True).filter(
    lambda name: (
        name not in ("dbambassador", "dbambassador-environments", "dbambassador-podinfo", "dbambassador-ca")
    )
)
TEXTS = st.one_of(
    NAMES,
    st.text(st.characters(max_codepoint=0xFFFD, exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(
        ["", "yes", "1", "null", "a: b", "# no", "- x", "{{ x }}", "a\nb\n", "\n\n  a\n", "~", "[]"]
    ),
)
VALUES = st.recursive(
    st.one_of(TEXTS, st.integers(-5, 10**6), st.booleans(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(NAMES, inner, max_size=3),
        st.dictionaries(TEXTS, inner, max_size=2),
    ),
    max_leaves=6,
)


@st.composite
def containers(draw: st.DrawFn) -> dict[str, Any]:
    more = draw(st.dictionaries(NAMES, VALUES, max_size=2))
    return _shuffled(draw, {**more, "name": draw(NAMES), "image": draw(NAMES)})


def _shuffled(draw: st.DrawFn, mapping: dict[str, Any]) -> dict[str, Any]:
    return dict(draw(st.permutations(list(mapping.items()))))


@st.composite
def manifests(draw: st.DrawFn) -> dict[str, Any]:
    """A workload; its lists are missing or have items."""
    pod: dict[str, Any] = {"containers": draw(st.lists(containers(), min_size=1, max_size=3))}
    if draw(st.booleans()):
        pod["initContainers"] = draw(st.lists(containers(), min_size=1, max_size=2))
    if draw(st.booleans()):
        pod["volumes"] = draw(st.lists(containers(), min_size=1, max_size=2))
    pod |= draw(
        st.dictionaries(st.sampled_from(["dnsPolicy", "hostname", "tolerations"]), VALUES, max_size=2)
    )
    spec: dict[str, Any] = {
        "template": {"spec": _shuffled(draw, pod)},
        **draw(st.dictionaries(NAMES, VALUES, max_size=1)),
    }
    return _shuffled(
        draw, {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": draw(NAMES)}, "spec": spec}
    )


def texts(document: Any) -> st.SearchStrategy[str]:
    """One document, written in some style. Drawn as one seed: a draw for each line is slow."""
    return st.integers(0, 2**32).map(lambda seed: written(document, Random(seed)))


def written(document: Any, style: Random) -> str:
    match style.randrange(4):
        case 0:
            return json.dumps(document, indent=style.choice([None, 1, 2, 4]))
        case 1:
            dumped: str = yaml.safe_dump(
                document,
                default_flow_style=style.choice([None, False, True]),
                width=style.choice([20, 80, 1000]),
                default_style=style.choice([None, '"', "'"]),
                sort_keys=False,
                allow_unicode=True,
            )
            return dumped
        case _:
            return "\n".join(_block(style, document, 0)) + style.choice(["\n", "", "\n\n", "\n# end\n"])


def _block(style: Random, value: Any, column: int) -> list[str]:
    """The lines of a collection by hand: comments and blank lines anywhere, any indentation."""
    lines: list[str] = []
    margin = " " * column
    if isinstance(value, dict):
        for entry in value.items():
            lines += [*_between(style, column), *_entry(style, entry, margin)]
    else:
        for item in value:
            lines += [*_between(style, column), *_item(style, item, margin)]
    return lines


def _between(style: Random, column: int) -> list[str]:
    match style.randrange(8):
        case 0:
            return [""]
        case 1:
            return [f"{' ' * style.choice([0, column, column + 3])}# containers: []"]
        case 2:
            return ["", f"{' ' * column}#", f"{' ' * column}# - ä: {{"]
        case _:
            return []


def _entry(style: Random, entry: tuple[str, Any], margin: str) -> list[str]:
    key, value = entry
    name = json.dumps(key) if style.random() < 0.5 else _scalar(key)
    if not _collection(value) or style.random() < 0.2:
        return [f"{margin}{name}: {_scalar(value)}{_after(style)}"]
    deeper = style.randrange(0 if isinstance(value, list) else 1, 5)
    return [f"{margin}{name}:{_after(style)}", *_block(style, value, len(margin) + deeper)]


def _item(style: Random, value: Any, margin: str) -> list[str]:
    if not _collection(value) or style.random() < 0.2:
        return [f"{margin}- {_scalar(value)}{_after(style)}"]
    deeper = style.randrange(1, 5)
    lines = _block(style, value, len(margin) + 1 + deeper)
    if lines[0].lstrip()[:1] in ("", "#") or style.random() < 0.2:
        return [f"{margin}-{_after(style)}", *lines]
    return [f"{margin}-{' ' * deeper}{lines[0].lstrip()}", *lines[1:]]


def _collection(value: Any) -> bool:
    return isinstance(value, dict | list) and bool(value)


def _after(style: Random) -> str:
    return style.choice(["", "", "", " ", "  # -", " # containers: []"])


def _scalar(value: Any) -> str:
    """On one line; a collection in flow style."""
    if isinstance(value, str) and value.isalpha() and value.isascii() and value.lower() not in _WORDS:
        return value
    return json.dumps(value)


_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
"""That YAML 1.1 takes for something else than a text."""
