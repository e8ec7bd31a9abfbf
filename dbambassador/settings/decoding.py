"""Trees of environment files → frozen `Profile`s, with every problem of every file at once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from dbambassador.errors import Problem
from dbambassador.settings.database import decode_databases
from dbambassador.settings.database_format import alternatives
from dbambassador.settings.document import parse
from dbambassador.settings.format import (
    DEFAULTS_KEYS,
    ENVIRONMENT_KEYS,
    EXPECTATION_KEYS,
    EXPRESSION_KEYS,
    HIGHEST_PRIORITY,
    PRIORITY_EXPECTED,
    SELECTOR_KEYS,
)
from dbambassador.settings.reading import Refused, Report, Section, boolean, items, one_of, text, whole_number
from dbambassador.settings.schema import Expectation, Kind, Operator, Profile, Requirement
from dbambassador.settings.template import FACT_NAME
from dbambassador.settings.tree import Entries, Node, Sequence, described, merge, shortened

ENVIRONMENT_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
"""Fits a Kubernetes label value, so that metrics and manifests can carry it."""

OPENSSL_FINGERPRINT = re.compile(r"(?:[0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}")
"""As `openssl x509 -fingerprint -sha256` prints it. Facts have it without colons, so it matches nowhere."""

FACT_EXPECTED = "the name of a fact, as k8s.namespace.name"


@dataclass(frozen=True, slots=True)
class File:
    """One environment file as read."""

    path: str
    """As messages should name it."""
    name: str
    """Its stem, which is the environment's name."""
    content: bytes


@dataclass(frozen=True, slots=True)
class Merged:
    """An environment laid over the defaults, before decoding; every value knows where it was written."""

    name: str
    file: str
    root: Node


def merged(defaults: File | None, files: Iterable[File]) -> tuple[tuple[Merged, ...], tuple[Problem, ...]]:
    """Every file that could be parsed, merged over the defaults; and the problems of form."""
    base: Node | None = None
    problems: list[Problem] = []
    if defaults is not None:
        base, found = parse(defaults.path, defaults.content)
        problems += found
        if base is not None and not isinstance(base, Entries):
            problems.append(_no_mapping(defaults.path, base))
            base = None
    environments = []
    for file in files:
        root, found = parse(file.path, file.content)
        problems += found
        if ENVIRONMENT_NAME.fullmatch(file.name) is None:
            expected = "a name of at most 63 letters, digits, '-', '_' and '.'"
            problems.append(Problem(file.path, "", f"the file name {shortened(file.name)}", expected))
        if root is not None and not isinstance(root, Entries):
            problems.append(_no_mapping(file.path, root))
        elif root is not None:
            whole = root if base is None else merge(base, root, alternatives)
            environments.append(Merged(file.name, file.path, whole))
    return tuple(environments), tuple(problems)


def decode(defaults: File | None, files: Iterable[File]) -> tuple[tuple[Profile, ...], tuple[Problem, ...]]:
    """The profiles, by name, and every problem. The profiles are of use only if there is no problem."""
    found: list[Problem] = []
    if defaults is not None:
        found += _decode_defaults(defaults)
    environments, problems = merged(defaults, files)
    found += problems
    profiles = []
    for environment in environments:
        report = Report(environment.file)
        profiles.append(_profile(environment, report))
        found += report.problems
    # A problem of the defaults shows in every environment that inherits it; once is enough.
    return tuple(sorted(profiles, key=lambda profile: profile.name)), tuple(dict.fromkeys(found))


def _no_mapping(file: str, node: Node) -> Problem:
    return Problem(file, "", described(node), "a mapping", node.place.line)


def _decode_defaults(file: File) -> list[Problem]:
    """The defaults on their own, for what every environment happens to replace."""
    root, _ = parse(file.path, file.content)
    report = Report(file.path, partial=True)
    if isinstance(root, Entries):
        section = Section(root, DEFAULTS_KEYS, report)
        section.read("environment", one_of(Kind, "an environment"), Kind.PRODUCTION)
        section.read("priority", _priority, 0)
        decode_databases(section.node("databases"), section.place, report)
    return report.problems


