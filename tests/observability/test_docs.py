"""The page about observability names what there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbambassador.events import Event
from dbambassador.observability import metrics, phrases
from dbambassador.observability.metrics import Family
from tests.observability.occurrences import EVERY

PAGE = (Path(__file__).parents[2] / "docs" / "observability.md").read_text()
FAMILIES = [found for found in vars(metrics).values() if isinstance(found, Family)]


def quoted(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


@pytest.mark.parametrize("event", EVERY, ids=phrases.name)
def test_every_log_line(event: Event) -> None:
    found = phrases.phrase(event)
    assert found is not None
    rows = [line for line in PAGE.splitlines() if line.startswith(f"| `{phrases.name(event)}` |")]
    assert len(rows) == 1
    assert found.level.name.lower() in rows[0]
    assert rows[0].endswith(f"| {quoted(list(found.fields))} |")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_metric(family: Family) -> None:
    assert f"| `{family.name}` | {quoted(list(family.labels))} | {family.help} |" in PAGE
