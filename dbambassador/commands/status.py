"""`dbambassador status`: what the running ambassador sees and does."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import trio

from dbambassador.errors import ExitCode, NotRunning
from dbambassador.observability import status
from dbambassador.observability.admin import ask
from dbambassador.observability.lines import Line, Tone, is_colour_welcome, line, put
from dbambassador.observability.traffic import Traffic
from dbambassador.observability.wording import duration

HELP = "what the running ambassador sees and does"

INTERVAL = 1.0
"""Seconds between two pictures of `--watch`."""

Snapshot = dict[str, Any]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON (`schema status`)")
    parser.add_argument("--watch", action="store_true", help="show it anew every second until Ctrl-C")


def run(options: argparse.Namespace) -> ExitCode:
    """Prints the status once, or every second; raises NotRunning where there is none to print."""
    if not options.watch:
        snapshot = _asked(options.admin_port)
        print(
            json.dumps(snapshot, indent=2)
            if options.json
            else _text(_Watched(options.admin_port).seen(snapshot))
        )
        return ExitCode.DONE
    interrupted = False
    try:
        if options.json:
            _follow_json(options.admin_port)
        elif sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
            _follow_in_place(options.admin_port)
        else:
            _follow(options.admin_port)
    except* KeyboardInterrupt:  # trio may have it in a group
        interrupted = True
    assert interrupted, "nothing else ends it"
    return ExitCode.SIGINT


def _follow_json(port: int) -> None:
    """A line for each snapshot, so that a program can read them one by one."""
    while True:
        print(json.dumps(_asked(port)), flush=True)
        time.sleep(INTERVAL)


def _follow(port: int) -> None:
    """One text after the other, for a file or a pipe."""
    watched = _Watched(port)
    while True:
        try:
            shown = watched.look()
        except NotRunning as error:
            shown = [line(f"✖ {error.message}")]
        print(_text(shown), flush=True)
        time.sleep(INTERVAL)


def _follow_in_place(port: int) -> None:
    from dbambassador.commands import terminal  # of no use, and with imports that fail, where there is none

    with terminal.alternate_screen(coloured=is_colour_welcome(sys.stdout, os.environ)) as picture:
        _draw(_Watched(port), picture.show, terminal.wait)


def _draw(watched: _Watched, show: Callable[[Sequence[Line]], None], wait: Callable[[float], None]) -> None:
    while True:
        asked_at = time.monotonic()
        try:
            shown = watched.look()
        except NotRunning as error:
            shown = watched.gone(error)
        while True:
            show(shown)
            rest = asked_at + INTERVAL - time.monotonic()
            if rest <= 0:
                break
            wait(rest)


class _Watched:
    """One ambassador, looked at again and again. While it is gone, what it said last stays to be read."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._traffic = Traffic()
        self._last: list[Line] = []
        self._seen_at = 0.0

    def look(self) -> list[Line]:
        """What it says now. Raises NotRunning."""
        return self.seen(_asked(self._port))

    def seen(self, snapshot: Snapshot) -> list[Line]:
        """The lines of a snapshot. Raises NotRunning for what is none."""
        now = time.monotonic()
        try:
            self._traffic.note(snapshot, now)
            self._last = status.lines(snapshot, self._traffic)
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            raise _not_ours(self._port) from error
        self._seen_at = now
        return self._last

    def gone(self, error: NotRunning) -> list[Line]:
        """That it is, and what it said last."""
        lines = [line((f"✖ {error.message}", Tone.BAD)), line("  asking again every second")]
        if not self._last:
            return lines
        ago = duration(time.monotonic() - self._seen_at)
        was = [tuple((text, Tone.DIM) for text, _ in each) for each in self._last]
        return [*lines, (), line(f"what it said {ago} ago:"), (), *was]


def _asked(port: int) -> Snapshot:
    answer = trio.run(ask, port, "GET", "/status")
    try:
        snapshot: Snapshot = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise _not_ours(port) from error
    if not isinstance(snapshot, dict):
        raise _not_ours(port)
    return snapshot


def _text(lines: list[Line]) -> str:
    return "\n".join(put(lines, coloured=is_colour_welcome(sys.stdout, os.environ)))


def _not_ours(port: int) -> NotRunning:
    return NotRunning(
        f"what answers on 127.0.0.1:{port} is not a dbambassador of this version",
        hint="name its port with --admin-port",
    )
