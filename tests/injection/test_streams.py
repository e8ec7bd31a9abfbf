"""Several files become the documents of one stream."""

from __future__ import annotations

import pytest

from dbambassador.injection.manifest import File, injected
from dbambassador.injection.sidecar import Wanted
from tests.injection.model import expected, loaded

ONE = "apiVersion: v1\nkind: Pod\nspec: {containers: [{name: one, image: one}]}"
OTHER = '{"apiVersion": "v1", "kind": "Service"}'


@pytest.mark.parametrize(
    "second",
    [
        OTHER,
        f"---\n{OTHER}\n",
        f"# about it\n\n--- # here\n{OTHER}",
        f"%YAML 1.1\n---\n{OTHER}\n",
        f"# about it\n%YAML 1.1\n---\n{OTHER}\n...\n",
        f"\ufeff{OTHER}",
        f"\ufeff---\r\n{OTHER}\r\n",
    ],
)
@pytest.mark.parametrize(
    "first", [ONE, f"{ONE}\n", f"{ONE}\n...\n", f"{ONE}\r\n", f"\ufeff{ONE}", "# nothing", ""]
)
def test_each_file_is_read_as_it_was_alone(first: str, second: str) -> None:
    files = [File("a.yaml", first.encode()), File("b.yaml", second.encode())]
    assert loaded(injected(files, Wanted()).text) == expected(first) + loaded(second)


def test_between_two_files_there_is_one_line_at_most() -> None:
    files = [
        File(name, text.encode())
        for name, text in (("a", OTHER + "\n"), ("b", OTHER + "\n"), ("c", f"---\n{OTHER}\n"))
    ]
    assert injected(files, Wanted()).text == f"{OTHER}\n---\n{OTHER}\n---\n{OTHER}\n"


def test_outcomes_name_file_and_line() -> None:
    files = [File("a.yaml", f"---\n\n{ONE}".encode()), File("b.json", OTHER.encode())]
    found = [(each.file, each.line, each.kind, each.what) for each in injected(files, Wanted()).outcomes]
    assert found == [("a.yaml", 3, "Pod", "injected"), ("b.json", 1, "Service", "not injected: has no pods")]
