"""docs/inject.md shows what is printed, and names every flag."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from dbambassador.commands import inject
from dbambassador.errors import InvalidConfiguration
from dbambassador.injection.manifest import File, injected
from dbambassador.injection.sidecar import Wanted
from dbambassador.injection.workloads import POD_SPECS

PAGE = (Path(__file__).parents[2] / "docs" / "inject.md").read_text(encoding="utf-8")
MIGRATING = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
spec:
  template:
    spec:
      initContainers:
        - name: migrate
          image: shop:1
      containers:
        - name: shop
          image: shop:1
"""


def test_the_lines_shown_are_those_printed_in_their_order() -> None:
    (shown,) = re.findall(r"```diff\n(.*?)```", PAGE, re.DOTALL)
    before = iter(MIGRATING.splitlines())
    after = iter(injected([File("a.yaml", MIGRATING.encode())], Wanted()).text.splitlines())
    for line in shown.splitlines():
        if line != "…":
            assert line[1:] in after
            assert line.startswith("+") or line[1:] in before


def test_every_flag_and_every_kind_is_told() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    inject.configure(parser)
    for flag in (flag for action in parser._actions for flag in action.option_strings):
        assert f"`{flag}" in PAGE
    for _, kind in POD_SPECS:
        assert kind in PAGE


def test_the_refusal_shown_is_the_one_printed() -> None:
    (shown,) = re.findall(r"^dbambassador: (deployment\.yaml.*)$", PAGE, re.MULTILINE)
    text = "# …\n" * 8 + MIGRATING.replace("metadata:\n", "x: &tools []\nmetadata:\n").replace(
        "\n        - name: migrate\n          image: shop:1\n", " *tools\n"
    )
    with pytest.raises(InvalidConfiguration) as refused:
        injected([File("deployment.yaml", text.encode())], Wanted())
    assert str(refused.value) == shown
