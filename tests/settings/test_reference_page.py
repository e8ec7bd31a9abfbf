"""docs/environments.md agrees with the program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dbambassador.profiles.proofs import prove
from dbambassador.profiles.selection import Verdict
from dbambassador.settings import format
from dbambassador.settings.decoding import File, decode
from dbambassador.settings.reading import Key
from dbambassador.settings.schema import Catalogue

PAGE = (Path(__file__).parents[2] / "docs" / "environments.md").read_text()
EXAMPLE = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_its_example_decodes_and_passes() -> None:
    assert EXAMPLE is not None

    profiles, problems = decode(None, [File("production.yaml", "production", EXAMPLE[1].encode())])

    assert [str(problem) for problem in problems] == []
    assert not [finding for finding in prove(Catalogue("docs", profiles)) if finding.failed]


@pytest.mark.parametrize(
    "keys",
    [
        format.ENVIRONMENT_KEYS,
        format.DATABASE_KEYS,
        format.ENDPOINT_KEYS,
        format.SELECTOR_KEYS,
        format.EXPRESSION_KEYS,
        format.EXPECTATION_KEYS,
    ],
)
def test_every_key_is_on_the_page(keys: tuple[Key, ...]) -> None:
    assert [key.name for key in keys if not re.search(rf"`{key.name}\b", PAGE)] == []


def test_every_verdict_and_proof_is_on_the_page() -> None:
    proofs = {finding.proof for finding in prove(Catalogue("docs", ()))}

    assert [verdict.value for verdict in Verdict if f"| `{verdict.value}` |" not in PAGE] == []
    assert [proof for proof in proofs if f"| `{proof}` |" not in PAGE] == []
