"""The program's entry: what must not wait for imports comes first."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def main() -> int:
    """Runs the command that the arguments ask for, and returns its exit code."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["probe"]:
        # A kubelet gives it a second, perhaps at a tenth of a CPU: nothing heavy is imported.
        from dbambassador.commands import probe

        return probe.main(arguments[1:])
    _answer_signals()
    if arguments[:1] == ["run"] and hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it asks for other files, and none were read yet
    from dbambassador import cli

    return cli.main(arguments)


def _answer_signals() -> None:
    """Process 1 of a container ignores signals that it has no handler for, also while it imports."""

    def leave(number: int, frame: FrameType | None) -> None:
        os._exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)


if __name__ == "__main__":
    sys.exit(main())
