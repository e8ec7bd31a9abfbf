"""Flags and exit codes. Every flag has an environment variable `DBAMBASSADOR_…`; the flag wins."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from dbambassador import __version__
from dbambassador.errors import AmbassadorError, ExitCode, InvalidConfiguration, UsageError
from dbambassador.printable import printable
from dbambassador.settings.addresses import duration
from dbambassador.settings.reading import Refused

COMMANDS = (
    "run",
    "reflect",
    "explain",
    "resolve",
    "check",
    "status",
    "wait",
    "probe",
    "reload",
    "shutdown",
    "schema",
    "inject",
    "demo",
)

EXECUTING = ("wait",)
"""Commands that become another program at their end: the words after `--`."""

DEFAULT_DIRECTORIES = ("/etc/dbambassador/environments", "environments")

_LONGEST_DELAY = 24 * 3600.0
"""Seconds; far past any termination grace period."""

_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag, and the variable that stands for it."""

    name: str
    help: str
    parse: Callable[[str], Any] | None = str
    """None for a switch."""
    default: Any = None
    repeatable: bool = False
    metavar: str = ""

    @property
    def variable(self) -> str:
        return "DBAMBASSADOR_" + self.name.upper().replace("-", "_")

    @property
    def attribute(self) -> str:
        return self.name.replace("-", "_")


