"""The merged environment with the origin of each value."""

from __future__ import annotations

import posixpath
from typing import Any

from dbambassador.settings.decoding import Merged
from dbambassador.settings.tree import Scalar, described, leaves


def effective(environment: Merged) -> str:
    """One line for each value: its path, the value, and file and line where it was written."""
    rows = [
        (row["path"], row["value"], f"{posixpath.basename(row['file'])}:{row['line']}")
        for row in values(environment)
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    lines = [f"{path.ljust(widths[0])}  {value.ljust(widths[1])}  # {origin}" for path, value, origin in rows]
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
