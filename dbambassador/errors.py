"""Errors by whose fault they are, each with a hint and the exit code that users rely on.

A failure of the network is not an error of ours: it is a value (an outcome of a dial, a probe, a lookup).
Only what ends a command is raised, and only `cli` turns it into an exit.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from dbambassador.printable import printable


class ExitCode(IntEnum):
    """The exit codes of every command."""

    DONE = 0
    INVALID = 1
    """Wrong usage or invalid configuration."""
    NO_ENVIRONMENT = 3
    """No environment, or not exactly one."""
    CANNOT_LISTEN = 4
    TIMED_OUT = 5
    """`wait` ran out of time."""
    SIGINT = 130
    SIGTERM = 143


class AmbassadorError(Exception):
    """What ends a command: a message for the person who started it, and what they can do about it."""

    exit_code: ExitCode = ExitCode.INVALID

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(AmbassadorError):
    """The command line, or a variable that stands for a flag, asks for something impossible."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in one file."""

    file: str
    path: str
    """Where in the file, as `databases.orders.listen[0]`; empty for the file as a whole."""
    found: str
    expected: str
    line: int | None = None
    """1-based."""
    hint: str = ""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        where = f"{place}: {self.path}" if self.path else place
        text = f"{where}: found {self.found}, expected {self.expected}"
        return printable(f"{text} ({self.hint})" if self.hint else text)


class InvalidConfiguration(AmbassadorError):
    """Environment files that cannot be used. Carries every problem of every file, not the first alone."""

    def __init__(self, problems: tuple[Problem, ...], *, hint: str = "") -> None:
        super().__init__("\n".join(str(problem) for problem in problems), hint=hint)
        self.problems = problems


class UnusableFiles(AmbassadorError):
    """A file that an environment names cannot be used: a certificate, a key."""


class NoEnvironment(AmbassadorError):
    """No environment matches, or not exactly one; the message is the table of reasons."""

    exit_code = ExitCode.NO_ENVIRONMENT


class CannotListen(AmbassadorError):
    """A listen address cannot be bound; the message names what may hold it."""

    exit_code = ExitCode.CANNOT_LISTEN


class NotRunning(AmbassadorError):
    """A command that speaks to the running ambassador found none, or something else on its port."""


class TimedOut(AmbassadorError):
    """`wait` ran out of time; the message says what was still missing."""

    exit_code = ExitCode.TIMED_OUT
