"""Environment files for tests, in few words."""

from __future__ import annotations

from typing import Any

import yaml

from dbambassador.errors import Problem
from dbambassador.settings.decoding import File, decode
from dbambassador.settings.schema import Database, Profile


def decoded(text: str, defaults: str | None = None) -> Profile:
    (profile,), problems = decode(
        None if defaults is None else File("_defaults.yaml", "_defaults", defaults.encode()),
        [File("shop.yaml", "shop", text.encode())],
    )
    assert not problems, [str(problem) for problem in problems]
    return profile


def problems(text: str, defaults: str | None = None) -> list[Problem]:
    _, found = decode(
        None if defaults is None else File("_defaults.yaml", "_defaults", defaults.encode()),
        [File("shop.yaml", "shop", text.encode())],
    )
    return list(found)


def with_database(**keys: object) -> str:
    """An otherwise good file with one database, of which some keys are replaced; None removes one."""
    whole: dict[str, Any] = {
        "protocol": "postgresql",
        "listen": ["localhost:5432"],
        "endpoint": "db:5432",
        **keys,
    }
    database = {key: value for key, value in whole.items() if value is not None}
    return yaml.safe_dump({"environment": "test", "databases": {"orders": database}}, sort_keys=False)


def only(text: str, defaults: str | None = None) -> Problem:
    found = problems(text, defaults)
    assert len(found) == 1, [str(problem) for problem in found]
    return found[0]


def database(**keys: object) -> Database:
    """As decoded from `with_database`."""
    return decoded(with_database(**keys)).databases[0]
