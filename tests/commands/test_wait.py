"""`wait` as an entrypoint: what it becomes. What it waits for is tested with real databases, end to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.stub import Stub, stub
from tests.observability import samples
from tests.testbed.processes import Ended, command, environ, words

SHOW = """
import os, signal, sys
ignored = [number.name for number in signal.Signals if signal.getsignal(number) is signal.SIG_IGN]
print(os.getpid(), sys.argv[1:], os.environ.get("OF_THE_APP"), ignored)
sys.exit(7)
"""


def waiting(ambassador: Stub, *arguments: str | Path) -> list[str]:
    return words("wait", "--max", "20s", "--http-port", str(ambassador.health_port), *arguments)


def test_it_becomes_the_command_with_its_words_variables_and_signals(tmp_path: Path) -> None:
    with stub(samples.running()) as ambassador:
        app = subprocess.Popen(
            waiting(ambassador, "--", sys.executable, "-c", SHOW, "--", "--max", "-x"),
            stdout=subprocess.PIPE,
            text=True,
            env=environ({"OF_THE_APP": "yes"}),
        )
        output, _ = app.communicate(timeout=30)
    # Python itself ignores SIGPIPE and SIGXFSZ again as it starts; `nohup make test` has all ignore SIGHUP.
    ignored = [number.name for number in signal.Signals if signal.getsignal(number) is signal.SIG_IGN]
    assert {"SIGPIPE", "SIGXFSZ"} <= {*ignored}
    assert output == f"{app.pid} ['--', '--max', '-x'] yes {ignored}\n"
    assert app.returncode == 7


def test_what_python_ignores_the_command_does_not() -> None:
    with stub(samples.running()) as ambassador:
        told = subprocess.run(
            waiting(ambassador, "--", "grep", "SigIgn", "/proc/self/status"),
            capture_output=True,
            text=True,
            env=environ(),
            timeout=30,
        )
    assert int(told.stdout.split()[1], 16) & (1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1)) == 0


def test_in_vain_it_becomes_nothing(tmp_path: Path) -> None:
    made = tmp_path / "made"
    with stub(samples.awaiting()) as ambassador:
        port = str(ambassador.health_port)
        ended = command("wait", "--max", "300ms", "--http-port", port, "--", "touch", made)
    assert ended.code == 5
    assert "gave up after 0.3s: waiting for k8s.node.label.tier" in ended.errors
    assert not made.exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [("no-such-program", "no such file"), ("/", "permission denied"), ("", "execv() arg 2")],
)
def test_a_command_that_is_not_there_is_told(name: str, reason: str) -> None:
    with stub(samples.running()) as ambassador:
        ended = command("wait", "--http-port", str(ambassador.health_port), "--", name)
    assert ended.code == 1
    assert f"wait: cannot execute {name!r}: {reason}" in ended.errors


def test_dashes_without_a_command_and_other_commands_with_one() -> None:
    with stub(samples.running()) as ambassador:
        assert command("wait", "--http-port", str(ambassador.health_port), "--").code == 0
    refused: Ended = command("check", "--", "ls")
    assert refused.code == 1
    assert "check: unknown argument '--'" in refused.errors


def test_a_signal_ends_it_at_once() -> None:
    with stub(samples.awaiting()) as ambassador:
        waits = subprocess.Popen(waiting(ambassador, "--", "true"), env=environ())
        try:
            assert ambassador.asked.wait(20)
            os.kill(waits.pid, signal.SIGTERM)
            assert waits.wait(10) == 143
        finally:
            waits.kill()
            waits.wait()


def test_an_entrypoint_imports_little() -> None:
    """It may have a tenth of a CPU: the whole program takes it several seconds there, this one."""
    program = "import sys; from dbambassador import cli; code = cli.main(sys.argv[1:])\n"
    program += "heavy = {'trio', 'h11', 'ssl', 'yaml', 'dns', 'psycopg', 'pymysql'} & set(sys.modules)\n"
    program += "sys.exit(f'imported {sorted(heavy)}' if heavy else code)"
    with stub(samples.running()) as ambassador:
        arguments = waiting(ambassador)[3:]  # without the interpreter and the module
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            capture_output=True,
            text=True,
            env=environ(),
            timeout=30,
        )
    assert (done.returncode, done.stderr) == (0, "")
