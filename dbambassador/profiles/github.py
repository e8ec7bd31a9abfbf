"""Findings and problems as annotations of GitHub Actions, at the line that a person has to change. Pure.

Workflow commands: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping

from dbambassador.errors import Problem
from dbambassador.profiles.proofs import Finding, Status
from dbambassador.settings.decoding import Merged
from dbambassador.settings.tree import Place, leaves

LEVELS: Mapping[Status, str] = {
    Status.FAILS: "error",
    Status.NOT_PROVEN: "warning",
    Status.WARNING: "warning",
}


def of_findings(findings: Iterable[Finding], merged: Iterable[Merged], base: str) -> Iterator[str]:
    """One line for each finding that does not hold, at the first environment it speaks of.

    `base`: the directory that file names are to be relative to, as GitHub wants them.
    """
    files = {each.name: each for each in merged}
    for finding in findings:
        level = LEVELS.get(finding.status)
        if level is None:
            continue
        text = finding.text
        if finding.environments:
            text = f"{', '.join(finding.environments)}: {text}"
        if finding.example:
            text += "\nfor example where " + ", ".join(
                f"{name} = {value}" for name, value in finding.example.items()
            )
        place = _place(finding, files)
        yield _command(level, place.file, place.line, f"check: {finding.proof}", text, base)


def of_problems(problems: Iterable[Problem], base: str) -> Iterator[str]:
    """One line for each problem of a file that cannot be used."""
    for problem in problems:
        hint = f" ({problem.hint})" if problem.hint else ""
        path = f"{problem.path}: " if problem.path else ""
        text = f"{path}found {problem.found}, expected {problem.expected}{hint}"
        yield _command("error", problem.file, problem.line, "check", text, base)


def _place(finding: Finding, files: Mapping[str, Merged]) -> Place:
    """Where the finding's subject begins; the top of the file if it is not written out."""
    environment = files.get(finding.environments[0]) if finding.environments else None
    if environment is None:
        return Place("")
    about = [leaf.place for leaf in leaves(environment.root) if _concerns(finding.path, leaf.place.path)]
    return min(
        (place for place in about if place.line is not None),
        key=lambda place: (place.file != environment.file, place.line or 0),
        default=Place(environment.file),
    )


def _concerns(subject: str, path: str) -> bool:
    if subject == "endpoint":
        return path.startswith("databases") and ".endpoint" in path
    return path == subject or path.startswith((f"{subject}.", f"{subject}["))


def _command(level: str, file: str, line: int | None, title: str, text: str, base: str) -> str:
    properties = []
    if file:
        inside = posixpath.isabs(file) and file.startswith(base.rstrip("/") + "/")
        properties.append(f"file={_property(posixpath.relpath(file, base) if inside else file)}")
        properties.append(f"line={line or 1}")
    properties.append(f"title={_property(title)}")
    return f"::{level} {','.join(properties)}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
