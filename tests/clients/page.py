"""docs/clients.md: the tables as a reader wants them.

`python -m tests.clients.page` tries everything, and only then writes them, with the versions that it met.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.clients.cases import Case, Expected, NotTried, Refused, Works
from tests.clients.stage import STAGES
from tests.clients.tables import TABLES, Table, try_all

PAGE = Path(__file__).parents[2] / "docs/clients.md"
TABLES_BETWEEN = ("<!-- tables:begin -->\n", "<!-- tables:end -->\n")
VERSIONS_BETWEEN = ("<!-- versions:begin -->\n", "<!-- versions:end -->\n")


def rendered() -> str:
    """All tables."""
    return "\n".join(_table(table) for table in TABLES)


def written(between: tuple[str, str]) -> str:
    """What stands between these markers of the page now."""
    begin, end = between
    return PAGE.read_text().partition(begin)[2].partition(end)[0]


def _table(table: Table) -> str:
    notes: list[str] = []
    heads = ["environment file", "the client's wish", "login", *table.clients]
    rows = [heads, ["---"] * len(heads), *(_row(table, case, notes) for case in table.cases)]
    lines = [f"## {' and '.join(table.servers)}", "", *(f"| {' | '.join(row)} |" for row in rows), ""]
    lines += [f"{number}. {note}" for number, note in enumerate(notes, 1)]
    return "\n".join([*lines, ""])


def _row(table: Table, case: Case, notes: list[str]) -> list[str]:
    mode = case.way.settings.get("sslmode")
    way = ", ".join(filter(None, (f"`{mode}`" if mode else "", case.way.told, case.server)))
    wish = ", ".join(filter(None, ("–" if case.tls == "default" else f"`{case.tls}`", case.detail)))
    return [way, wish, table.logins[case.login], *(_cell(case.of(client), notes) for client in table.clients)]


def _cell(expected: Expected, notes: list[str]) -> str:
    match expected:
        case Works(encrypted):
            return "TLS" if encrypted else "plain"
        case Refused(words):
            note = f"refused: “{words}”"
        case NotTried(why):
            note = f"not tried: {why}"
    if note not in notes:
        notes.append(note)
    sign = "✗" if isinstance(expected, Refused) else "–"
    return f"{sign} <sup>{notes.index(note) + 1}</sup>"


def _versions() -> Iterator[str]:
    """Tries everything. Raises AssertionError where something is not as the tables say."""
    clients: dict[str, str] = {}
    for table in TABLES:
        for server in table.servers:
            with STAGES[server]() as stage:
                yield f"* {server.split()[0]} {stage.version()}"
                for client in table.clients:
                    tried = try_all(table, server, client, stage)
                    assert not tried.wrong, "\n".join((client, *tried.wrong))
                    clients[client] = tried.version or clients.get(client, "")
    yield f"* {'; '.join(f'{name}: {version}' for name, version in clients.items())}"


def _replaced(text: str, between: tuple[str, str], new: str) -> str:
    begin, end = between
    before, _, rest = text.partition(begin)
    return before + begin + new + end + rest.partition(end)[2]


if __name__ == "__main__":
    versions = "".join(f"{line}\n" for line in _versions())
    page = _replaced(PAGE.read_text(), VERSIONS_BETWEEN, versions)
    PAGE.write_text(_replaced(page, TABLES_BETWEEN, rendered()))
