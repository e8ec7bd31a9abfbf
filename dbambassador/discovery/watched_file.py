"""A small configuration file that is read again when it changes."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from dbambassador.reflection.reading import Files, Reading

T = TypeVar("T")

MAX_BYTES = 1 << 20
"""A hosts file of an ad blocker is some hundred kilobytes; what is beyond this is not read."""

_MISSING = (0, 0, 0, 0)


class WatchedFile(Generic[T]):
    """The parsed content of a file, parsed anew when its stat changes.

    Compared are device, inode, size and time of change: editors replace the inode, container engines write in
    place. A file that is missing, cannot be read or is no regular one counts as empty, as it does for the
    system's resolver. The read is synchronous: these files are small and in memory.
    """

    def __init__(self, root: Path, name: str, parse: Callable[[str], T]) -> None:
        """`name` is the absolute one below `root`; symbolic links stay within the root."""
        self.path = root / name.removeprefix("/")
        self._files = Files(root)
        self._name = name
        self._parse = parse
        self._signature: tuple[int, int, int, int] | None = None
        self._content: T | None = None

    def current(self) -> T:
        place = self._files.place(self._name)
        signature = _MISSING if isinstance(place, Reading) else _stat(place)
        if self._content is None or signature != self._signature:
            text = "" if isinstance(place, Reading) or signature == _MISSING else _read(place)
            self._content = self._parse(text)
            self._signature = signature
        return self._content


def _stat(place: str) -> tuple[int, int, int, int]:
    try:
        status = os.stat(place)
    except OSError:
        return _MISSING
    if not stat.S_ISREG(status.st_mode):
        return _MISSING
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _read(place: str) -> str:
    try:
        # What has become a FIFO since its stat has no end to wait for.
        with open(os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            return (file.read(MAX_BYTES) or b"").decode("utf-8", errors="replace")
    except OSError:
        return ""
