from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import Any

import pytest

from dbambassador.commands import status
from dbambassador.errors import ExitCode, NotRunning
from tests.commands.stub import stub
from tests.observability import samples


def options(port: int, **changes: bool) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    status.configure(parser)
    parsed = parser.parse_args([])
    parsed.admin_port = port
    vars(parsed).update(changes)
    return parsed


def test_prints_the_status_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    with stub(samples.running()) as ambassador:
        assert status.run(options(ambassador.admin_port)) is ExitCode.DONE
    shown = capsys.readouterr().out
    assert shown.startswith("dbambassador 0.1.0: ready")
    assert "app → 127.0.0.1:5432, [::1]:5432 → orders.db.test → 10.0.0.8:5432" in shown


def test_prints_the_snapshot_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    with stub(samples.running()) as ambassador:
        assert status.run(options(ambassador.admin_port, json=True)) is ExitCode.DONE
    assert json.loads(capsys.readouterr().out) == {**samples.running(), "recent": []}


def test_says_that_nothing_runs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(
        NotRunning, match=f"no running dbambassador on 127.0.0.1:{port}: connection refused"
    ) as found:
        status.run(options(port))
    assert found.value.exit_code == 1
    assert "--admin-port" in found.value.hint


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\x1b", "answered 404: 'no\\\\x1b'"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "is not a dbambassador of this version"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "is not a dbambassador of this version"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "is not a dbambassador of this version"),
    ],
)
def test_says_that_something_else_answers(answer: bytes, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(NotRunning, match=said):
            status.run(options(server.getsockname()[1]))
        thread.join()


WATCH = """
import argparse, sys
from dbambassador.commands import status
sys.exit(status.run(argparse.Namespace(watch=True, json=sys.argv[2] == "json", admin_port=int(sys.argv[1]))))
"""


def watch(port: int, form: str, **more: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WATCH, str(port), form], stdout=subprocess.PIPE, text=True, bufsize=1, **more
    )


def test_watch_shows_it_anew_until_interrupted() -> None:
    with stub(samples.running()) as ambassador, watch(ambassador.admin_port, "json") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["phase"] == "running"
        ambassador.snapshot = {**samples.running(), "phase": "draining"}
        assert json.loads(process.stdout.readline())["phase"] == "draining"
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == ExitCode.SIGINT


def test_watch_outlives_the_ambassador() -> None:
    with stub(samples.running()) as ambassador:
        process = watch(ambassador.admin_port, "text")
        assert process.stdout is not None
        assert process.stdout.readline().startswith("dbambassador 0.1.0: ready")
    with process:
        assert any(line.startswith("✖ no running dbambassador") for line in process.stdout)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(10) == ExitCode.SIGINT
