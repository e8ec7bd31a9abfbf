"""The merged environment with the origin of each value, and what the facts here add to it."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from dbambassador.profiles.interpolation import zone_of
from dbambassador.profiles.wording import shown
from dbambassador.settings.decoding import Merged
from dbambassador.settings.schema import Profile
from dbambassador.settings.tree import Scalar, described, leaves
from dbambassador.values import Fact, Facts

WIDEST_VALUE = 32
"""Columns that values are padded to at most: a fingerprint moves its own origin aside, not everyone's."""


def effective(environment: Merged, zones: Mapping[str, Fact]) -> str:
    """One line for each value: its path, the value, and file and line where it was written, or the fact.

    Args:
        zones: as `zones` gives them.
    """
    rows = [
        (row["path"], row["value"], f"{posixpath.basename(row['file'])}:{row['line']}")
        for row in values(environment)
    ]
    rows += [
        (f"databases.{name}.zone", shown(fact.value), f"{fact.name}: {shown(fact.source)}")
        for name, fact in zones.items()
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


def zones(profile: Profile, facts: Facts) -> dict[str, Fact]:
    """By database: the fact that tells its zone, where an endpoint names one."""
    told = {database.name: zone_of(database, facts) for database in profile.databases}
    return {name: fact for name, fact in told.items() if fact is not None}
