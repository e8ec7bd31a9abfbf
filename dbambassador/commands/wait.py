"""`wait`: blocks until the ambassador or the database is there; for init containers and entrypoints.

As an entrypoint, `wait -- app` becomes the application then: a distroless image has no shell for
`wait && exec app`. It may have a tenth of a CPU: what looks for databases is imported for them alone.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from typing import NoReturn

from dbambassador.commands import probe
from dbambassador.errors import ExitCode, TimedOut, UsageError

HELP = "wait until the ambassador or the database is there"

INTERVAL = 0.2
"""Seconds between two looks."""
LONGEST_LOOK = 1.0
"""Seconds for an answer."""
LONGEST_REASON = 1000
"""Characters; something else may listen on that port."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--for",
        dest="awaited",
        choices=("ambassador", "database", "primary"),
        default="ambassador",
        help=(
            "ambassador: it listens; database: each one takes sessions, whether or not an ambassador runs; "
            "primary: each one but the readers has a primary that does"
        ),
    )
    parser.epilog = (
        "After `--` comes a command to become then, as `exec` of a shell: wait --max 1m -- app --flag"
    )


def run(options: argparse.Namespace) -> ExitCode:
    """Does not return where there is a command to become.

    Raises:
      TimedOut: with what was still missing.
      UsageError: there is no such command.
    """
    if options.awaited == "ambassador":
        missing = _for_ambassador(options)
    else:
        from dbambassador.commands.wait_databases import wait_for_databases

        missing = wait_for_databases(options)
    if missing:
        raise TimedOut(f"gave up after {options.max:g}s: {missing}")
    if options.then:
        _become(list(options.then))
    return ExitCode.DONE


def _become(command: list[str]) -> NoReturn:
    # Python ignores these, and what is ignored stays so in the next program: execve(2).
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    sys.stdout.flush()
    try:
        os.execvp(command[0], command)
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise UsageError(f"wait: cannot execute {command[0]!r}: {reason.lower()}") from None


def _for_ambassador(options: argparse.Namespace) -> str:
    """What was still missing at the end of the time; empty if nothing."""
    host = probe.destination(options.http_address)
    deadline = time.monotonic() + options.max
    missing = "nothing was found out yet"
    while (left := deadline - time.monotonic()) > 0:
        missing = probe.ask(host, options.http_port, "/startup", min(left, LONGEST_LOOK))[:LONGEST_REASON]
        if not missing:
            break
        time.sleep(max(0.0, min(INTERVAL, deadline - time.monotonic())))
    return missing
