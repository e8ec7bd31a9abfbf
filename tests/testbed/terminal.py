"""A real terminal without a screen: tmux, and what can be seen in it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.testbed.browser import until
from tests.testbed.requirements import require

PATIENCE = 15.0
"""Seconds that something may take to be seen."""


class Terminal:
    """One window of a tmux of its own, with a shell in it."""

    def __init__(self, directory: Path, size: tuple[int, int], environ: Mapping[str, str]) -> None:
        """`size`: columns and rows."""
        tmux = require("tmux", package="tmux")
        self._tmux = [str(word) for word in (tmux, "-u", "-f", "/dev/null", "-S", directory / "tmux")]
        self._written = directory / "written"
        columns, rows = map(str, size)
        given = {
            "TERM": "screen-256color",
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "PS1": "$ ",
            **environ,
        }
        variables = [f"{name}={value}" for name, value in given.items()]
        shell = ["env", "-i", *variables, "bash", "--noprofile", "--norc", "-i"]
        record = ["pipe-pane", "-O", f"cat > {shlex.quote(str(self._written))}"]
        self._ask("new-session", "-d", "-x", columns, "-y", rows, *shell, ";", *record)

    def type(self, text: str) -> None:
        """A line for whoever reads the keyboard."""
        self._ask("send-keys", "-l", text)
        self.press("Enter")

    def seen(self) -> list[str]:
        """The lines on its screen."""
        return self._ask("capture-pane", "-p").splitlines()

    def coloured(self) -> str:
        """The same with the sequences that colour it."""
        return self._ask("capture-pane", "-p", "-e")

    def written(self) -> bytes:
        """All that the command has written."""
        return self._written.read_bytes()

    def resize(self, columns: int, rows: int) -> None:
        self._ask("resize-window", "-x", str(columns), "-y", str(rows))

    def press(self, key: str) -> None:
        """A key as tmux names it: `C-c`."""
        self._ask("send-keys", key)

    def until(self, words: str, what: str) -> list[str]:
        """Waits until these words can be seen, and gives the lines."""
        seen: list[str] = []

        def look() -> bool:
            seen[:] = self.seen()
            return any(words in line for line in seen)

        until(look, f"{what}, on the screen there is:\n{self.seen()}", PATIENCE)
        return seen

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the command that the shell runs."""
        shell = int(self._ask("display-message", "-p", "#{pane_pid}"))
        (command,) = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        os.kill(int(command), number)

    def end(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], capture_output=True, timeout=10)

    def _ask(self, *words: str) -> str:
        done = subprocess.run([*self._tmux, *words], capture_output=True, text=True, timeout=10)
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def terminal(directory: Path, size: tuple[int, int], environ: Mapping[str, str]) -> Iterator[Terminal]:
    """A terminal that is gone at the end of the block."""
    opened = Terminal(directory, size, environ)
    try:
        yield opened
    finally:
        opened.end()
