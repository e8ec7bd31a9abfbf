"""Many inputs to one target, each made from those that led somewhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from tests.fuzz.coverage import Coverage
from tests.fuzz.execution import Finding, Watch, smaller
from tests.fuzz.mutation import Mutator
from tests.fuzz.structure import Structure
from tests.fuzz.target import Target

MEASURED, TRACED = 16, 4
"""Every so many inputs the memory is counted, or the lines: both slow a parser down."""

BROKEN = 0.3
"""Of the inputs that are documents, those whose form is changed as well as what they say."""

MOST_KEPT = 2000
MOST_FAILURES = 50
"""One fault has many inputs, and hangs take their time; the first input of each tells it."""

LONGEST_KEPT = 16 * 1024
"""Bytes. Longer ones are tried; to make others of them takes more time than it is worth."""


class Campaign:
    """Reproducible from its seed, but for the hangs of a machine that is busy."""

    def __init__(
        self, target: Target, seed: int, watch: Watch, note: Callable[[bytes], object] = len
    ) -> None:
        """`note` is told each input before it is run; by default nobody is."""
        self.target = target
        self.executions = 0
        self.failures = 0
        self.findings: list[Finding] = []
        self.coverage = Coverage(target.covers)
        self._watch = watch
        self._note = note
        self._random = Random(f"{target.name} {seed}")
        self._mutator = Mutator(self._random, target.words, target.longest)
        self._structure = Structure(self._random)
        self._kept: list[bytes] = []

    def sow(self) -> None:
        """Runs the target's own seeds."""
        for seed in self.target.seeds:
            self._kept.append(seed)
            self._run(seed, self._trace)
            self._run(seed, self._watch.measured)

    @property
    def kept(self) -> int:
        """Inputs that others are made from."""
        return len(self._kept)

    @property
    def weary(self) -> bool:
        """There are failures enough."""
        return self.failures >= MOST_FAILURES

    def run(self, count: int) -> None:
        """Runs so many inputs, or until there are failures enough."""
        for number in range(count):
            if self.weary:
                return
            parent, other = self._random.choice(self._kept), self._random.choice(self._kept)
            data = self._changed(parent, other)
            if number % MEASURED == 0:
                self._run(data, self._watch.measured)
            elif number % TRACED == TRACED // 2:
                self._traced(data)
            else:
                self._run(data, self._watch.run)

    def _changed(self, parent: bytes, other: bytes) -> bytes:
        whole = self._structure.mutated(parent) if self.target.documents else None
        if whole is None or self._random.random() < BROKEN:
            return self._mutator.mutated(parent if whole is None else whole, other)
        return whole[: self.target.longest]

    def _traced(self, data: bytes) -> None:
        before = len(self.coverage.reached)
        self._run(data, self._trace)
        led_somewhere = len(self.coverage.reached) > before
        if led_somewhere and len(data) <= LONGEST_KEPT and len(self._kept) < MOST_KEPT:
            self._kept.append(data)

    def _trace(self, target: Target, data: bytes) -> Finding | None:
        return self._watch.traced(target, data, self.coverage)

    def _run(self, data: bytes, how: Callable[[Target, bytes], Finding | None]) -> None:
        self.executions += 1
        self._note(data)
        finding = how(self.target, data)
        if finding is not None:
            self.failures += 1
            if finding.cause not in {known.cause for known in self.findings}:
                self.findings.append(smaller(finding, partial(how, self.target)))
