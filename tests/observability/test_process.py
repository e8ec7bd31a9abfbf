from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from dbambassador.observability.metrics import families, process


def test_this_process() -> None:
    began = process.measured()
    deadline = time.process_time() + 0.05
    while time.process_time() < deadline:
        pass
    with open(os.devnull) as one, open(os.devnull) as other:
        found = process.measured()
        assert found[families.OPEN_FDS] == began[families.OPEN_FDS] + len((one, other))
    assert found[families.CPU] - began[families.CPU] == pytest.approx(0.05, abs=0.04)
    assert 5e6 < found[families.RESIDENT] < found[families.VIRTUAL]
    assert time.time() - 86400 < found[families.BORN] < time.time()
    assert found[families.MAX_FDS] >= found[families.OPEN_FDS]


def test_a_system_without_such_files_has_no_values(tmp_path: Path) -> None:
    assert process.measured(tmp_path) == {}
