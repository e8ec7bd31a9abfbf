"""Snapshots in which others had a word: names from DNS, reasons from servers."""

from __future__ import annotations

from typing import Any

KEPT = frozenset({"phase", "level", "status", "state", "latency_of"})
"""Words of ours alone."""


def hostile(value: Any, text: str) -> Any:
    """The snapshot with every string in it replaced that is not ours alone."""
    match value:
        case str():
            return text
        case dict():
            return {key: inner if key in KEPT else hostile(inner, text) for key, inner in value.items()}
        case list():
            return [hostile(inner, text) for inner in value]
    return value


def crowded(snapshot: dict[str, Any], number: int) -> dict[str, Any]:
    """The snapshot with so many of everything that can be many."""
    orders = snapshot["databases"][0]
    address, target, step = (
        orders["addresses"][1],
        orders["targets"]["addresses"][1],
        orders["targets"]["steps"][0],
    )
    names = [f"10.{place >> 16 & 255}.{place >> 8 & 255}.{place & 255}:5432" for place in range(number)]
    orders["addresses"] = [{**address, "address": name} for name in names]
    orders["targets"]["addresses"] = [
        {**target, "address": name, "name": f"db-{name}.test"} for name in names
    ]
    orders["targets"]["steps"] = [step] * number
    orders["choice"]["pool"] = names
    orders["listeners"] = [f"127.0.0.1:{place}" for place in range(number)]
    environment = snapshot["environment"]
    environment["facts"] *= 25
    environment["others"] *= 25
    environment["others_in_all"] = number
    carts = snapshot["databases"].pop()
    snapshot["databases"] += [{**carts, "name": f"carts-{place}"} for place in range(number)]
    snapshot["recent"] *= 50
    return snapshot
