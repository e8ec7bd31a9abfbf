from __future__ import annotations

import argparse
import resource
import socket
import subprocess
import sys
import threading
import time

import pytest

from dbambassador.commands import probe
from dbambassador.errors import ExitCode
from tests.commands.stub import stub
from tests.observability import samples

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBAMBASSADOR_HTTP_ADDRESS", raising=False)
    monkeypatch.delenv("DBAMBASSADOR_HTTP_PORT", raising=False)


def test_yes_is_silent_and_no_says_why(capsys: Capture) -> None:
    with stub(samples.awaiting()) as ambassador:
        port = ["--http-port", str(ambassador.health_port)]
        assert probe.main(["liveness", *port]) == 0
        assert capsys.readouterr() == ("", "")
        for check in ("startup", "readiness"):
            assert probe.main([check, *port]) == 1
            why = "waiting for k8s.node.label.tier: the API server did not answer"
            assert capsys.readouterr().out == f"{check}: {why}\n"
        ambassador.snapshot = samples.running()
        assert probe.main(["startup", f"--http-port={ambassador.health_port}"]) == 0


def test_variables_and_argparse(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    parser = argparse.ArgumentParser()
    probe.configure(parser)
    with stub(samples.running()) as ambassador:
        monkeypatch.setenv("DBAMBASSADOR_HTTP_PORT", str(ambassador.health_port))
        monkeypatch.setenv("DBAMBASSADOR_HTTP_ADDRESS", "0.0.0.0")
        assert probe.main(["readiness"]) == 0
        options = parser.parse_args(["readiness"])
        options.http_address, options.http_port = "0.0.0.0", ambassador.health_port
        assert probe.run(options) is ExitCode.DONE
        options.http_port = 1
        assert probe.run(options) is ExitCode.INVALID
    assert "connection refused" in capsys.readouterr().out.lower()


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("", "127.0.0.1"),
        ("localhost", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "::1"),
        ("[::]", "::1"),
        ("[::1]", "::1"),
        ("127.0.0.2", "127.0.0.2"),
        ("10.0.0.5", "10.0.0.5"),
    ],
)
def test_where_to_reach_a_server_on_an_address(address: str, host: str) -> None:
    assert probe.destination(address) == host


def test_an_ambassador_open_to_other_hosts_is_reached() -> None:
    with stub(samples.running(), http_address="0.0.0.0") as ambassador:
        words = ["readiness", "--http-address", "0.0.0.0", "--http-port", str(ambassador.health_port)]
        assert probe.main(words) == 0


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "name one of startup, readiness, liveness"),
        (["startup", "readiness"], "name one of"),
        (["health"], "unknown argument 'health'"),
        (["startup", "--http-port"], "--http-port needs a value"),
        (["startup", "--http-port="], "--http-port needs a value"),
        (["startup", "--http-port", "x"], "found port 'x', expected 1 to 65535"),
        (["startup", "--http-port", "65536"], "found port '65536'"),
        (["startup", "--http-port", "9" * 5000], "expected 1 to 65535"),
        (["startup", "--verbose"], "unknown argument '--verbose'"),
    ],
)
def test_wrong_usage(words: list[str], problem: str, capsys: Capture) -> None:
    assert probe.main(words) == 1
    shown = capsys.readouterr()
    assert problem in shown.err
    assert "usage: dbambassador probe" in shown.err


def test_help(capsys: Capture) -> None:
    assert probe.main(["--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: dbambassador probe")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "does not speak HTTP"),
        (b"SSH-2.0-OpenSSH\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "status 404"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\nno\x1b[2J\n", "no?[2J"),
        (b"HTTP/1.1 500 x\r\n\r\n" + b"x" * 1_000_000, "xxx"),
        (b"HTTP/1.0 200 OK\r\n\r\nok", ""),
    ],
)
def test_answers_of_others(answer: bytes, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                try:
                    connection.sendall(answer)
                except OSError:
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        why_not = probe.ask("127.0.0.1", server.getsockname()[1], "/startup")
        thread.join()
    assert said in why_not
    assert (why_not == "") == (said == "")


def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert "within 0.1 s" in probe.ask("127.0.0.1", server.getsockname()[1], "/startup")


def test_an_answer_that_drips_is_given_up_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                try:
                    while True:
                        connection.sendall(b"x")
                        time.sleep(0.02)
                except OSError:
                    pass

        thread = threading.Thread(target=drip)
        thread.start()
        assert "within 0.3 s" in probe.ask("127.0.0.1", server.getsockname()[1], "/startup")
        thread.join()


PROGRAM = """
import sys
from dbambassador.commands.probe import main
code = main(sys.argv[1:])
heavy = {"trio", "h11", "ssl", "http", "argparse", "json", "dataclasses", "typing"} & set(sys.modules)
sys.exit(f"imported {sorted(heavy)}" if heavy else code)
"""

BUDGET = 0.045
"""Seconds of CPU: at a tenth of a CPU, half of the 1 s after which a kubelet gives up."""


def test_it_stays_within_its_budget_of_cpu() -> None:
    spent = []
    with stub(samples.running()) as ambassador:
        command = [sys.executable, "-c", PROGRAM, "readiness", "--http-port", str(ambassador.health_port)]
        for _ in range(7):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            assert (done.returncode, done.stderr) == (0, "")
            spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(spent) < BUDGET  # whatever else runs on the machine only adds to it
