"""The environments of a directory, read and decoded."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from dbambassador.errors import InvalidConfiguration, Problem
from dbambassador.settings.decoding import File, Merged, decode, merged
from dbambassador.settings.document import MAX_BYTES
from dbambassador.settings.schema import Catalogue

__all__ = ["Catalogue", "load", "load_merged", "version"]

DEFAULTS = "_defaults.yaml"
IGNORED = {"kustomization.yaml", "kustomization.yml"}
"""Kustomize keeps its own file next to those that it turns into a ConfigMap."""


def load(directory: Path) -> Catalogue:
    """Reads and decodes every environment file of a directory.

    Raises:
        InvalidConfiguration: with every problem of every file, or of the directory itself.
    """
    seen, (defaults, files, problems) = version(directory), _read(directory)
    while (now := version(directory)) != seen:  # part of it may be of before, and part of after
        seen, (defaults, files, problems) = now, _read(directory)
    profiles, found = decode(defaults, files)
    problems += found
    if problems:
        raise InvalidConfiguration(problems)
    return Catalogue(str(directory), profiles, seen)


def version(directory: Path) -> str:
    """Changes with every update of a directory whose files are replaced all at once; empty for any other, and
    for one that cannot be read now.

    The kubelet writes the new content of a ConfigMap beside the old one and moves the link `..data` to it. A
    moment later it makes the names of new files, and removes those of former ones: until then, what is read
    is neither the one nor the other. pkg/volume/util/atomic_writer.go.
    """
    try:
        content = directory / "..data"
        os.stat(content)
        names = sorted(name for name in os.listdir(directory) if not name.startswith("."))
        return "/".join((os.readlink(content), *names))
    except OSError:
        return ""


def load_merged(directory: Path) -> tuple[Merged, ...]:
    """The environments merged over their defaults but not decoded, for showing where a value comes from.

    Raises:
        InvalidConfiguration: for what prevents reading and parsing; the values are not checked.
    """
    defaults, files, problems = _read(directory)
    environments, found = merged(defaults, files)
    problems += found
    if problems:
        raise InvalidConfiguration(problems)
    return environments


def _read(directory: Path) -> tuple[File | None, list[File], tuple[Problem, ...]]:
    expected = "a directory of environment files"
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        hint = "--environments DIR names another one"
        return None, [], (Problem(str(directory), "", "no such directory", expected, hint=hint),)
    except OSError as error:
        return None, [], (Problem(str(directory), "", _reason(error), expected),)
    problems: list[Problem] = []
    files: list[File] = []
    defaults: File | None = None
    for name in names:
        if name in IGNORED or name.startswith("."):
            continue
        path = directory / name
        if name.endswith(".yml"):
            problems.append(
                Problem(str(path), "", "a file name in .yml", f"{path.stem}.yaml", hint="rename it")
            )
            continue
        if not name.endswith(".yaml") or (name.startswith("_") and name != DEFAULTS):
            continue
        content = _content(path)
        if isinstance(content, Problem):
            problems.append(content)
        elif name == DEFAULTS:
            defaults = File(str(path), path.stem, content)
        else:
            files.append(File(str(path), path.stem, content))
    if not files and not problems:
        found = f"only {DEFAULTS}" if defaults is not None else "no *.yaml file"
        problems.append(Problem(str(directory), "", found, "at least one environment, as production.yaml"))
    return defaults, files, tuple(problems)


def _content(path: Path) -> bytes | Problem:
    """At most one byte more than a file may have; a FIFO or device is never opened for reading."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return Problem(str(path), "", _reason(error), "a readable file")
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return Problem(str(path), "", "no regular file", "a readable file")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        return Problem(str(path), "", _reason(error), "a readable file")
    finally:
        os.close(descriptor)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
