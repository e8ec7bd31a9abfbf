from __future__ import annotations

import argparse
import socket

import pytest

from dbambassador.commands import shutdown
from dbambassador.errors import ExitCode, NotRunning
from tests.commands.stub import stub
from tests.observability import samples


def test_asks_the_running_ambassador_to_end(capsys: pytest.CaptureFixture[str]) -> None:
    with stub(samples.running()) as ambassador:
        assert shutdown.run(argparse.Namespace(admin_port=ambassador.admin_port)) is ExitCode.DONE
        assert ambassador.quit.wait(5)
    assert capsys.readouterr().out == "shutting down\n"


def test_says_that_nothing_runs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(NotRunning, match="no running dbambassador"):
        shutdown.run(argparse.Namespace(admin_port=port))
