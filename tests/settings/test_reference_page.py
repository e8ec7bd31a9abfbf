"""docs/environments.md and docs/tls.md agree with the program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dbambassador.profiles.interpolation import ZONES
from dbambassador.profiles.proofs import prove
from dbambassador.profiles.selection import Verdict
from dbambassador.settings import database_format, format
from dbambassador.settings.addresses import duration
from dbambassador.settings.decoding import File, decode
from dbambassador.settings.reading import Key
from dbambassador.settings.schema import Balance, Catalogue, Check, SslMode, TargetSessionAttrs
from dbambassador.settings.tls import FILES

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "environments.md").read_text()
TLS_PAGE = (DOCS / "tls.md").read_text()
WHOLE, *PARTS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
TLS_PARTS = re.findall(r"```yaml\n(databases:\n.*?)```", TLS_PAGE, re.DOTALL)


def test_its_example_decodes_and_passes() -> None:
    profiles, problems = decode(None, [File("production.yaml", "production", WHOLE.encode())])

    assert [str(problem) for problem in problems] == []
    assert not [finding for finding in prove(Catalogue("docs", profiles)) if finding.failed]


@pytest.mark.parametrize("part", [*PARTS, *TLS_PARTS], ids=range(len(PARTS) + len(TLS_PARTS)))
def test_examples_of_databases_decode(part: str) -> None:
    file = File("test.yaml", "test", f"environment: test\n{part}".encode())

    _, problems = decode(None, [file])

    assert [str(problem) for problem in problems] == []


@pytest.mark.parametrize(
    "keys",
    [
        format.ENVIRONMENT_KEYS,
        database_format.DATABASE_KEYS,
        database_format.ENDPOINT_KEYS,
        database_format.CHECK_KEYS,
        database_format.HTTP_KEYS,
        format.SELECTOR_KEYS,
        format.EXPRESSION_KEYS,
        format.EXPECTATION_KEYS,
    ],
)
def test_every_key_is_on_the_page(keys: tuple[Key, ...]) -> None:
    assert [key.name for key in keys if not re.search(rf"`{key.name}\b", PAGE)] == []


def test_what_every_mode_of_tls_protects_from_is_on_its_page() -> None:
    assert TLS_PARTS
    assert [mode.value for mode in SslMode if f"| `{mode.value}` |" not in TLS_PAGE] == []
    assert [key for key in FILES if f"| `{key}` |" not in TLS_PAGE] == []


def test_every_verdict_and_proof_is_on_the_page() -> None:
    proofs = {finding.proof for finding in prove(Catalogue("docs", ()))}

    assert [verdict.value for verdict in Verdict if f"| `{verdict.value}` |" not in PAGE] == []
    assert [proof for proof in proofs if f"| `{proof}` |" not in PAGE] == []


def test_defaults_and_bounds_are_on_the_page() -> None:
    rows: dict[str, str] = {}
    for row in PAGE.splitlines():
        if row.startswith("| `"):
            rows.setdefault(row.split("`")[1], row)
    optional = [
        key
        for key in (*database_format.DATABASE_KEYS, *database_format.CHECK_KEYS)
        if "default" in key.schema
    ]

    assert [key.name for key in optional if f"| `{key.schema['default']}` |" not in rows[key.name]] == []
    assert "`100ms` to `10m`" in rows["interval"]
    assert all("`50ms` to `1m`" in rows[name] for name in ("fast_interval", "down_interval"))
    assert all(f"1 to {database_format.MOST_CHECKS}" in rows[name] for name in ("rise", "fall"))


def test_the_defaults_of_the_page_are_those_of_the_program() -> None:
    for key in database_format.CHECK_KEYS:
        written = key.schema.get("default")
        if written is not None:
            seconds = duration(written, 600, "") if isinstance(written, str) else written
            assert getattr(Check(), key.name) == seconds


def test_every_role_balance_and_zone_is_on_the_page() -> None:
    assert [role.value for role in TargetSessionAttrs if f"| `{role.value}` |" not in PAGE] == []
    assert [balance.value for balance in Balance if f"| `{balance.value}` |" not in PAGE] == []
    assert [name for name in ZONES if f"`{name}`" not in PAGE] == []
