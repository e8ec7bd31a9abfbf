"""`dbambassador schema`: the JSON Schema of an environment file, a command's output, or a line of the log."""

from __future__ import annotations

import argparse
import json
from importlib.resources import files
from typing import Any

from dbambassador.errors import ExitCode, UsageError
from dbambassador.settings.format import environment_schema

HELP = "JSON Schema of an environment file, a command's --json output, or a line of the log"

ENVIRONMENT = "environment"
DOCUMENTS = (ENVIRONMENT, "reflect", "explain", "resolve", "check", "status", "log")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "document",
        nargs="?",
        choices=DOCUMENTS,
        default=ENVIRONMENT,
        help="environment (default), the command whose output it describes, or log",
    )


def run(options: argparse.Namespace) -> ExitCode:
    """Prints the schema (draft 2020-12).

    Raises:
        UsageError: this installation lacks the schema.
    """
    print(json.dumps(document(options.document), indent=2))
    return ExitCode.DONE


def document(name: str) -> dict[str, Any]:
    """A schema by its name. Raises `UsageError` if there is none."""
    if name == ENVIRONMENT:
        return environment_schema()
    file = files("dbambassador.commands") / "schemas" / f"{name}.schema.json"
    try:
        schema: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"schema: there is no schema of {name} in this installation") from None
    return schema
