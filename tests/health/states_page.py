"""The states of an address as documentation: a diagram and a table, made from the table in the code.

`python -m tests.health.states_page` writes them into docs/failover.md.
"""

from __future__ import annotations

from pathlib import Path

from dbambassador.health.states import TRANSITIONS, USABLE, Cause, State

PAGE = Path(__file__).parents[2] / "docs/failover.md"
BEGIN, END = "<!-- states:begin -->\n", "<!-- states:end -->\n"


def rendered() -> str:
    """What stands between the markers."""
    return f"{_diagram()}\n{_table()}"


def written() -> str:
    """What stands there now."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


def _diagram() -> str:
    """GitHub draws it: https://mermaid.js.org/syntax/stateDiagram.html"""
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> new"]
    lines += [f'    state "{state.value}" as {_name(state)}' for state in State if "-" in state.value]
    arrows: dict[tuple[State, State], list[str]] = {}
    for (before, cause), after in TRANSITIONS.items():
        arrows.setdefault((before, after), []).append(cause.value)
    lines += [
        f"    {_name(before)} --> {_name(after)}: {' / '.join(causes)}"
        for (before, after), causes in arrows.items()
    ]
    lines += ["    classDef usable font-weight:bold"]
    lines += [f"    class {_name(state)} usable" for state in State if state in USABLE]
    return "\n".join([*lines, "```", ""])


def _table() -> str:
    heads = ["", *(f"**{state.value}**" if state in USABLE else state.value for state in State)]
    rows = [heads, ["---"] * len(heads)]
    for cause in Cause:
        cells = [TRANSITIONS.get((state, cause)) for state in State]
        rows.append([cause.value, *(cell.value if cell else "–" for cell in cells)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _name(state: State) -> str:
    return state.value.replace("-", "_")


if __name__ == "__main__":
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + rendered() + END + rest.partition(END)[2])
