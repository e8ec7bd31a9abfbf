"""Handshakes as real servers and clients held them, recorded by `python -m tests.protocols.captures.record`.

A file's name says who spoke and what came of it. It holds what either party said, in order: `C` begins the
client's words and `S` the server's, in hexadecimal, long ones on several lines; `#` begins a comment. The
passwords that went into them are those of test servers that are long gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

DIRECTORY = Path(__file__).parent
WIDTH = 64
"""Bytes on a line."""


class Side(Enum):
    """Who speaks."""

    CLIENT = "C"
    SERVER = "S"


Words = tuple[tuple[Side, bytes], ...]


@dataclass(frozen=True, slots=True)
class Capture:
    """One connection, from its first byte to its last."""

    name: str
    words: Words

    @property
    def server_first(self) -> bool:
        return bool(self.words) and self.words[0][0] is Side.SERVER

    def said(self, side: Side) -> bytes:
        """All that one of them said."""
        return b"".join(data for speaker, data in self.words if speaker is side)


def captures(pattern: str = "*") -> tuple[Capture, ...]:
    """Those whose names match, by name."""
    return tuple(
        Capture(path.stem, read(path.read_text())) for path in sorted(DIRECTORY.glob(f"{pattern}.hex"))
    )


def read(text: str) -> Words:
    """The words in a file of this form."""
    words: list[tuple[Side, bytes]] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            mark, data = line[:1], bytes.fromhex(line[1:])
            if mark == " ":
                side, begun = words.pop()
                words.append((side, begun + data))
            else:
                words.append((Side(mark), data))
    return tuple(words)


def written(comment: str, words: Iterable[tuple[Side, bytes]]) -> str:
    """The text of a file with these words; `read` gives them back."""
    return "\n".join((f"# {comment}", *_lines(words))) + "\n"


def _lines(words: Iterable[tuple[Side, bytes]]) -> Iterator[str]:
    for side, data in words:
        for at in range(0, max(len(data), 1), WIDTH):
            yield f"{' ' if at else side.value} {data[at : at + WIDTH].hex()}".rstrip()
