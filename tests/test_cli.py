"""The flags of every command, the variables that stand for them, and what a wrong one is answered."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

import pytest

from dbambassador import cli
from dbambassador.commands import status
from dbambassador.errors import (
    AmbassadorError,
    CannotListen,
    ExitCode,
    InvalidConfiguration,
    NoEnvironment,
    NotRunning,
    TimedOut,
    UsageError,
)
from tests.testbed.processes import command

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch

EVERY = sorted({(command, flag.name) for command, flags in cli.FLAGS.items() for flag in flags})

SAMPLES: dict[str, tuple[str, Any, str, Any]] = {
    "environments": ("/a", Path("/a"), "/b", Path("/b")),
    "environment": ("one", "one", "two", "two"),
    "database": ("orders,stock", ["orders", "stock"], "catalog", ["catalog"]),
    "root": ("/a", Path("/a"), "/b", Path("/b")),
    "nameserver": ("10.0.0.1, [fd00::1]:53", ["10.0.0.1", "[fd00::1]:53"], "10.0.0.2", ["10.0.0.2"]),
    "fact": ("a=1,b=2", ["a=1", "b=2"], "c=3,4", ["c=3,4"]),
    "facts-file": ("/a", Path("/a"), "/b", Path("/b")),
    "http-address": ("0.0.0.0", "0.0.0.0", "::", "::"),
    "http-port": ("8080", 8080, "0", 0),
    "admin-port": ("8081", 8081, "65535", 65535),
    "max-connections": ("100", 100, "0", 0),
    "max": ("500ms", 0.5, "2m", 120.0),
    "min-sigterm-delay": ("500ms", 0.5, "2m", 120.0),
    "max-sigterm-delay": ("30s", 30.0, "0s", 0.0),
}
"""Of each flag: a variable's text and what it means, then the flag's text and what it means."""

WRONG = {
    "http-port": "70000",
    "admin-port": "-1",
    "max-connections": "many",
    "min-sigterm-delay": "5",
    "max-sigterm-delay": "-3s",
}

REQUIRED = {"probe": ["startup"]}
"""Arguments without which a command is not understood."""


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: Patch, tmp_path: Path) -> None:
    for flag in {flag for flags in cli.FLAGS.values() for flag in flags}:
        monkeypatch.delenv(flag.variable, raising=False)
    monkeypatch.setattr(cli, "DEFAULT_DIRECTORIES", (str(tmp_path / "system"), "environments"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "environments").mkdir()


def options(monkeypatch: Patch, command: str, *arguments: str) -> argparse.Namespace:
    """What the command would be run with."""
    seen: list[argparse.Namespace] = []

    def remember(given: argparse.Namespace) -> ExitCode:
        seen.append(given)
        return ExitCode.DONE

    module = importlib.import_module(f"dbambassador.commands.{command}")
    monkeypatch.setattr(module, "run", remember)
    assert cli.main([command, *REQUIRED.get(command, []), *arguments]) == ExitCode.DONE
    return seen[0]


def variable(name: str) -> str:
    return "DBAMBASSADOR_" + name.upper().replace("-", "_")


def value(given: argparse.Namespace, name: str) -> Any:
    return getattr(given, name.replace("-", "_"))


def test_the_samples_are_of_all_flags() -> None:
    switches = {flag.name for flags in cli.FLAGS.values() for flag in flags if flag.parse is None}
    assert set(SAMPLES) | switches == {name for _, name in EVERY}


@pytest.mark.parametrize(("command", "name"), [each for each in EVERY if each[1] in SAMPLES])
def test_a_variable_stands_for_its_flag_and_the_flag_wins(
    command: str, name: str, monkeypatch: Patch
) -> None:
    text, meant, other, other_meant = SAMPLES[name]
    (flag,) = [flag for flag in cli.FLAGS[command] if flag.name == name]
    default = [] if flag.repeatable else flag.default
    if name != "environments":
        assert value(options(monkeypatch, command), name) == default
    monkeypatch.setenv(variable(name), "")  # as in a compose file that passes on what is not set
    if name != "environments":
        assert value(options(monkeypatch, command), name) == default
    monkeypatch.setenv(variable(name), text)
    assert value(options(monkeypatch, command), name) == meant
    assert value(options(monkeypatch, command, f"--{name}", other), name) == other_meant
    assert value(options(monkeypatch, command, f"--{name}={other}"), name) == other_meant


@pytest.mark.parametrize(
    ("command", "name"), [(command, name) for command, name in EVERY if name not in SAMPLES]
)
def test_a_variable_turns_a_switch_on_and_off(command: str, name: str, monkeypatch: Patch) -> None:
    assert value(options(monkeypatch, command), name) is False
    for text, meant in {"1": True, "true": True, "Yes": True, "0": False, "off": False, "": False}.items():
        monkeypatch.setenv(variable(name), text)
        assert value(options(monkeypatch, command), name) is meant
        assert value(options(monkeypatch, command, f"--{name}"), name) is True


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_told_with_its_place(name: str, monkeypatch: Patch, capsys: Capture) -> None:
    assert cli.main(["run", f"--{name}={WRONG[name]}"]) == ExitCode.INVALID
    said = capsys.readouterr().err
    assert f"--{name}: found '{WRONG[name]}', expected " in said
    monkeypatch.setenv(variable(name), WRONG[name])
    assert cli.main(["run"]) == ExitCode.INVALID
    said = capsys.readouterr().err
    assert f"{variable(name)}: found '{WRONG[name]}', expected " in said


def test_a_wrong_variable_of_a_switch_is_told(monkeypatch: Patch, capsys: Capture) -> None:
    monkeypatch.setenv("DBAMBASSADOR_QUIET", "maybe")
    assert cli.main(["run"]) == ExitCode.INVALID
    assert "DBAMBASSADOR_QUIET: found 'maybe', expected true or false" in capsys.readouterr().err


def test_a_wrong_variable_is_no_matter_where_the_flag_says_it(monkeypatch: Patch) -> None:
    monkeypatch.setenv("DBAMBASSADOR_HTTP_PORT", "tcp://10.0.0.1:9090")
    assert options(monkeypatch, "run", "--http-port", "8080").http_port == 8080
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", "--help"])
    assert ended.value.code == 0


@pytest.mark.parametrize("name", ["database", "nameserver", "fact"])
def test_a_repeated_flag_collects(name: str, monkeypatch: Patch) -> None:
    monkeypatch.setenv(variable(name), "z=0")
    given = options(monkeypatch, "resolve", f"--{name}=a=1", "--root=/", f"--{name}", "b=2")
    assert value(given, name) == ["a=1", "b=2"]


def test_what_was_asked_for_by_name_is_known(monkeypatch: Patch) -> None:
    monkeypatch.setenv("DBAMBASSADOR_ADMIN_PORT", "9091")
    assert options(monkeypatch, "run", "--http-port=9090", "--quiet").given == {
        "admin-port",
        "http-port",
        "quiet",
    }


def test_the_directory_of_the_system_comes_before_the_local_one(monkeypatch: Patch, tmp_path: Path) -> None:
    assert options(monkeypatch, "check").environments == Path("environments")
    (tmp_path / "system").mkdir()
    assert options(monkeypatch, "check").environments == tmp_path / "system"
    assert options(monkeypatch, "check", "--environments=mine").environments == Path("mine")


@pytest.mark.parametrize("command", ["run", "explain", "resolve", "check", "wait"])
def test_without_any_directory_both_places_are_named(command: str, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "environments").rmdir()
    flags = ["--for", "database"] if command == "wait" else []
    assert cli.main([command, *flags]) == ExitCode.INVALID
    said = capsys.readouterr().err
    assert str(tmp_path / "system") in said
    assert "./environments" in said
    assert "--environments" in said


def test_facts_and_a_running_ambassador_need_no_directory(monkeypatch: Patch, tmp_path: Path) -> None:
    (tmp_path / "environments").rmdir()
    assert options(monkeypatch, "reflect").environments == Path("environments")
    assert options(monkeypatch, "wait").awaited == "ambassador"


def test_help_lists_all_commands(monkeypatch: Patch, capsys: Capture) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    listed = [line.split()[0] for line in out.splitlines() if line.startswith("    ")]
    assert listed == list(cli.COMMANDS)


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_the_help_of_a_command_names_each_flag_and_its_variable(
    command: str, monkeypatch: Patch, capsys: Capture
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    for flag in cli.FLAGS.get(command, ()):
        assert f"--{flag.name}" in out
        assert flag.variable in out
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "COMMAND"),
        (["rnu"], "'rnu'"),
        (["run", "--http-prot", "1"], "did you mean --http-port?"),
        (["run", "--http-p", "1"], "did you mean --http-port?"),  # no abbreviations
        (["run", "orders"], "unknown argument 'orders'"),
        (["check", "--quiet"], "unknown argument '--quiet'"),
        (["run", "--http-port"], "--http-port"),
        (["schema", "everything"], "'everything'"),
        (["wait", "--for", "godot"], "'godot'"),
        (["wait", "--max", "long"], "--max: found 'long', expected a duration"),
        (["explain", "--fact", "name"], "NAME=VALUE"),
        (["explain", "--set", "name"], "FACT=VALUE"),
    ],
)
def test_a_command_line_that_is_not_understood(arguments: list[str], said: str, capsys: Capture) -> None:
    assert cli.main(arguments) == ExitCode.INVALID
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("dbambassador: ")
    assert said in told.err
    assert "dbambassador: dbambassador" not in told.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("it is so", hint="do this"), 1),
        (InvalidConfiguration((), hint="do this"), 1),
        (NotRunning("it is so", hint="do this"), 1),
        (NoEnvironment("it is so", hint="do this"), 3),
        (CannotListen("it is so", hint="do this"), 4),
        (TimedOut("it is so", hint="do this"), 5),
    ],
)
def test_an_error_ends_with_its_code_and_its_hint(
    error: AmbassadorError, code: int, monkeypatch: Patch, capsys: Capture
) -> None:
    def fail(given: argparse.Namespace) -> ExitCode:
        raise error

    monkeypatch.setattr(status, "run", fail)
    assert cli.main(["status"]) == code
    assert capsys.readouterr().err == f"dbambassador: {error.message}\n  do this\n"


def test_several_problems_are_counted_and_listed(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "environments/a.yaml").write_text("environment: 1\n")
    (tmp_path / "environments/b.yml").write_text("")
    assert cli.main(["check"]) == ExitCode.INVALID
    head, *problems = capsys.readouterr().err.splitlines()
    assert head == f"dbambassador: {len(problems)} problems"
    assert all(problem.startswith("  environments/") for problem in problems)


def test_ctrl_c_is_no_traceback(monkeypatch: Patch, capsys: Capture) -> None:
    def interrupted(given: argparse.Namespace) -> ExitCode:
        raise KeyboardInterrupt

    monkeypatch.setattr(status, "run", interrupted)
    assert cli.main(["status"]) == ExitCode.SIGINT
    assert capsys.readouterr().err == ""


def test_a_terminal_that_knows_little_is_no_error() -> None:
    ended = command("reflect", variables={"PYTHONIOENCODING": "ascii"})
    assert ended.code == 0, ended.errors
