"""Manifests with the ambassador added to their pods, or taken out of them. Pure.

All or nothing: one document that cannot be changed as asked, and there is no result. What is returned has
been read again: it says what was there, the ambassador and its volumes, and no more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from dbambassador.errors import InvalidConfiguration, Problem
from dbambassador.injection.edits import NotInPlace, Page, applied
from dbambassador.injection.fingerprint import fingerprint
from dbambassador.injection.parsing import documents
from dbambassador.injection.pods import Outcome, inject, remove
from dbambassador.injection.sidecar import Wanted
from dbambassador.injection.tree import Node, is_null
from dbambassador.injection.workloads import Other, Workload, objects

MAX_BYTES = 16 * 1024 * 1024
"""Of one file. A Kubernetes object has 1.5 MiB at most (etcd's limit), and whole clusters fit in this."""

Change: TypeAlias = Callable[[Page, Workload], Outcome]

_BOM = "\ufeff"
_DIRECTIVES = re.compile(r"(\s*(#.*)?\n)*%")
_DOCUMENT_START = re.compile(r"(\s*(#.*)?\n)*---(\s|$)")


@dataclass(frozen=True, slots=True)
class File:
    """A manifest: any number of YAML documents, or JSON."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Result:
    text: str
    outcomes: tuple[Outcome, ...]
    """One for each object, in their order."""


def injected(files: Sequence[File], wanted: Wanted) -> Result:
    """The manifests with the ambassador, several of them as documents of one stream.

    Raises:
        InvalidConfiguration: with every object that cannot be changed, and why.
    """
    return _changed(files, lambda page, workload: inject(page, workload, wanted))


def removed(files: Sequence[File], image: str | None = None) -> Result:
    """The manifests without the ambassador. Raises as `injected` does.

    Args:
        image: of the ambassador, where its name does not tell.
    """
    return _changed(files, lambda page, workload: remove(page, workload, image))


def _changed(files: Sequence[File], change: Change) -> Result:
    problems: list[Problem] = []
    outcomes: list[Outcome] = []
    texts: list[str] = []
    expected: list[bytes] = []
    for file in files:
        try:
            text = _text(file)
            page = Page(text.removeprefix(_BOM))
            for root in documents(file.name, page.text):
                outcomes += _of_document(file.name, page, root, change, problems)
                if not is_null(root):
                    expected.append(fingerprint(root))
            texts.append((_BOM if text.startswith(_BOM) else "") + applied(page.text, page.edits))
        except InvalidConfiguration as error:
            problems += error.problems
        except NotInPlace:
            problems.append(_style(file.name, None, "it"))
    if problems:
        raise InvalidConfiguration(tuple(problems))
    joined = "".join(_stream(texts))
    _verify(files, joined, expected)
    return Result(joined, tuple(outcomes))


def _of_document(
    file: str, page: Page, root: Node, change: Change, problems: list[Problem]
) -> Iterator[Outcome]:
    try:
        for each in objects(file, root):
            try:
                if isinstance(each, Other):
                    yield Outcome(file, each.line, each.kind, each.name, f"not injected: {each.why}")
                else:
                    yield change(page, each)
            except InvalidConfiguration as error:
                problems += error.problems
            except NotInPlace:
                problems.append(_style(file, each.line, f"{each.kind} {each.name}"))
    except InvalidConfiguration as error:
        problems += error.problems


def _text(file: File) -> str:
    if len(file.content) > MAX_BYTES:
        found = Problem(file.name, "", f"more than {MAX_BYTES >> 20} MiB", f"at most {MAX_BYTES >> 20} MiB")
        raise InvalidConfiguration((found,))
    try:
        return file.content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = file.content.count(b"\n", 0, error.start) + 1
        found = Problem(file.name, "", f"the byte 0x{file.content[error.start]:02x}", "UTF-8 text", line)
        raise InvalidConfiguration((found,)) from None


def _stream(texts: Sequence[str]) -> Iterator[str]:
    """The files one after another, each as documents of its own."""
    before = ""
    for number, text in enumerate(texts):
        if number:
            text = text.removeprefix(_BOM)
            if before and not before.endswith("\n"):
                yield "\n"
            if _DIRECTIVES.match(text):
                yield "---\n...\n"  # a directive may only follow the end of a document
            elif not _DOCUMENT_START.match(text):
                yield "---\n"
        yield text
        before = text


def _verify(files: Sequence[File], text: str, expected: list[bytes]) -> None:
    """Raises `InvalidConfiguration` unless the text says, document by document, what it has to."""
    name = files[0].name if len(files) == 1 else "the files together"
    try:
        roots = documents(name, text.removeprefix(_BOM))
        found = [fingerprint(root) for root in roots if not is_null(root)]
    except InvalidConfiguration:
        found = []
    if found != expected:
        pairs = enumerate(zip(found, expected, strict=False), start=1)
        place = next((number for number, (one, other) in pairs if one != other), 1)
        raise InvalidConfiguration((_style(name, None, f"document {place}"),))


def _style(file: str, line: int | None, what: str) -> Problem:
    return Problem(
        file,
        "",
        f"a style that cannot be edited in place, in {what}",
        "ordinary lists under initContainers, containers and volumes",
        line,
    )
