"""Commands and running ambassadors, as tests start them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbambassador.demo.ports import free_port
from dbambassador.errors import ExitCode
from tests.testbed.processes import StartAmbassador, command


def test_a_command_gives_its_output_and_exit_code() -> None:
    told = command("--version")
    assert told.code == 0
    assert told.output.startswith("dbambassador ")
    assert told.errors == ""


def test_bad_usage_is_told_on_standard_error() -> None:
    told = command("no-such-command")
    assert told.code == 1
    assert "no-such-command" in told.errors


def test_an_ambassador_runs_until_it_is_told_to_end(tmp_path: Path, ambassador: StartAmbassador) -> None:
    port = free_port()
    (tmp_path / "test.yaml").write_text(
        f"environment: test\ndatabases: {{orders: {{protocol: postgresql, listen: ['localhost:{port}'], "
        "endpoint: '127.0.0.1:1'}}\n"
    )
    running = ambassador("--environments", tmp_path, "--environment", "test", "--structured-logs")
    assert running.get("/startup")[0] == 200
    assert running.status()
    assert running.events()
    assert running.wait_for(str(port))
    with pytest.raises(AssertionError, match="did not log a line"):
        running.wait_for("what it never says", timeout=0.2)
    assert running.stop() == ExitCode.SIGTERM
    assert running.get("/startup") == (0, "")


def test_one_that_ends_at_once_says_why(tmp_path: Path, ambassador: StartAmbassador) -> None:
    with pytest.raises(AssertionError, match="it ended with 1"):
        ambassador("--environments", tmp_path / "none")
