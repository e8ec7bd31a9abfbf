"""`dbambassador inject`: the same manifest, with the ambassador beside every application."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from dbambassador.errors import ExitCode, InvalidConfiguration, Problem, UsageError
from dbambassador.injection.manifest import MAX_BYTES, File, injected, removed
from dbambassador.injection.pods import Outcome
from dbambassador.injection.sidecar import Wanted
from dbambassador.printable import printable

HELP = "print a Kubernetes manifest with the ambassador added to its pods"

STDIN = "-"

# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_LONGEST_NAME = 253


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-f",
        "--filename",
        action="append",
        required=True,
        metavar="FILE",
        help="a manifest, YAML or JSON; - for standard input (repeatable)",
    )
    parser.add_argument(
        "--image", type=_image, metavar="IMAGE", help="the ambassador's image (default dbambassador)"
    )
    parser.add_argument(
        "--config-map",
        type=_object_name,
        metavar="NAME",
        help="the ConfigMap of the environment files (default dbambassador-environments)",
    )
    parser.add_argument(
        "--pre-1.29",
        dest="ordinary",
        action="store_true",
        help="for clusters that know no native sidecars: an ordinary container, the first",
    )
    parser.add_argument("--remove", action="store_true", help="take the ambassador out again")


def _image(text: str) -> str:
    if not text or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected the name of an image")
    return text


def _object_name(text: str) -> str:
    if len(text) > _LONGEST_NAME or not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected the name of a Kubernetes object")
    return text


def run(options: argparse.Namespace) -> ExitCode:
    """Prints the manifests, and on standard error a line for each object.

    Raises:
        UsageError: the flags contradict each other.
        InvalidConfiguration: an object cannot be changed; nothing was printed.
    """
    if options.remove and (options.config_map or options.ordinary):
        raise UsageError("inject: --remove takes no other flags than -f and --image")
    if options.filename.count(STDIN) > 1:
        raise UsageError("inject: standard input can be read once only")
    files = tuple(_read(name) for name in options.filename)
    if options.remove:
        result = removed(files, options.image)
    else:
        result = injected(files, Wanted(options.image, options.config_map, options.ordinary))
    sys.stdout.flush()
    sys.stdout.buffer.write(result.text.encode())
    sys.stdout.buffer.flush()
    for line in _told(result.outcomes):
        print(printable(line), file=sys.stderr)
    return ExitCode.DONE


def _told(outcomes: Iterable[Outcome]) -> Iterable[str]:
    for each in outcomes:
        who = f"{each.file}:{each.line}: {each.kind}" + (f" {each.name}" if each.name else "")
        yield f"{who}: {each.what}"
        for warning in each.warnings:
            yield f"{who}: warning: {warning}"


def _read(name: str) -> File:
    try:
        if name == STDIN:
            return File("standard input", sys.stdin.buffer.read(MAX_BYTES + 1))
        with Path(name).open("rb") as file:
            return File(name, file.read(MAX_BYTES + 1))
    except IsADirectoryError:
        hint = "kubectl kustomize DIR | dbambassador inject -f -"
        raise InvalidConfiguration((Problem(name, "", "a directory", "a file", hint=hint),)) from None
    except OSError as error:
        found = (error.strerror or str(error)).lower()
        raise InvalidConfiguration((Problem(name, "", found, "a readable file"),)) from None
