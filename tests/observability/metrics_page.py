"""The metrics as documentation: a table, made from the families in the code.

`python -m tests.observability.metrics_page` writes it into docs/observability.md.
"""

from __future__ import annotations

from pathlib import Path

from dbambassador.observability.metrics.families import EVERY, Family

PAGE = Path(__file__).parents[2] / "docs/observability.md"
BEGIN, END = "<!-- metrics:begin -->\n", "<!-- metrics:end -->\n"


def rendered() -> str:
    """What stands between the markers."""
    heads = "| metric | type | labels | meaning |\n|---|---|---|---|\n"
    return heads + "".join(map(_row, EVERY))


def written() -> str:
    """What stands there now."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


def _row(family: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels)
    return f"| `{family.name}` | {family.kind.value} | {labels} | {family.help} |\n"


if __name__ == "__main__":
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + rendered() + END + rest.partition(END)[2])
