"""What the README shows is a part of the files somebody deploys."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tests.deployment.files import REPOSITORY, parsed, services


def snippet(heading: str) -> Any:
    """The YAML shown under a heading of the README."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    (shown,) = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    return yaml.safe_load(shown)


def not_in(shown: Any, shipped: Any, path: str = "") -> list[str]:
    """Where the shown says something else than the shipped; that may say more."""
    if isinstance(shown, dict) and isinstance(shipped, dict):
        return [
            difference
            for key, value in shown.items()
            for difference in not_in(value, shipped.get(key), f"{path}.{key}")
        ]
    if isinstance(shown, list) and isinstance(shipped, list):
        return [f"{path}: {item}" for item in shown if all(not_in(item, other) for other in shipped)]
    return [] if shown == shipped else [f"{path}: {shown}"]


def test_a_difference_is_found() -> None:
    assert not_in({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": 2}, 3]}) == []
    assert not_in({"a": [{"b": 2}]}, {"a": [{"b": 1}]}) == [".a: {'b': 2}"]
    assert not_in({"a": {"b": 1}}, {"a": {}}) == [".a.b: 1"]


def test_the_readme_shows_what_compose_yaml_says() -> None:
    shown = snippet("Five minutes: docker compose")["services"]
    shown["orders-app"] = shown.pop("app")
    assert shown["orders-app"].pop("image") == "your-application"
    # Whoever has both databases, as compose.yaml has, leaves it out.
    assert shown["ambassador"]["environment"].pop("DBAMBASSADOR_DATABASE") == "orders"
    assert not_in(shown, services()) == []


def test_the_readme_shows_what_the_base_says() -> None:
    shown = snippet("Five minutes: Kubernetes")
    assert not_in(shown, parsed(REPOSITORY / "manifests" / "base" / "kustomization.yaml")) == []
