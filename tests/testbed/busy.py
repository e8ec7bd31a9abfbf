"""A `dbambassador` whose trio loop is busy: `python -m tests.testbed.busy SHARE[/SECONDS] COMMAND…`.

SHARE is the part of its time for which the loop does nothing but hold the interpreter, as a stage would that
computes; 0 for an ordinary one. SECONDS is how long it is blocked at a time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from dbambassador.__main__ import main

BLOCKED = "0.004"


async def be_busy(share: float, seconds: float) -> None:
    while True:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pass
        await trio.sleep(seconds * (1 / share - 1))


def occupy(share: float, seconds: float) -> None:
    """Has every later `trio.run` be busy for this share of its time, so many seconds at a time."""
    run = trio.run

    def run_busy(work: Callable[..., Awaitable[Any]], *arguments: Any, **options: Any) -> Any:
        async def work_busy(*passed_on: Any) -> Any:
            trio.lowlevel.spawn_system_task(be_busy, share, seconds)
            return await work(*passed_on)

        return run(work_busy, *arguments, **options)

    trio.run = run_busy  # type: ignore[assignment]


if __name__ == "__main__":
    share, _, seconds = sys.argv[1].partition("/")
    # What would run it as a command of its own, `python -m dbambassador`, is left out.
    sys.argv[:] = ["dbambassador", *sys.argv[5:]]
    if float(share):
        occupy(float(share), float(seconds or BLOCKED))
    sys.exit(main())
