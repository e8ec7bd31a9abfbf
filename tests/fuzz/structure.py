"""Documents right in their form and wrong in what they say: JSON with values changed, gone, or moved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from random import Random
from typing import Any

VALUES: tuple[object, ...] = (
    None,
    True,
    0,
    -1,
    1 << 31,
    1 << 64,
    10**400,
    0.5,
    1e308,
    float("inf"),
    float("nan"),
    "",
    "a",
    "\x1b[31m",
    "\ud800",
    "\u202e",
    "x" * 2000,
    [],
    {},
    [[]],
    {"": None},
)
"""What may stand where something else is expected."""

DEEPEST = 40
"""Levels of a mapping in a mapping: more than any parser here goes down."""

MOST_PLACES = 500
"""Values of a document that still grows: what is repeated may itself hold repetitions."""

Place = tuple[Any, Any]
"""A mapping or list, and a key or index in it."""


class Structure:
    """Changes documents, with the same choices for the same random generator."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def mutated(self, data: bytes) -> bytes | None:
        """The document with a few changes; None where the bytes are none."""
        try:
            document = [json.loads(data)]
        except (ValueError, RecursionError):
            return None
        try:
            for _ in range(self._random.randint(1, 3)):
                self._change(document)
            return json.dumps(document[0]).encode()
        except (ValueError, RecursionError):
            return None

    def _change(self, document: list[Any]) -> None:
        places = list(_places(document))
        within, key = self._random.choice(places)
        match self._random.randrange(6):
            case 0 | 1:
                within[key] = deepcopy(self._random.choice(VALUES))
            case 2:
                other, there = self._random.choice(places)
                within[key] = deepcopy(other[there])
            case 3 if within is not document:
                del within[key]
            case 4 if isinstance(within, dict):
                within[self._random.choice((f"{key}x", "", "\ud800", "x" * 500))] = deepcopy(within[key])
            case 4 if within is not document and len(places) < MOST_PLACES:
                within.extend(deepcopy(within[key]) for _ in range(self._random.choice((1, 10, 100))))
            case _:
                for _ in range(self._random.choice((1, DEEPEST))):
                    within[key] = {str(key): within[key]}


def _places(node: Any) -> Iterator[Place]:
    """Every value's place, however deep."""
    pending = [node]
    while pending:
        within = pending.pop()
        for key in list(within) if isinstance(within, dict) else range(len(within)):
            yield within, key
            if isinstance(within[key], dict | list):
                pending.append(within[key])
