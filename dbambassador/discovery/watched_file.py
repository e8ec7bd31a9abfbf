"""A small configuration file that is read again when it changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_BYTES = 1 << 20
"""A hosts file of an ad blocker is some hundred kilobytes; what is beyond this is not read."""

_MISSING = (0, 0, 0, 0)


class WatchedFile(Generic[T]):
    """The parsed content of a file, parsed anew when its stat changes.

    Compared are device, inode, size and time of change: editors replace the inode, container engines write in
    place. A file that is missing or cannot be read counts as empty, as it does for the system's resolver. The
    read is synchronous: these files are small and in memory.
    """

    def __init__(self, path: Path, parse: Callable[[str], T]) -> None:
        self.path = path
        self._parse = parse
        self._signature: tuple[int, int, int, int] | None = None
        self._content: T | None = None

    def current(self) -> T:
        signature = self._stat()
        if self._content is None or signature != self._signature:
            self._content = self._parse(self._read())
            self._signature = signature
        return self._content

    def _stat(self) -> tuple[int, int, int, int]:
        try:
            status = self.path.stat()
        except OSError:
            return _MISSING
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

    def _read(self) -> str:
        try:
            with self.path.open("rb") as file:
                return file.read(MAX_BYTES).decode("utf-8", errors="replace")
        except OSError:
            return ""
