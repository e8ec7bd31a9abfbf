"""Which program made this container, from its own mounts: proc_pid_mountinfo(5). Pure; a hint.

Only the mounts at the root and at the files that a runtime gives every container count: those of a machine
that runs containers itself are full of other ones'.
"""

from __future__ import annotations

PATH = "/proc/self/mountinfo"

MAX_BYTES = 256 * 1024
"""A container has some dozens of lines of about 300 bytes; a layered root file system one of 4 KiB."""

CONTAINERS_STORAGE = "containers-storage"
"""The library under Podman and CRI-O."""

_GIVEN = frozenset((b"/etc/hosts", b"/etc/hostname", b"/etc/resolv.conf"))
_MARKS = (
    # First, as Docker may keep its images with containerd.
    (b"/docker/containers/", "docker"),
    (b"/docker/overlay2/", "docker"),
    (b"/containerd/", "containerd"),
    (b"/io.containerd.", "containerd"),
    (b"/containers/storage/", CONTAINERS_STORAGE),
    (b"/overlay-containers/", CONTAINERS_STORAGE),
)
"""Directories that belong to one runtime, below /var/lib or /run or a user's home."""


def runtime(data: bytes) -> str:
    """`docker`, `containerd`, `CONTAINERS_STORAGE`, or "" if they do not tell."""
    told = []
    for line in data.splitlines():
        fields = line.split(b" ", 5)
        if len(fields) == 6 and (fields[4] == b"/" or fields[4] in _GIVEN):
            told.append(fields[3] + b" " + fields[5])
    text = b"\n".join(told)
    return next((name for mark, name in _MARKS if mark in text), "")
