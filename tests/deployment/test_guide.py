"""Every manifest that the Kubernetes guide shows is a part of a file that is tested."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.deployment.files import REPOSITORY, parsed
from tests.deployment.kustomize import BASES, COMPONENTS
from tests.deployment.test_readme import not_in

GUIDE = (REPOSITORY / "docs" / "kubernetes.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"```yaml\n# (\S+)\n(.*?)```", GUIDE, re.DOTALL)


def test_every_snippet_names_its_file() -> None:
    assert len(SHOWN) == GUIDE.count("```yaml")


@pytest.mark.parametrize(("path", "text"), SHOWN, ids=[path for path, _ in SHOWN])
def test_every_snippet_is_a_part_of_it(path: str, text: str) -> None:
    assert not_in(yaml.safe_load(text), parsed(REPOSITORY / path)) == []


def test_every_component_and_overlay_is_explained() -> None:
    linked = set(re.findall(r"\]\(\.\./(manifests/[a-z0-9./-]+?)/?\)", GUIDE))
    assert {str(path.relative_to(REPOSITORY)) for path in (*BASES, *COMPONENTS)} <= linked
    assert [
        path for path in linked if path != "manifests/monitoring" and not (REPOSITORY / path).exists()
    ] == []
