"""The `expect` tables of the environments, run against the whole catalogue."""

from __future__ import annotations

from dbambassador.profiles.proofs import Finding, Status
from dbambassador.profiles.selection import select
from dbambassador.settings.schema import Catalogue, Expectation, Profile
from dbambassador.values import Confidence, Fact, Facts, State

SOURCE = "a row of the expect table"


def run(catalogue: Catalogue) -> tuple[Finding, ...]:
    """One finding for each row that does not come out as expected, or one for all of them."""
    rows = [
        (profile, number, row) for profile in catalogue.profiles for number, row in enumerate(profile.expect)
    ]
    failures = tuple(
        finding
        for profile, number, row in rows
        if (finding := _row(catalogue, profile, number, row)) is not None
    )
    if failures:
        return failures
    text = (
        f"every expected selection comes out so ({len(rows)} rows)" if rows else "there are no expect tables"
    )
    return (Finding("expectation", Status.HOLDS if rows else Status.WARNING, (), text),)


def facts_of(row: Expectation) -> Facts:
    """The facts of a row as known for certain; every other fact is absent."""
    return Facts.of(
        Fact(name, State.PRESENT, value, Confidence.STRONG, SOURCE) for name, value in row.facts.items()
    )


def _row(catalogue: Catalogue, profile: Profile, number: int, row: Expectation) -> Finding | None:
    selection = select(catalogue, facts_of(row))
    if (selection.profile is profile) is row.selected:
        return None
    outcome = f"{selection.profile.name} is chosen" if selection.profile else "none is chosen"
    wanted = "this one" if row.selected else "not this one"
    text = f"expect[{number}] wants {wanted}, but {outcome}: {selection.why}"
    return Finding("expectation", Status.FAILS, (profile.name,), text, dict(row.facts), f"expect[{number}]")
