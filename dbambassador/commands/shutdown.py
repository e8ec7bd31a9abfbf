"""`dbambassador shutdown`: ends the running ambassador, for Jobs whose sidecar would outlive them."""

from __future__ import annotations

import argparse

import trio

from dbambassador.errors import ExitCode
from dbambassador.observability.admin import ask

HELP = "end the running ambassador"


def configure(parser: argparse.ArgumentParser) -> None:
    """No flags of its own."""


def run(options: argparse.Namespace) -> ExitCode:
    """Asks for the shutdown and does not wait for its end; raises NotRunning where nothing runs."""
    trio.run(ask, options.admin_port, "POST", "/quitquitquit")
    print("shutting down")
    return ExitCode.DONE
