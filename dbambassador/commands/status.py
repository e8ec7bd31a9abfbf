"""`dbambassador status`: what the running ambassador sees and does."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import Any

import trio

from dbambassador.errors import ExitCode, NotRunning
from dbambassador.observability import status
from dbambassador.observability.admin import ask

HELP = "what the running ambassador sees and does"

CLEAR = "\x1b[H\x1b[2J"
"""Cursor home, erase the screen (ECMA-48)."""

INTERVAL = 1.0
"""Seconds between two pictures of `--watch`."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON (`schema status`)")
    parser.add_argument("--watch", action="store_true", help="show it anew every second until Ctrl-C")


def run(options: argparse.Namespace) -> ExitCode:
    """Prints the status once, or every second; raises NotRunning where there is none to print."""
    if not options.watch:
        print(_shown(options), end="", flush=True)
        return ExitCode.DONE
    try:
        while True:
            try:
                shown = _shown(options)
            except NotRunning as error:
                if options.json:
                    raise
                shown = f"{error.message}\n"
            if sys.stdout.isatty():
                shown = CLEAR + fitted(shown, os.get_terminal_size(sys.stdout.fileno()))
            print(shown, end="", flush=True)
            time.sleep(INTERVAL)
    except KeyboardInterrupt:
        return ExitCode.SIGINT


def fitted(text: str, size: os.terminal_size) -> str:
    """As much of the text as a terminal shows: the verdict is at its top, and must not scroll away."""
    rows = [
        line if len(line) <= size.columns else f"{line[: size.columns - 1]}…" for line in text.splitlines()
    ]
    return "\n".join(rows[: size.lines - 1]) + "\n"


def _shown(options: argparse.Namespace) -> str:
    answer = trio.run(ask, options.admin_port, "GET", "/status")
    as_json: bool = options.json
    try:
        snapshot: dict[str, Any] = json.loads(answer.body)
        if as_json:
            # A line for each picture of --watch, so that a program can read them one by one.
            return json.dumps(snapshot, indent=None if options.watch else 2) + "\n"
        return status.render(snapshot)
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise NotRunning(
            f"what answers on 127.0.0.1:{options.admin_port} is not a dbambassador of this version",
            hint="name its port with --admin-port",
        ) from error
