"""`dbambassador reload`: the running ambassador reads its environment files anew."""

from __future__ import annotations

import argparse

import trio

from dbambassador.errors import AmbassadorError, ExitCode
from dbambassador.observability.admin import ask

HELP = "have the running ambassador read its environment files anew"


class Refused(AmbassadorError):
    """The running ambassador goes on by the files that it read before."""


def configure(parser: argparse.ArgumentParser) -> None:
    """No flags of its own."""


def run(options: argparse.Namespace) -> ExitCode:
    """Waits until it is done, and prints what has changed. Raises: NotRunning, Refused."""
    answer = trio.run(lambda: ask(options.admin_port, "POST", "/reload", understood=(200, 409, 422)))
    told = answer.body.decode("utf-8", "backslashreplace").rstrip("\n")
    if answer.status != 200:
        raise Refused(told, hint="it goes on by the files that it read before")
    print(told)
    return ExitCode.DONE
