"""What is fuzzed: one parser, and what it promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

KIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One parser under fuzz."""

    name: str
    feed: Callable[[bytes], object]
    """Gives it an input. An AssertionError says that what came out cannot be."""
    seeds: tuple[bytes, ...]
    """Inputs that it understands."""
    covers: tuple[ModuleType, ...]
    """Whose lines are to be reached."""
    raises: tuple[type[Exception], ...] = ()
    """What it may raise, and nothing else."""
    words: tuple[bytes, ...] = ()
    """Pieces that chance alone would hardly hit on."""
    documents: bool = False
    """It reads JSON, or what takes JSON as well: inputs are changed as documents too."""
    longest: int = 64 * KIB
    """Bytes of an input: the bound that its caller keeps, or more than its own."""
    seconds: float = 1.0
    """Of CPU for one input of any length. A session's bytes are parsed while other sessions wait."""
    memory: int = 256 * KIB
    """Bytes that it may hold at once, whatever the input."""
    memory_per_byte: float = 0.0
    """And for each byte of the input."""

    short: int = 300
    """Inputs of its short run, which is among the tests: a few tenths of a second."""

    def allows(self, length: int) -> int:
        """Bytes for an input of this length."""
        return self.memory + round(self.memory_per_byte * length)