def _profile(environment: Merged, report: Report) -> Profile:
    section = Section(environment.root, ENVIRONMENT_KEYS, report)
    match = section.node("match")
    forbid = section.node("forbid")
    expect = section.node("expect")
    return Profile(
        name=environment.name,
        file=environment.file,
        kind=section.read("environment", one_of(Kind, "an environment"), Kind.PRODUCTION),
        priority=section.read("priority", _priority, 0),
        match=None if match is None else _match(match, report),
        forbid=() if forbid is None or described(forbid) == "nothing" else _selector(forbid, report),
        databases=decode_databases(section.node("databases"), section.place, report),
        expect=() if expect is None else _expectations(expect, report),
    )


_priority = whole_number(-HIGHEST_PRIORITY, HIGHEST_PRIORITY, PRIORITY_EXPECTED)
_text = text("a text that is not empty")


def _value(node: Node) -> str:
    value = _text(node)
    if OPENSSL_FINGERPRINT.fullmatch(value) is not None:
        raise Refused("a fingerprint in lower case, without colons", hint=value.replace(":", "").lower())
    return value


def _match(node: Node, report: Report) -> tuple[Requirement, ...]:
    before = len(report.problems)
    requirements = _selector(node, report)
    if not requirements and len(report.problems) == before:
        hint = "leave match out for an environment that is chosen only by name"
        report.add(node.place, "a match without any condition", "matchFacts or matchExpressions", hint)
    return requirements


def _selector(node: Node, report: Report) -> tuple[Requirement, ...]:
    section = Section(node, SELECTOR_KEYS, report)
    requirements = []
    facts = section.node("matchFacts")
    if facts is not None:
        for name, value in _facts(facts, report).items():
            requirements.append(Requirement(name, Operator.IN, (value,)))
    expressions = section.node("matchExpressions")
    if isinstance(expressions, Sequence):
        requirements += [_expression(expression, report) for expression in expressions]
    elif expressions is not None:
        report.add(expressions.place, described(expressions), "a list of conditions")
    return tuple(requirements)


def _facts(node: Node, report: Report) -> dict[str, str]:
    if not isinstance(node, Entries):
        report.add(node.place, described(node), "a mapping of facts to values")
        return {}
    facts = {}
    for name, value in node.entries.items():
        if FACT_NAME.fullmatch(name) is None:
            report.add(
                value.place, f"the name {shortened(name)}", "the name of a fact, as k8s.namespace.name"
            )
        facts[name] = report.attempt(value, _value, "")
    return facts


def _fact_name(node: Node) -> str:
    name = text("the name of a fact")(node)
    if FACT_NAME.fullmatch(name) is None:
        raise Refused(FACT_EXPECTED)
    return name


def _expression(node: Node, report: Report) -> Requirement:
    section = Section(node, EXPRESSION_KEYS, report)
    key = section.read("key", _fact_name, "")
    operator = section.read("operator", one_of(Operator, "an operator"), None)
    written = section.node("values")
    if operator is None:
        return Requirement(key, Operator.EXISTS)
    if operator in (Operator.IN, Operator.NOT_IN):
        if written is None:
            report.missing(section.place, "values", f"at least one value for {operator.value}")
            return Requirement(key, operator)
        given = items(written, f"at least one value for {operator.value}", report)
        values = dict.fromkeys(report.attempt(item, _value, "") for item in given)
        return Requirement(key, operator, tuple(values))
    if written is not None:
        report.add(written.place, described(written), f"no values with {operator.value}")
    return Requirement(key, operator)


def _expectations(node: Node, report: Report) -> tuple[Expectation, ...]:
    if not isinstance(node, Sequence):
        report.add(node.place, described(node), "a list of rows with facts and selected")
        return ()
    return tuple(_expectation(row, report) for row in node)


def _expectation(node: Node, report: Report) -> Expectation:
    section = Section(node, EXPECTATION_KEYS, report)
    facts = section.node("facts")
    return Expectation(
        {} if facts is None else _facts(facts, report), section.read("selected", boolean, False)
    )
