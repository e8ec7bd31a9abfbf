"""The one reader of files for reflection: bounded, never blocking on a FIFO or device, errors as values."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from dbambassador.values import State

MAX_BYTES = 64 * 1024
"""No source is near this: a downward labels file of 100 labels is 20 KiB at most."""

MAX_NAMES = 256
"""Entries looked at below one directory; a downward volume lists the few keys its author chose."""

MAX_LINKS = 40
"""Symbolic links on one path, as path_resolution(7) has it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What looking at one path gave: its bytes, "not there", or why it could not be looked at."""

    path: str
    """As the process in that place would name it: without the root in front."""
    state: State
    data: bytes = field(default=b"", repr=False)
    """Not shown: one of the files is a secret."""
    reason: str = ""
    """Why it is unknown; begins with the path."""
    directory: bool = False

    @property
    def present(self) -> bool:
        return self.state is State.PRESENT


class Files:
    """Reads below a root directory. Holds no resources; every failure is a `Reading`, never an exception."""

    def __init__(self, root: Path) -> None:
        self._root = os.path.abspath(root)
        self._whole = self._root == "/"

    def look(self, path: str) -> Reading:
        """Whether something is at `path`, without opening it."""
        place = self.place(path)
        if isinstance(place, Reading):
            return place
        try:
            mode = os.stat(place).st_mode
        except OSError as error:
            return _failed(path, error)
        return Reading(path, State.PRESENT, directory=stat.S_ISDIR(mode))

    def read(self, path: str, limit: int = MAX_BYTES) -> Reading:
        """The whole of a regular file of at most `limit` bytes; anything else at `path` is unknown."""
        reading = self._read(path, limit)
        # The kubelet swaps a volume's directory for another and removes the old one
        # (pkg/volume/util/atomic_writer.go): who was on the way through it finds nothing, once.
        return self._read(path, limit) if reading.state is State.ABSENT else reading

    def _read(self, path: str, limit: int) -> Reading:
        place = self.place(path)
        if isinstance(place, Reading):
            return place
        try:
            # Asked before opening: to open some devices has effects (a watchdog starts, a tape rewinds).
            mode = os.stat(place).st_mode
            if not stat.S_ISREG(mode):
                return _not_regular(path, mode)
            descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
            try:
                mode = os.fstat(descriptor).st_mode
                if not stat.S_ISREG(mode):
                    return _not_regular(path, mode)
                data = _read_up_to(descriptor, limit + 1)
            finally:
                os.close(descriptor)
        except OSError as error:
            return _failed(path, error)
        if len(data) > limit:
            return Reading(path, State.UNKNOWN, reason=f"{path}: larger than {limit // 1024} KiB")
        return Reading(path, State.PRESENT, data)

    def names(self, path: str) -> tuple[str, ...]:
        """Paths of the files up to two levels below a directory, relative to it and sorted.

        A downward volume with one file per label has this shape: `team`, `app.kubernetes.io/name`. Names that
        begin with `..` are the kubelet's own (`..data`, pkg/volume/util/atomic_writer.go). What cannot be
        listed is left out: the caller knows only what it has seen.
        """
        found: list[str] = []
        pending = [""]
        while pending and len(found) < MAX_NAMES:
            below = pending.pop()
            place = self.place(f"{path}/{below}")
            if isinstance(place, Reading):
                continue
            try:
                with os.scandir(place) as entries:
                    for entry, _ in zip(entries, range(MAX_NAMES), strict=False):
                        if entry.name.startswith(".."):
                            continue
                        if entry.is_dir():
                            if not below:
                                pending.append(entry.name + "/")
                        else:
                            found.append(below + entry.name)
            except OSError:
                continue
        return tuple(sorted(found[:MAX_NAMES]))

    def place(self, path: str) -> str | Reading:
        """Where `path` is on this machine: symbolic links lead within the root, as chroot(2) would have them.

        A `Reading` where they lead in a circle.

        A container's own file system links /var/run to /run; followed by the kernel, that would be this
        machine's /run.
        """
        if self._whole:
            return path
        pending = path.split("/")[::-1]
        parts: list[str] = []
        links = 0
        while pending:
            part = pending.pop()
            if part in ("", "."):
                continue
            if part == "..":
                del parts[-1:]
                continue
            try:
                target = os.readlink(os.path.join(self._root, *parts, part))
            except OSError:  # no link, or nothing there: the stat that follows tells
                parts.append(part)
                continue
            links += 1
            if links > MAX_LINKS:
                return Reading(path, State.UNKNOWN, reason=f"{path}: {os.strerror(errno.ELOOP)}")
            if target.startswith("/"):
                parts.clear()
            pending.extend(target.split("/")[::-1])
        return os.path.join(self._root, *parts)


def _read_up_to(descriptor: int, limit: int) -> bytes:
    pieces = []
    while limit > 0 and (piece := os.read(descriptor, limit)):
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)


def _not_regular(path: str, mode: int) -> Reading:
    directory = stat.S_ISDIR(mode)
    reason = f"{path}: a directory" if directory else f"{path}: not a regular file"
    return Reading(path, State.UNKNOWN, reason=reason, directory=directory)


def _failed(path: str, error: OSError) -> Reading:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return Reading(path, State.ABSENT)
    return Reading(path, State.UNKNOWN, reason=f"{path}: {error.strerror}")
