"""The page about observability names what there is."""

from __future__ import annotations

import pytest

from dbambassador.events import Event
from dbambassador.observability import phrases
from tests.observability.metrics_page import PAGE, rendered, written
from tests.observability.occurrences import EVERY

TEXT = PAGE.read_text()


def quoted(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


@pytest.mark.parametrize("event", EVERY, ids=phrases.name)
def test_every_log_line(event: Event) -> None:
    found = phrases.phrase(event)
    assert found is not None
    rows = [line for line in TEXT.splitlines() if line.startswith(f"| `{phrases.name(event)}` |")]
    assert len(rows) == 1
    assert found.level.name.lower() in rows[0]
    assert rows[0].endswith(f"| {quoted(list(found.fields))} |")


def test_every_metric() -> None:
    assert written() == rendered(), "run: python -m tests.observability.metrics_page"
