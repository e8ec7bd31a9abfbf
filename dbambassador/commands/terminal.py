"""A picture on a terminal that changes in place: the alternate screen, left as it was found."""

from __future__ import annotations

import os
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from dbambassador.observability.lines import Line, fitted, put

# Private modes of xterm, which every terminal of today knows or ignores
# (https://invisible-island.net/xterm/ctlseqs/ctlseqs.html): another screen buffer, and no cursor.
_ENTER = "\x1b[?1049h\x1b[?25l"
_LEAVE = "\x1b[?25h\x1b[?1049l"
# The picture appears whole, where the terminal can do that (mode 2026, synchronized output).
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"

Handler = Callable[[int, FrameType | None], Any] | int | None


class Picture:
    """What is on the screen. It is never erased as a whole, so it does not flicker."""

    def __init__(self, *, coloured: bool) -> None:
        self._coloured = coloured

    def show(self, lines: Sequence[Line]) -> None:
        """As much of the lines as there is room for now."""
        size = os.get_terminal_size(sys.stdout.fileno())
        # The last column stays free: a full line leaves the cursor where erasing takes its last character.
        shown = put(fitted(lines, max(size.columns - 1, 1), size.lines), coloured=self._coloured)
        rows = f"{_REST_OF_LINE}\r\n".join(shown)
        _write(f"{_BEGIN}{_HOME}{rows}{_REST_OF_LINE}{_REST_OF_SCREEN}{_END}")


@contextmanager
def alternate_screen(*, coloured: bool) -> Iterator[Picture]:
    """A screen for the picture alone. What was there before is back at the end, however that comes: Ctrl-C is
    a KeyboardInterrupt here, and other signals find the terminal as it was."""
    modes = _Modes()

    def step_aside(number: int, frame: FrameType | None) -> None:
        """The signal does what it did before; after a stop, the picture is back."""
        modes.leave()
        handler = before[number]
        if callable(handler):
            handler(number, frame)
        else:
            signal.signal(number, handler)
            signal.raise_signal(number)
            signal.signal(number, step_aside)
        modes.enter()

    before: dict[int, Handler] = {}
    for number in (signal.SIGTERM, signal.SIGTSTP):
        before[number] = signal.signal(number, step_aside)
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH})  # for `wait`
    try:
        modes.enter()
        yield Picture(coloured=coloured)
    finally:
        modes.leave()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for each, handler in before.items():
            signal.signal(each, handler)


def wait(seconds: float) -> None:
    """Waits so long, or until the terminal has another size; within `alternate_screen`."""
    if sys.platform == "darwin":  # has no sigtimedwait
        time.sleep(seconds)
    else:
        signal.sigtimedwait({signal.SIGWINCH}, seconds)


class _Modes:
    """Of the terminal: another screen without a cursor, and what is typed meanwhile is neither shown nor left
    for the shell."""

    def __init__(self) -> None:
        self._before = self._keys()

    def enter(self) -> None:
        if self._before is not None:
            unseen = self._before.copy()
            unseen[3] &= ~termios.ECHO
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, unseen)
        _write(_ENTER)

    def leave(self) -> None:
        _write(_LEAVE)
        if self._before is not None:
            with suppress(termios.error):  # it is gone
                termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, self._before)

    def _keys(self) -> list[Any] | None:
        try:
            return termios.tcgetattr(sys.stdin)
        except (OSError, ValueError, termios.error):  # standard input is no terminal
            return None


def _write(text: str) -> None:
    """Past Python's buffer, which a signal's handler must not enter a second time."""
    data = text.encode(sys.stdout.encoding, errors="replace")  # a replaced character is as wide
    while data:
        data = data[os.write(sys.stdout.fileno(), data) :]
