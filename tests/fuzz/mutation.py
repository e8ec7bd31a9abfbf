"""Inputs that are nearly right: changed, cut, spliced, repeated. Reproducible from the random generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

INTERESTING = (0, 1, 4, 7, 8, 9, 0x0A, 0x16, 0x20, 0x40, 0x7F, 0x80, 0xFE, 0xFF)
"""Bytes at which lengths, kinds and signs turn."""

LENGTHS = (
    0,
    1,
    3,
    4,
    8,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0x4000,
    0x7FFF,
    0xFFFF,
    0x10000,
    0xFFFFFF,
    0x7FFFFFFF,
    0xFFFFFFFF,
)

MOST_CHANGES = 6
BLOW_UP = 0.02
"""Of all inputs, those that are made as long as they may be: they tell what grows without bound."""


class Mutator:
    """Makes one input from others."""

    def __init__(self, random: Random, words: Sequence[bytes], longest: int) -> None:
        self._random = random
        self._words = words
        self._longest = longest
        self._changes: tuple[Callable[[bytes], bytes], ...] = (
            self._flip,
            self._set,
            self._length,
            self._insert,
            self._delete,
            self._cut,
            self._duplicate,
            self._move,
        )
        if words:
            self._changes += (self._word, self._word_instead)

    def mutated(self, data: bytes, other: bytes) -> bytes:
        """`data` with a few changes; now and then spliced with `other`, or blown up."""
        if self._random.random() < 0.1:
            data = data[: self._at(data)] + other[self._at(other) :]
        for _ in range(self._random.randint(1, MOST_CHANGES)):
            data = self._random.choice(self._changes)(data)
        if self._random.random() < BLOW_UP:
            data = self._blown_up(data)
        return data[: self._longest]

    def _at(self, data: bytes) -> int:
        return self._random.randint(0, len(data))

    def _piece(self, data: bytes) -> tuple[int, int]:
        """Where a piece begins and ends: short ones mostly."""
        start = self._at(data)
        most = len(data) - start
        return start, start + self._random.randint(0, min(most, self._random.choice((1, 4, 16, 256, most))))

    def _flip(self, data: bytes) -> bytes:
        return self._replaced(data, lambda byte: byte ^ 1 << self._random.randrange(8))

    def _set(self, data: bytes) -> bytes:
        return self._replaced(data, lambda _: self._byte())

    def _replaced(self, data: bytes, change: Callable[[int], int]) -> bytes:
        if not data:
            return bytes((self._byte(),))
        at = self._random.randrange(len(data))
        return data[:at] + bytes((change(data[at]),)) + data[at + 1 :]

    def _byte(self) -> int:
        return (
            self._random.choice(INTERESTING) if self._random.random() < 0.5 else self._random.randrange(256)
        )

    def _length(self, data: bytes) -> bytes:
        """A number where one may stand, in either byte order."""
        size = self._random.choice((1, 2, 3, 4, 8))
        number = self._random.choice((*LENGTHS, -1, len(data), len(data) - 4)) % (1 << 8 * size)
        at = self._at(data)
        written = number.to_bytes(size, "big")
        return data[:at] + (written if self._random.random() < 0.5 else written[::-1]) + data[at + size :]

    def _insert(self, data: bytes) -> bytes:
        at = self._at(data)
        return data[:at] + bytes(self._byte() for _ in range(self._random.randint(1, 8))) + data[at:]

    def _delete(self, data: bytes) -> bytes:
        start, end = self._piece(data)
        return data[:start] + data[end:]

    def _cut(self, data: bytes) -> bytes:
        return data[: self._at(data)] if self._random.random() < 0.3 else data

    def _duplicate(self, data: bytes) -> bytes:
        start, end = self._piece(data)
        return data[:end] + data[start:end] * self._random.choice((1, 1, 2, 20)) + data[end:]

    def _move(self, data: bytes) -> bytes:
        start, end = self._piece(data)
        piece, rest = data[start:end], data[:start] + data[end:]
        at = self._at(rest)
        return rest[:at] + piece + rest[at:]

    def _word(self, data: bytes) -> bytes:
        at = self._at(data)
        return data[:at] + self._random.choice(self._words) + data[at:]

    def _word_instead(self, data: bytes) -> bytes:
        start, end = self._piece(data)
        return data[:start] + self._random.choice(self._words) + data[end:]

    def _blown_up(self, data: bytes) -> bytes:
        """A piece repeated until the input is full; before and behind it all is as it was."""
        start, end = self._piece(data)
        piece = data[start:end] or b"\0"
        room = max(0, self._longest - len(data))
        return data[:start] + piece * (room // len(piece)) + data[start:]
