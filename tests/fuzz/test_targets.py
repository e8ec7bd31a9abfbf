"""A short run of every target, the same each time; and that nothing which reads bytes is left out."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from types import ModuleType

import pytest

from dbambassador import protocols
from dbambassador.forwarding import wires
from tests.fuzz.campaign import Campaign
from tests.fuzz.coverage import Coverage
from tests.fuzz.execution import watching
from tests.fuzz.registry import TARGETS
from tests.fuzz.target import Target

SEED = 1


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_input_has_the_end_that_is_promised(target: Target) -> None:
    with watching() as watch:
        campaign = Campaign(target, SEED, watch)
        campaign.sow()
        campaign.run(target.short)
    assert not campaign.findings, "\n".join(map(str, campaign.findings))
    assert campaign.coverage.reached & campaign.coverage.lines, "it does not run what it is said to cover"


def test_every_protocol_and_wire_is_a_target() -> None:
    covered = {module for target in TARGETS for module in target.covers}
    missing = [module.__name__ for module in _with_functions() if module not in covered]
    assert not missing


def _with_functions() -> list[ModuleType]:
    names = [
        f"{package.__name__}.{module.name}"
        for package in (protocols, wires)
        for module in pkgutil.iter_modules(package.__path__)
    ]
    return [module for module in map(import_module, names) if Coverage([module]).lines]


def test_names_are_unique() -> None:
    assert len({target.name for target in TARGETS}) == len(TARGETS)
