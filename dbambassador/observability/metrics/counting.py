"""Series of one family that only grow, and of which there are never too many. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate
from math import inf

from dbambassador.observability.metrics.exposition import Sample
from dbambassador.observability.metrics.families import Family

MAX_SERIES = 500
"""Series of one family: whatever a stage puts into a label, memory and the scrape stay bounded."""

OVERFLOW = "other"

Labels = tuple[str, ...]


class Counter:
    """A family of counters."""

    def __init__(self) -> None:
        self._counts: dict[Labels, int] = {}

    def add(self, labels: Labels, by: int = 1) -> None:
        """Adds to one series, or to `other` where there are too many."""
        labels = _bounded(labels, self._counts)
        self._counts[labels] = self._counts.get(labels, 0) + by

    def samples(self, zeros: Iterable[Labels]) -> Iterator[Sample]:
        """All series, and these in any case: a first increase is seen only from 0."""
        for labels, count in (dict.fromkeys(zeros, 0) | self._counts).items():
            yield Sample(labels, count)


class Histogram:
    """A family of histograms."""

    def __init__(self, family: Family) -> None:
        self._bounds = (*family.buckets, inf)
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def observe(self, labels: Labels, value: float) -> None:
        """Counts one value, in one series or in `other`."""
        labels = _bounded(labels, self._counts)
        counts = self._counts.setdefault(labels, [0] * len(self._bounds))
        counts[bisect_left(self._bounds, value)] += 1
        self._sums[labels] = self._sums.get(labels, 0.0) + value

    def samples(self, zeros: Iterable[Labels]) -> Iterator[Sample]:
        """The buckets, the count and the sum of all series, and of these in any case."""
        empty = [0] * len(self._bounds)
        for labels, counts in (dict.fromkeys(zeros, empty) | self._counts).items():
            for bound, below in zip(self._bounds, accumulate(counts), strict=True):
                yield Sample(labels, below, "_bucket", bound)
            yield Sample(labels, sum(counts), "_count")
            yield Sample(labels, self._sums.get(labels, 0.0), "_sum")


def _bounded(labels: Labels, known: dict[Labels, int] | dict[Labels, list[int]]) -> Labels:
    if labels in known or len(known) < MAX_SERIES:
        return labels
    return (OVERFLOW,) * len(labels)
