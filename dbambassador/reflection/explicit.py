"""Facts that a person states: `--fact` overrules a variable overrules the facts file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from dbambassador.errors import InvalidConfiguration, Problem, UsageError
from dbambassador.reflection.findings import Findings, fault, found, name_fault
from dbambassador.reflection.reading import Files
from dbambassador.values import Confidence

Stated = dict[str, tuple[str, str]]
"""Name of a fact to its value and where it was stated."""

VARIABLE = "DBAMBASSADOR_FACT_"
PLATFORM_VARIABLE = "DBAMBASSADOR_PLATFORM"
"""Shorthand that compose files set."""

# Names that their variable's form cannot tell: an underscore may stand for itself.
_UNDERSCORED = {
    name.upper().replace(".", "_"): name
    for name in (
        "cloud.availability_zone",
        "dbambassador.node.provider_id_scheme",
        "gcp.cloud_run.job.execution",
    )
}


def stated(flags: Iterable[str], facts_file: Path | None, environ: Mapping[str, str]) -> Stated:
    """All explicit facts.

    Raises:
        UsageError: a flag or variable that states no fact, or two that state the same one differently.
        InvalidConfiguration: the facts file, with all its problems.
    """
    in_file = {} if facts_file is None else from_file(facts_file)
    return {**in_file, **from_environ(environ), **from_flags(flags)}


def from_flags(flags: Iterable[str]) -> Stated:
    """`--fact NAME=VALUE`."""
    facts: Stated = {}
    for flag in flags:
        name, equals, value = flag.partition("=")
        if not equals or not value:
            raise UsageError(f"--fact {_shown(flag)}: expected NAME=VALUE, with a value")
        _state(facts, name, value, "--fact")
    return facts


def from_environ(environ: Mapping[str, str]) -> Stated:
    """`DBAMBASSADOR_FACT_k8s.namespace.name` or `…_K8S_NAMESPACE_NAME`; an empty variable is not set.

    In the second form every `_` stands for a dot, but in the few known names that hold one.
    """
    facts: Stated = {}
    for variable in sorted(environ):
        value = environ[variable]
        if not value:
            continue
        if variable == PLATFORM_VARIABLE:
            _state(facts, "dbambassador.platform", value, variable)
        elif variable.startswith(VARIABLE) and (rest := variable.removeprefix(VARIABLE)):
            _state(facts, rest if "." in rest else _dotted(rest), value, variable)
    return facts


def from_file(file: Path) -> Stated:
    """A YAML or JSON mapping of names to values; every value is taken as the text that is written there.

    Raises:
        InvalidConfiguration: with every problem of the file.
    """
    reading = Files(Path("/")).read(str(file.absolute()))
    if not reading.present:
        raise InvalidConfiguration(
            (Problem(str(file), "", reading.reason or "no such file", "a facts file"),)
        )
    return parse(reading.data, str(file))


def parse(data: bytes, file: str) -> Stated:
    """The mapping in a facts file; `file` names it in problems. Raises InvalidConfiguration."""
    try:
        root = yaml.compose(data.decode("utf-8"), Loader=yaml.SafeLoader)
    except UnicodeDecodeError:
        raise InvalidConfiguration((Problem(file, "", "bytes that are no UTF-8", "YAML or JSON"),)) from None
    except RecursionError:
        raise InvalidConfiguration(
            (Problem(file, "", "nesting without end", "a mapping of texts"),)
        ) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = None if mark is None else mark.line + 1
        found_there = getattr(error, "problem", None) or "no YAML"
        raise InvalidConfiguration((Problem(file, "", found_there, "YAML or JSON", line),)) from None
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        wrong = Problem(file, "", _kind(root), "a mapping of fact names to values", root.start_mark.line + 1)
        raise InvalidConfiguration((wrong,))
    facts: Stated = {}
    problems: list[Problem] = []
    for key, node in root.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode) or name_fault(key.value):
            problems.append(Problem(file, "", "a key that is no name of a fact", "a name", line))
        elif not isinstance(node, yaml.ScalarNode) or node.tag == "tag:yaml.org,2002:null":
            what = "nothing" if isinstance(node, yaml.ScalarNode) else _kind(node)
            problems.append(Problem(file, key.value, what, "a value", line))
        elif not node.value or fault(node.value):
            problems.append(Problem(file, key.value, fault(node.value) or "an empty value", "a value", line))
        elif key.value in facts:
            problems.append(Problem(file, key.value, "the name a second time", "each name once", line))
        else:
            facts[key.value] = (node.value, f"{file}:{line}")
    if problems:
        raise InvalidConfiguration(tuple(problems))
    return facts


def findings(facts: Mapping[str, tuple[str, str]]) -> Findings:
    return Findings(
        tuple(found(name, value, Confidence.EXPLICIT, source) for name, (value, source) in facts.items())
    )


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    return "a list" if isinstance(node, yaml.SequenceNode) else "one value"


def _dotted(variable: str) -> str:
    return _UNDERSCORED.get(variable.upper()) or variable.lower().replace("_", ".")


def _state(facts: Stated, name: str, value: str, source: str) -> None:
    if problem := name_fault(name):
        raise UsageError(f"{_shown(source)}: {problem}")
    if problem := fault(value):
        raise UsageError(f"{_shown(source)}: {problem}")
    before = facts.get(name)
    if before is not None and before[0] != value:
        raise UsageError(
            f"{name} is stated twice: {_shown(before[1])} says {before[0]}, {_shown(source)} says {value}"
        )
    facts[name] = (value, source)


def _shown(text: str) -> str:
    return text if text.isprintable() and len(text) <= 120 else f"{text[:120]!a}"
