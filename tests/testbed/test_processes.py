"""Commands and running ambassadors, as tests start them."""

from __future__ import annotations

from tests.testbed.processes import command


def test_a_command_gives_its_output_and_exit_code() -> None:
    told = command("--version")
    assert told.code == 0
    assert told.output.startswith("dbambassador ")
    assert told.errors == ""


def test_bad_usage_is_told_on_standard_error() -> None:
    told = command("no-such-command")
    assert told.code == 1
    assert "no-such-command" in told.errors
