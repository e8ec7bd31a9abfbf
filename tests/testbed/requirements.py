"""What a test needs from the machine: skipped with a message that names it, or failed in CI."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

SYSTEM_DIRECTORIES = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where Debian keeps daemons; an ordinary user's PATH lacks them."""


def missing(message: str) -> NoReturn:
    """Ends the test: skipped for want of `message`, or failed where CI is set, since there none may skip."""
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        pytest.fail(f"{message}; in CI no test may be skipped", pytrace=False)
    pytest.skip(message)


def optional(message: str) -> NoReturn:
    """Ends the test: skipped, in CI too. For what no machine can be asked to have, as unreleased software."""
    pytest.skip(message)


def find(command: str) -> str | None:
    """The path of a program, looked for in PATH and in the system directories."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM_DIRECTORIES))
    return shutil.which(command, path=path)


def require(command: str, *, package: str) -> Path:
    """The path of a program that the Debian package `package` brings; ends the test where it is missing."""
    found = find(command)
    if found is None:
        missing(f"{command} is not installed: apt-get install {package}")
    return Path(found)


def require_root() -> None:
    """Ends the test unless it runs as root."""
    if os.geteuid() != 0:
        missing("needs root")
