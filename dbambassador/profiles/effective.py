"""The merged environment with the origin of each value."""

from __future__ import annotations

import posixpath
from typing import Any

from dbambassador.settings.decoding import Merged
from dbambassador.settings.tree import Scalar, described, leaves

WIDEST_VALUE = 32
"""Columns that values are padded to at most: a fingerprint moves its own origin aside, not everyone's."""


def effective(environment: Merged) -> str:
    """One line for each value: its path, the value, and file and line where it was written."""
    rows = [
        (row["path"], row["value"], f"{posixpath.basename(row['file'])}:{row['line']}")
        for row in values(environment)
    ]
    width = max((len(row[0]) for row in rows), default=0)
    ordinary = max((len(row[1]) for row in rows if len(row[1]) <= WIDEST_VALUE), default=0)
    lines = [f"{path.ljust(width)}  {value.ljust(ordinary)}  # {origin}" for path, value, origin in rows]
    return "\n".join([f"Environment {environment.name}, merged over the defaults", *lines])


def values(environment: Merged) -> list[dict[str, Any]]:
    return [
        {
            "path": leaf.place.path,
            "value": leaf.text if isinstance(leaf, Scalar) and leaf.kind != "null" else described(leaf),
            "file": leaf.place.file,
            "line": leaf.place.line,
        }
        for leaf in leaves(environment.root)
    ]
