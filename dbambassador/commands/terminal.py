"""A picture on a terminal that changes in place: the alternate screen, left as it was found."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from dbambassador.observability.lines import Line, fitted, put

# Private modes of xterm, which every terminal of today knows or ignores
# (https://invisible-island.net/xterm/ctlseqs/ctlseqs.html): another screen buffer, and no cursor.
_ENTER = "\x1b[?1049h\x1b[?25l"
_LEAVE = "\x1b[?25h\x1b[?1049l"
# The picture appears whole, where the terminal can do that (mode 2026, synchronized output).
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


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
    """A screen for the picture alone. What was there before is back at the end, however that comes."""

    def step_aside(number: int, _: FrameType | None) -> None:
        """As if nobody had been here, the signal does what it does by default; after a stop it goes on."""
        _write(_LEAVE)
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
        signal.signal(number, step_aside)
        _write(_ENTER)

    before = {number: signal.signal(number, step_aside) for number in (signal.SIGTERM, signal.SIGTSTP)}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH})  # for `wait`
    with _keys_unseen():
        _write(_ENTER)
        try:
            yield Picture(coloured=coloured)
        finally:
            _write(_LEAVE)
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def wait(seconds: float) -> None:
    """Waits so long, or until the terminal has another size; within `alternate_screen`."""
    signal.sigtimedwait({signal.SIGWINCH}, seconds)


@contextmanager
def _keys_unseen() -> Iterator[None]:
    """What is typed meanwhile is neither shown nor left for the shell."""
    import termios

    try:
        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
    except (OSError, ValueError, termios.error):  # standard input is no terminal
        yield
        return
    changed = before.copy()
    changed[3] &= ~termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSADRAIN, changed)
    try:
        yield
    finally:
        with suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
