"""systemd's unit: systemd finds nothing wrong with it, and the ambassador works as it has it."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dbambassador.cli import FLAGS
from dbambassador.demo.postgresql import PostgreSQL
from dbambassador.errors import ExitCode
from tests.deployment.files import REPOSITORY
from tests.end_to_end.setting import CHOSEN, environments, port_of, postgresql_database
from tests.end_to_end.test_postgresql import connect
from tests.testbed.hardened import settings
from tests.testbed.processes import SOURCE, StartAmbassador, command, environ
from tests.testbed.requirements import require, require_root

UNIT = REPOSITORY / "systemd" / "dbambassador.service"
DROP_IN = REPOSITORY / "systemd" / "dbambassador.service.d" / "check.conf"
GUIDE = REPOSITORY / "docs" / "systemd.md"
PROGRAM = "/opt/dbambassador/bin/dbambassador"


@pytest.fixture
def notify(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        yield manager


def told(manager: socket.socket, wanted: str) -> list[str]:
    """The messages up to the one that has this assignment."""
    messages: list[str] = []
    while not messages or wanted not in messages[-1].split("\n"):
        messages.append(manager.recv(65536).decode())
    return messages


def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    require("systemd-analyze", package="systemd")
    unit = UNIT.read_text().replace(PROGRAM, sys.executable)
    drop_in = tmp_path / f"{UNIT.name}.d"
    drop_in.mkdir()
    shutil.copy(DROP_IN, drop_in)
    (tmp_path / UNIT.name).write_text(unit)
    _assert_silent("systemd-analyze", "verify", "--man=no", tmp_path / UNIT.name)
    looked = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", tmp_path / UNIT.name],
        capture_output=True,
        text=True,
        check=True,
    )
    level = re.search(r"exposure level for \S+: ([0-9.]+)", looked.stdout)
    assert level is not None
    assert float(level[1]) < 2.0, looked.stdout


def _assert_silent(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_unit_leaves_time_for_the_shutdown_and_the_flags_exist() -> None:
    unit = settings(UNIT)
    (start,) = unit["ExecStart"]
    program, command, *flags = start.split()
    assert (program, command) == (PROGRAM, "run")
    known = {f"--{flag.name}" for flag in FLAGS["run"]}
    assert {flag for flag in flags if flag.startswith("--")} <= known
    delay = int(flags[flags.index("--max-sigterm-delay") + 1].removesuffix("s"))
    assert int(unit["TimeoutStopSec"][0].removesuffix("s")) > delay


def test_a_port_that_is_taken_is_tried_again_for_as_long_as_it_takes() -> None:
    """systemd's own limit is five starts within 10 seconds."""
    unit = settings(UNIT)
    assert unit["StartLimitIntervalSec"] == ["0"]
    assert unit["Restart"] == ["on-failure"]
    assert str(int(ExitCode.CANNOT_LISTEN)) not in unit["RestartPreventExitStatus"][0].split()


def test_it_lives_under_the_hardening_of_its_unit(
    ambassador: StartAmbassador, postgresql: PostgreSQL, notify: socket.socket, tmp_path: Path
) -> None:
    require("systemd-analyze", package="systemd")
    require_root()
    directory = tmp_path / "run"
    directory.mkdir()
    database = postgresql_database(f"127.0.0.1:{postgresql.port}", check={"user": "postgres"})
    database["listen"].append(f"unix:{directory}/.s.PGSQL.5432")
    hardened = (sys.executable, "-m", "tests.testbed.hardened", str(UNIT), str(directory))
    running = ambassador(
        "--environments",
        environments(tmp_path, orders=database),
        *CHOSEN,
        "--exit-zero-on-sigterm",
        variables={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"},
        prefix=hardened,
    )
    before = told(notify, "READY=1")
    assert "STATUS=environment here" in "\n".join(before)
    assert told(notify, "WATCHDOG=1")
    with connect(port_of(database)) as session:
        assert session.execute("SELECT 1").fetchone() == (1,)
    with psycopg.connect(f"host={directory} port=5432 user=postgres") as session:
        assert session.execute("SELECT 1").fetchone() == (1,)
    (address,) = running.status()["databases"][0]["addresses"]
    assert address["role"] == "primary"
    assert running.stop() == 0
    assert told(notify, "STOPPING=1")
    assert not list(directory.iterdir())


def test_the_hardening_of_the_test_denies_what_the_unit_denies(tmp_path: Path) -> None:
    require("systemd-analyze", package="systemd")
    require_root()
    denied = {
        "open('/tmp/x', 'w')": "Read-only file system",
        "__import__('mmap').mmap(-1, 4096, prot=7)": "Permission denied",
        "__import__('socket').socket(17, 3)": "Operation not permitted",
        "__import__('os').chroot('/')": "Operation not permitted",
    }
    for call, reason in denied.items():
        done = subprocess.run(
            [sys.executable, "-m", "tests.testbed.hardened", UNIT, tmp_path, sys.executable, "-c", call],
            capture_output=True,
            text=True,
            env=environ(),
            cwd=SOURCE,
        )
        assert reason in done.stderr, (call, done.stderr)


def test_ready_comes_after_the_listeners_and_no_signs_of_life_for_another_process(
    ambassador: StartAmbassador, notify: socket.socket, tmp_path: Path
) -> None:
    running = ambassador(
        "--environments",
        environments(tmp_path, orders=postgresql_database("127.0.0.1:1")),
        *CHOSEN,
        variables={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"},
        ready=False,
    )
    started = told(notify, "READY=1")
    assert running.get("/startup")[0] == 200
    running.send(signal.SIGHUP)
    told(notify, "RELOADING=1")
    told(notify, "READY=1")
    running.send(signal.SIGTERM)
    messages = told(notify, "STOPPING=1")
    assert "WATCHDOG=1" not in started + messages
    assert "STATUS=shutting down (SIGTERM), 0 sessions" in messages[-1]
    assert running.wait() == 143


def test_the_guide_names_the_files_that_are_there() -> None:
    guide = GUIDE.read_text()
    for path in (UNIT, DROP_IN):
        assert str(path.relative_to(REPOSITORY)) in guide
    for line in DROP_IN.read_text().splitlines():
        if line.startswith("LoadCredential="):
            name, _, source = line.removeprefix("LoadCredential=").partition(":")
            assert f"/run/credentials/{UNIT.name}/{name}" in guide
            assert source in guide


def test_the_guides_environment_is_valid_and_chosen_by_its_name(tmp_path: Path) -> None:
    (file,) = re.findall(r"^```yaml\n(environment:.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "on-prem.yaml").write_text(file)
    assert command("check", "--environments", tmp_path).code == 0
    explained = command("explain", "--environments", tmp_path, "--environment", "on-prem")
    assert "Chosen: on-prem (production)" in explained.output
    assert f"unix:/run/{settings(UNIT)['RuntimeDirectory'][0]}/" in explained.output
