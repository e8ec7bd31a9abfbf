"""`dbambassador check`: validates all environments offline, proves what can be proven, runs `expect`."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from dbambassador.errors import ExitCode, InvalidConfiguration
from dbambassador.profiles import expectations, github
from dbambassador.profiles.advice import advise
from dbambassador.profiles.catalogue import Catalogue, load, load_merged
from dbambassador.profiles.proofs import Finding, Status, prove
from dbambassador.profiles.table import WIDTH, table
from dbambassador.profiles.wording import listed, shown
from dbambassador.settings.schema import Profile

HELP = "validate all environments offline and prove that none can be confused with another"

LONGEST_REQUIREMENT = 48
"""Characters; the file has all of it."""

MARKS = {
    Status.HOLDS: "ok",
    Status.FAILS: "FAILS",
    Status.NOT_PROVEN: "not proven",
    Status.WARNING: "warning",
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format",
        choices=("text", "json", "github"),
        default="text",
        help="text; json (`schema check`); github: the text, and annotations for GitHub Actions",
    )
    parser.add_argument(
        "--json", dest="format", action="store_const", const="json", help="the same as --format json"
    )


def run(options: argparse.Namespace) -> ExitCode:
    """Prints every finding; INVALID if a proof or an expectation fails.

    Raises:
        InvalidConfiguration: the environment files cannot be used.
    """
    try:
        catalogue = load(options.environments)
    except InvalidConfiguration as error:
        if options.format == "github":
            print("\n".join(github.of_problems(error.problems, os.getcwd())))
        raise
    findings = (*prove(catalogue), *advise(catalogue.profiles), *expectations.run(catalogue))
    passed = not any(finding.failed for finding in findings)
    if options.format == "json":
        print(json.dumps(report(catalogue, findings, passed=passed), indent=2))
    else:
        print(render(catalogue, findings))
    if options.format == "github":
        for line in github.of_findings(findings, load_merged(options.environments), os.getcwd()):
            print(line)
    return ExitCode.DONE if passed else ExitCode.INVALID


def report(catalogue: Catalogue, findings: tuple[Finding, ...], *, passed: bool) -> dict[str, Any]:
    return {
        "directory": catalogue.directory,
        "passed": passed,
        "environments": [
            {"name": each.name, "kind": each.kind.value, "priority": each.priority, "file": each.file}
            for each in catalogue.profiles
        ],
        "findings": [
            {
                "proof": finding.proof,
                "status": finding.status.value,
                "environments": list(finding.environments),
                "text": finding.text,
                "example": dict(finding.example),
            }
            for finding in findings
        ],
    }


def render(catalogue: Catalogue, findings: tuple[Finding, ...]) -> str:
    lines = [f"Environments in {catalogue.directory}"]
    rows = [_summary(profile, findings) for profile in catalogue.profiles]
    lines += table(rows, narrowest=WIDTH)
    lines += ["", "What was checked"]
    for finding in findings:
        about = f"{listed(list(finding.environments))}: " if finding.environments else ""
        text = about + finding.text
        if finding.example:
            example = ", ".join(f"{name} = {value}" for name, value in finding.example.items())
            text += f"; for example where {example}"
        lines += table([(MARKS[finding.status].ljust(10), text)])
    failed = sum(finding.failed for finding in findings)
    others = sum(finding.status in (Status.NOT_PROVEN, Status.WARNING) for finding in findings)
    return "\n".join([*lines, "", _verdict(failed, others)])


def _summary(profile: Profile, findings: tuple[Finding, ...]) -> tuple[str, ...]:
    """What this environment is, how it fared, and where it is chosen."""
    when = "only by name"
    if profile.match is not None:
        when = " and ".join(shown(str(one), LONGEST_REQUIREMENT) for one in profile.match)
    own = [finding for finding in findings if profile.name in finding.environments]
    failed = sum(finding.failed for finding in own)
    result = f"{failed} failed" if failed else f"{len(own)} to look at" if own else "ok"
    return (profile.name, profile.kind.value, f"priority {profile.priority}", result, when)


def _verdict(failed: int, others: int) -> str:
    verdict = f"{failed} failed" if failed else "No failure"
    return f"{verdict}, {others} to look at." if others else f"{verdict}."