def _port(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= number <= 65535:
        raise ValueError("a port from 0 to 65535")
    return number


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError("a number from 0")
    return int(text)


def _duration(text: str) -> float:
    try:
        return duration(text, _LONGEST_DELAY, "a duration such as 30s, 500ms or 2m")
    except Refused as refused:
        raise ValueError(refused.expected) from None


_DIRECTORY = Flag(
    "environments",
    f"directory of the environment files (default {DEFAULT_DIRECTORIES[0]}, else ./{DEFAULT_DIRECTORIES[1]})",
    Path,
    metavar="DIR",
)
_LOCATING = (
    _DIRECTORY,
    Flag("environment", "choose this environment by name", metavar="NAME"),
    Flag("override-match", "with --environment: even against a match that is false", None, False),
    Flag("database", "only this database (repeatable)", repeatable=True, metavar="NAME"),
    Flag("root", "prefix of every file that reflection and discovery read", Path, Path("/"), metavar="DIR"),
    Flag(
        "nameserver",
        "ask the nameserver at this IP address (repeatable; default: resolv.conf)",
        repeatable=True,
        metavar="HOST[:PORT]",
    ),
    Flag("fact", "an explicit fact (repeatable)", repeatable=True, metavar="NAME=VALUE"),
    Flag("facts-file", "explicit facts: a YAML or JSON mapping", Path, metavar="FILE"),
    Flag("metadata-services", "ask the metadata service of the cloud, where it could decide", None, False),
)
_HEALTH = (
    Flag("http-address", "address of the health and metrics port", str, "127.0.0.1", metavar="ADDRESS"),
    Flag("http-port", "health and metrics port", _port, 9090, metavar="PORT"),
)
_ADMIN = (Flag("admin-port", "admin port, always on loopback", _port, 9091, metavar="PORT"),)
_RUNNING = (
    Flag(
        "max-connections",
        "clients served at once; 0 for as many as the file descriptors suffice for",
        _count,
        0,
        metavar="N",
    ),
    Flag(
        "min-sigterm-delay", "after SIGTERM, go on accepting for so long", _duration, 0.0, metavar="DURATION"
    ),
    Flag(
        "max-sigterm-delay",
        "after that, let sessions go on for at most so long",
        _duration,
        0.0,
        metavar="DURATION",
    ),
    Flag("exit-zero-on-sigterm", "exit with 0 on SIGTERM", None, False),
    Flag("structured-logs", "log JSON lines", None, False),
    Flag("quiet", "log errors only", None, False),
    Flag("debug-logs", "log every session", None, False),
)

_PATIENCE = Flag("max", "give up after this", _duration, 30.0, metavar="DURATION")

FLAGS: Mapping[str, tuple[Flag, ...]] = {
    "run": _LOCATING + _HEALTH + _ADMIN + _RUNNING,
    "reflect": _LOCATING,
    "explain": _LOCATING,
    "resolve": _LOCATING,
    "check": (_DIRECTORY,),
    "status": _ADMIN,
    "wait": (*_LOCATING, *_HEALTH, _PATIENCE),
    "probe": _HEALTH,
    "reload": _ADMIN,
    "shutdown": _ADMIN,
}
"""The common flags of each command; its own ones are in its module."""


def main(arguments: Sequence[str]) -> int:
    """Runs one command.

    Returns: its exit code; errors are told on standard error, never as a traceback.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may know less than our tables use
    try:
        options = _parsed(arguments, os.environ)
        code: ExitCode = options.run(options)
    except AmbassadorError as error:
        _tell(error)
        code = error.exit_code
    except KeyboardInterrupt:
        code = ExitCode.SIGINT
    except BrokenPipeError:
        # The reader of our output has had enough, as in `… | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.DONE
    return int(code)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        _, _, command = self.prog.partition(" ")
        raise UsageError(f"{command}: {message}" if command else message, hint=f"{self.prog} --help")


def _parsed(arguments: Sequence[str], environ: Mapping[str, str]) -> argparse.Namespace:
    """The flags as given, and what a variable or the default says where one is not."""
    own, then = _divided(arguments)
    options, unknown = _parser(own).parse_known_args(own)
    flags = FLAGS.get(options.command, ())
    if then is not None and options.command not in EXECUTING:
        unknown.append("--")
    options.then = then or ()
    if unknown:
        raise _unknown(options.command, unknown[0], flags)
    # By name: on the command line, or by a variable.
    options.given = frozenset(
        flag.name for flag in flags if hasattr(options, flag.attribute) or environ.get(flag.variable)
    )
    for flag in flags:
        if not hasattr(options, flag.attribute):
            setattr(options, flag.attribute, _from_variable(flag, environ))
    if hasattr(options, "environments") and options.environments is None:
        # Facts can be told, and an ambassador awaited, without any environment.
        optional = options.command == "reflect" or getattr(options, "awaited", "") == "ambassador"
        options.environments = _default_directory(required=not optional)
    return options


def _divided(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str] | None]:
    """The words before the first `--` and those after it; None if there is none."""
    if "--" not in arguments:
        return arguments, None
    place = list(arguments).index("--")
    return arguments[:place], arguments[place + 1 :]


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    # No abbreviations: one that is clear today is ambiguous when the next flag comes.
    parser = _Parser(
        prog="dbambassador",
        description="Serves the database of the environment it runs in on localhost.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"dbambassador {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    # One command's modules are enough, and most are cheaper than all.
    wanted = arguments[:1] if arguments and arguments[0] in COMMANDS else COMMANDS
    for name in wanted:
        module = importlib.import_module(f"dbambassador.commands.{name}")
        command = commands.add_parser(
            name, help=module.HELP, description=_sentence(module.HELP), allow_abbrev=False
        )
        for flag in FLAGS.get(name, ()):
            _add(command, flag)
        module.configure(command)
        command.set_defaults(run=module.run)
    return parser


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _add(parser: argparse.ArgumentParser, flag: Flag) -> None:
    variable = f"{flag.variable}, comma-separated" if flag.repeatable else flag.variable
    help_text = f"{flag.help} [{variable}]"
    if flag.parse is None:
        parser.add_argument(f"--{flag.name}", action="store_true", default=argparse.SUPPRESS, help=help_text)
        return
    if flag.default is not None:
        default = f"{flag.default:g}s" if flag.parse is _duration else flag.default
        help_text += f" (default {default})"
    parser.add_argument(
        f"--{flag.name}",
        type=_argument(flag.parse),
        default=argparse.SUPPRESS,
        action="append" if flag.repeatable else "store",
        metavar=flag.metavar,
        help=help_text,
    )


def _unknown(command: str, argument: str, flags: Sequence[Flag]) -> UsageError:
    name = argument.partition("=")[0]
    nearest = get_close_matches(name, [f"--{flag.name}" for flag in flags], n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"dbambassador {command} --help"
    return UsageError(f"{command}: unknown argument {name!r}", hint=hint)


def _argument(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as expected:
            raise argparse.ArgumentTypeError(f"found {text!r}, expected {expected}") from None

    return convert


def _from_variable(flag: Flag, environ: Mapping[str, str]) -> Any:
    text = environ.get(flag.variable)
    if text is None or (text == "" and flag.parse is not None):
        return [] if flag.repeatable else flag.default
    if flag.parse is None:
        if text.lower() not in _TRUE | _FALSE:
            raise UsageError(f"{flag.variable}: found {text!r}, expected true or false")
        return text.lower() in _TRUE
    parts = [part.strip() for part in text.split(",") if part.strip()] if flag.repeatable else [text]
    try:
        values = [flag.parse(part) for part in parts]
    except ValueError as expected:
        raise UsageError(f"{flag.variable}: found {text!r}, expected {expected}") from None
    return values if flag.repeatable else values[0]


def _default_directory(*, required: bool) -> Path:
    for path in map(Path, DEFAULT_DIRECTORIES):
        if path.is_dir():
            return path
    if required:
        system, local = DEFAULT_DIRECTORIES
        raise UsageError(
            f"no directory of environment files: there is neither {system} nor ./{local}",
            hint="--environments DIR names another one",
        )
    return Path(DEFAULT_DIRECTORIES[-1])


def _tell(error: AmbassadorError) -> None:
    problems = error.problems if isinstance(error, InvalidConfiguration) else ()
    if len(problems) > 1:
        print(f"dbambassador: {len(problems)} problems", *problems, sep="\n  ", file=sys.stderr)
    else:
        print(f"dbambassador: {_lines(error.message)}", file=sys.stderr)
    if error.hint:
        print(f"  {_lines(error.hint)}", file=sys.stderr)


def _lines(text: str) -> str:
    """Keeps the lines of a table; nothing else in a message may steer the terminal."""
    return "\n".join(map(printable, text.splitlines()))
