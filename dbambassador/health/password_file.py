"""The password of a check, from the file in which an orchestrator mounts it."""

from __future__ import annotations

import math
import os
import stat

import trio

from dbambassador.transport.dial import describe

LARGEST = 16 * 1024
"""Bytes. Cloud tokens that serve as passwords have a few KiB."""
READ_TIMEOUT = 0.5
"""Seconds. Secrets are mounted in memory; but a file system of another host may be gone."""

_threads = trio.CapacityLimiter(math.inf)
"""As many as there are addresses, each being checked once at a time."""


class Unreadable(Exception):
    """There is no password to be had from a file; the message names the file and never its content."""


async def read_password(path: str) -> str:
    """The password in a file, without the line end after it; empty where `path` is.

    Raises:
      Unreadable: missing, forbidden, too large, empty, no text, or its file system does not answer.
    """
    if not path:
        return ""
    with trio.move_on_after(READ_TIMEOUT):
        content = await trio.to_thread.run_sync(_read, path, abandon_on_cancel=True, limiter=_threads)
        return _decode(path, content)
    raise Unreadable(f"{path}: no answer from its file system in {READ_TIMEOUT:g} s")


def _read(path: str) -> bytes:
    try:
        # Not blocking: a FIFO without a writer would keep the thread for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Unreadable(f"{path}: not a regular file")
            return os.read(descriptor, LARGEST + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Unreadable(f"{path}: {describe(error)}") from None


def _decode(path: str, content: bytes) -> str:
    if len(content) > LARGEST:
        raise Unreadable(f"{path}: larger than {LARGEST // 1024} KiB")
    try:
        password = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise Unreadable(f"{path}: not UTF-8") from None
    if not password or "\0" in password:
        raise Unreadable(f"{path}: {'holds a NUL byte' if password else 'empty'}")
    return password
