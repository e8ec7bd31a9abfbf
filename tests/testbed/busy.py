"""A `dbambassador` whose trio loop is busy: `python -m tests.testbed.busy SHARE COMMAND…`, for COMMAND.

SHARE is the part of its time for which the loop does nothing but hold the interpreter, as a stage would that
computes; 0 for an ordinary one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from dbambassador.__main__ import main

BLOCKED = 0.004
"""Seconds for which the loop is blocked at a time."""


async def be_busy(share: float) -> None:
    while True:
        until = time.monotonic() + BLOCKED
        while time.monotonic() < until:
            pass
        await trio.sleep(BLOCKED * (1 / share - 1))


def occupy(share: float) -> None:
    """Has every later `trio.run` be busy for this share of its time."""
    run = trio.run

    def run_busy(work: Callable[..., Awaitable[Any]], *arguments: Any, **options: Any) -> Any:
        async def work_busy(*passed_on: Any) -> Any:
            trio.lowlevel.spawn_system_task(be_busy, share)
            return await work(*passed_on)

        return run(work_busy, *arguments, **options)

    trio.run = run_busy  # type: ignore[assignment]


if __name__ == "__main__":
    share = float(sys.argv[1])
    # What would run it as a command of its own, `python -m dbambassador`, is left out.
    sys.argv[:] = ["dbambassador", *sys.argv[5:]]
    if share:
        occupy(share)
    sys.exit(main())
