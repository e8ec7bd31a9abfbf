"""What a comparison found: samples of each way, round by round, and what can be said of them. Pure.

A machine's speed changes from minute to minute, so a ratio is taken within each round, between runs that were
neighbours, and the median of these ratios is told.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

DIRECT = "direct"
REFERENCE = "HAProxy"
OURS = "dbambassador"


class Better(Enum):
    """In which direction a quantity is better."""

    MORE = "more"
    LESS = "less"


@dataclass(frozen=True, slots=True)
class Goal:
    """The worst that dbambassador wants to be."""

    bound: float
    absolute: bool = False
    """Of the value itself; otherwise of its ratio to HAProxy's."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """What is measured."""

    name: str
    unit: str
    better: Better
    goal: Goal | None = None
    beyond_direct: bool = False
    """What a way adds: the sample less that of the direct way in the same round."""

    def aiming(self, bound: float, *, absolute: bool = False) -> Quantity:
        """The same, with a goal."""
        return replace(self, goal=Goal(bound, absolute))


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of several rounds, and their extremes."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity in one case, for each way as many samples as rounds were run."""

    group: str
    case: str
    quantity: Quantity
    samples: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @classmethod
    def collected(
        cls, group: str, case: str, quantity: Quantity, rounds: Sequence[Mapping[str, float | None]]
    ) -> Figure:
        """From the samples of each round; a way that lacks one is left out."""
        if quantity.beyond_direct:
            rounds = [_beyond_direct(one) for one in rounds]
        samples: dict[str, list[float]] = {}
        for way in rounds[0]:
            values = [value for one in rounds if (value := one.get(way)) is not None]
            if len(values) == len(rounds):
                samples[way] = values
        return cls(group, case, quantity, samples)

    def value(self, way: str) -> Spread | None:
        """None for a way that was not measured."""
        samples = self.samples.get(way)
        return Spread.of(samples) if samples else None

    def ratio(self, way: str, to: str = REFERENCE) -> Spread | None:
        """To another way's sample in the same round. None where one of them was not measured, or is 0."""
        ours, others = self.samples.get(way), self.samples.get(to)
        if not ours or not others or min(others) <= 0:
            return None
        return Spread.of([one / other for one, other in zip(ours, others, strict=True)])

    def missed(self) -> bool:
        """Whether dbambassador misses its goal."""
        goal = self.quantity.goal
        found = goal and (self.value(OURS) if goal.absolute else self.ratio(OURS))
        if not goal or not found:
            return False
        more = self.quantity.better is Better.MORE
        said = round(found.median, 2)  # as the tables say it
        return said < goal.bound if more else said > goal.bound

    def document(self) -> dict[str, Any]:
        """For JSON; `of_document` takes it back."""
        goal = self.quantity.goal
        ratios = {way: ratio for way in self.samples if (ratio := self.ratio(way))}
        return {
            "group": self.group,
            "case": self.case,
            "quantity": self.quantity.name,
            "unit": self.quantity.unit,
            "better": self.quantity.better.value,
            "beyond_direct": self.quantity.beyond_direct,
            "goal": goal and {"bound": goal.bound, "absolute": goal.absolute},
            "samples": {way: [_rounded(each) for each in values] for way, values in self.samples.items()},
            "median": {way: _rounded(statistics.median(values)) for way, values in self.samples.items()},
            "ratio_to_haproxy": {
                way: {"median": _rounded(r.median), "min": _rounded(r.least), "max": _rounded(r.most)}
                for way, r in ratios.items()
            },
        }

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Figure:
        goal = document["goal"]
        quantity = Quantity(
            document["quantity"],
            document["unit"],
            Better(document["better"]),
            Goal(**goal) if goal else None,
            document["beyond_direct"],
        )
        return cls(document["group"], document["case"], quantity, document["samples"])


def shown(value: float) -> str:
    """Three digits that mean something, and no more before the point than there are."""
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2
    return f"{value:,.{digits}f}"


def _beyond_direct(one: Mapping[str, float | None]) -> dict[str, float | None]:
    base = one.get(DIRECT)
    return {
        way: None if value is None or base is None else value - base
        for way, value in one.items()
        if way != DIRECT
    }


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")
