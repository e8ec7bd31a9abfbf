"""`dbambassador demo`: the main job on embedded databases."""

from __future__ import annotations

import argparse

import trio

from dbambassador.errors import ExitCode, UsageError

HELP = "the main job on embedded databases, with a failover to watch"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stay", action="store_true", help="keep everything up at the end, until Ctrl-C")


def run(options: argparse.Namespace) -> ExitCode:
    """Plays the demo.

    Raises:
        UsageError: the packages that only the demo needs are not installed.
        AmbassadorError: no server programs, or a step that failed.
    """
    try:
        from dbambassador.demo import story
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the demo needs a package that is not installed: {error.name}",
            hint="pip install 'dbambassador[demo]'",
        ) from None
    return trio.run(lambda: story.perform(stay=options.stay))
