"""Clients of databases, each in a program of its own, behind one contract.

A request is a flat mapping of strings:

* `host` and `port`, or `socket` as well; `user`, `password`, `database`;
* `tls`, what the client shall want: `disable`, `require`, `verify-full`, or `default`, to say nothing of it;
* `ca`, the file to verify with;
* `text`, to be written into a table and read back;
* for those that can, `sslcert` and `sslkey`, `channel_binding`, and `public_key`: the server may tell it.

The program logs in, runs `SELECT 1`, writes and reads, asks the server whether it is encrypted, and leaves.
Its answer is a flat mapping of strings too: `ok`, empty if refused, `encrypted` and `version`, or `code` and
`message`.
"""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import ClassVar

from dbambassador.demo.leash import leash

PATIENCE = 20.0
"""Seconds for one answer. The clients themselves give up after ten."""

TABLE = "CREATE TEMPORARY TABLE words (word VARCHAR(80))"


@dataclass(frozen=True, slots=True)
class Answer:
    """How one attempt ended."""

    ok: bool
    encrypted: bool = False
    """As the server says of its own side."""
    code: str = ""
    """SQLSTATE of PostgreSQL, number of MySQL; empty where the client does not tell."""
    message: str = ""
    version: str = ""
    """The client's own."""

    def __str__(self) -> str:
        if self.ok:
            return f"works, {'encrypted' if self.encrypted else 'plain'}"
        return f"refused: {' '.join(filter(None, (self.code, self.message.strip())))}"


class Client(ABC):
    """Something that can be asked."""

    @abstractmethod
    def ask(self, request: Mapping[str, str]) -> Answer:
        """One attempt, to its end."""

    def close(self) -> None:
        """Ends the program, where it is one that stays."""
        return


class Program(Client):
    """A program that is asked in lines, and so starts once for many attempts."""

    def __init__(self, command: Sequence[str | Path], variables: Mapping[str, str] | None = None) -> None:
        self._errors = TemporaryFile()  # noqa: SIM115 - closed with the program; nobody would read a pipe
        self._process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**clean_environ(), **(variables or {})},
            cwd="/",
        )
        leash.hold(self._process.pid)

    def ask(self, request: Mapping[str, str]) -> Answer:
        asking, answering = self._process.stdin, self._process.stdout
        assert asking is not None
        assert answering is not None
        try:
            asking.write(json.dumps(dict(request), ensure_ascii=False).encode() + b"\n")
            asking.flush()
        except BrokenPipeError:
            raise AssertionError(f"it has ended:\n{self._told()}") from None
        if not select.select([answering], [], [], PATIENCE)[0]:
            raise AssertionError(f"no answer within {PATIENCE:g} s:\n{self._told()}")
        line = answering.readline()
        if not line:
            raise AssertionError(f"it ended instead of answering:\n{self._told()}")
        told: dict[str, str] = json.loads(line)
        return _judged(told, request["text"])

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        leash.release(self._process.pid)
        self._errors.close()

    def _told(self) -> str:
        """What the program wrote besides its answers."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")


class CommandLine(Client):
    """A command that is run for each attempt, and prints a value in a line."""

    STATEMENTS: ClassVar[tuple[str, ...]]

    def __init__(self, program: Path) -> None:
        self._program = program
        # As: mariadb  Ver 15.1 Distrib 10.11.18-MariaDB, for debian-linux-gnu
        self._version = re.findall(r"\d+(?:\.\d+)+", self._run("--version").stdout)[-1]

    def ask(self, request: Mapping[str, str]) -> Answer:
        done = self._run(*self._arguments(request), variables=self._variables(request))
        if done.returncode != 0:
            return self._refusal(done.stderr)
        # MySQL's answer about TLS has the variable's name in a column before its value.
        one, text, encrypted = (line.rpartition("\t")[2] for line in done.stdout.split("\n")[:3])
        told = {"ok": "yes" if one == "1" else "", "text": text, "encrypted": encrypted}
        return _judged({**told, "version": self._version}, request["text"])

    @abstractmethod
    def _arguments(self, request: Mapping[str, str]) -> Sequence[str]: ...

    @abstractmethod
    def _variables(self, request: Mapping[str, str]) -> Mapping[str, str]: ...

    def _refusal(self, errors: str) -> Answer:
        return Answer(False, message=errors)

    def _run(
        self, *arguments: str, variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={**clean_environ(), **(variables or {})},
            cwd="/",
        )


class Psql(CommandLine):
    """libpq as everybody knows it."""

    def _arguments(self, request: Mapping[str, str]) -> Sequence[str]:
        place = {"host": request["host"], "port": request["port"]}
        if "socket" in request:
            directory, _, name = request["socket"].rpartition("/")
            place = {"host": directory, "port": name.rpartition(".")[2]}
        wish = {} if request["tls"] == "default" else {"sslmode": request["tls"]}
        if request["tls"] == "verify-full":
            wish["sslrootcert"] = request["ca"]
        own = {key: request[key] for key in ("sslcert", "sslkey", "channel_binding") if key in request}
        account = {"user": request["user"], "dbname": request["database"], "connect_timeout": "10"}
        conninfo = " ".join(f"{key}={value}" for key, value in {**place, **wish, **own, **account}.items())
        statements = (
            TABLE,
            f"INSERT INTO words VALUES ('{request['text']}')",
            "SELECT 1",
            "SELECT word FROM words",
            "SELECT CASE WHEN ssl THEN 'yes' ELSE '' END FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        )
        return ("-XAtq", "-v", "ON_ERROR_STOP=1", *(f"-c{sql}" for sql in statements), conninfo)

    def _variables(self, request: Mapping[str, str]) -> Mapping[str, str]:
        return {"PGPASSWORD": request["password"]}


class MysqlCommandLine(CommandLine):
    """The command line of MySQL or of MariaDB; they have the same options but those of TLS."""

    WISHES: ClassVar[Mapping[str, tuple[str, ...]]]
    """The options for each wish."""

    def _arguments(self, request: Mapping[str, str]) -> Sequence[str]:
        place = [f"-h{request['host']}", f"-P{request['port']}", "--protocol=tcp"]
        if "socket" in request:
            place = [f"-S{request['socket']}"]
        wish = (option.format(**request) for option in self.WISHES[request["tls"]])
        statements = (
            TABLE,
            f"INSERT INTO words VALUES ('{request['text']}')",
            "SELECT 1",
            "SELECT word FROM words",
            "SHOW SESSION STATUS LIKE 'Ssl_cipher'",
        )
        return (
            "--no-defaults",
            *place,
            f"-u{request['user']}",
            "--connect-timeout=10",
            "--default-character-set=utf8mb4",
            *wish,
            *self._further(request),
            "-BNe",
            "; ".join(statements),
            request["database"],
        )

    def _further(self, request: Mapping[str, str]) -> Sequence[str]:
        return ()

    def _variables(self, request: Mapping[str, str]) -> Mapping[str, str]:
        return {"MYSQL_PWD": request["password"]}

    def _refusal(self, errors: str) -> Answer:
        # As: ERROR 2026 (HY000): TLS/SSL error: …
        line = next((line for line in errors.splitlines() if line.startswith("ERROR ")), "")
        number, _, message = line.removeprefix("ERROR ").partition(" ")
        return Answer(False, code=number, message=message or errors)


class Mariadb(MysqlCommandLine):
    """MariaDB's."""

    WISHES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "default": (),
        "disable": ("--skip-ssl",),
        "require": ("--ssl",),
        "verify-full": ("--ssl-ca={ca}", "--ssl-verify-server-cert"),
    }


class Mysql(MysqlCommandLine):
    """Oracle's."""

    WISHES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "default": (),
        "disable": ("--ssl-mode=DISABLED",),
        "require": ("--ssl-mode=REQUIRED",),
        "verify-full": ("--ssl-mode=VERIFY_IDENTITY", "--ssl-ca={ca}"),
    }

    def _further(self, request: Mapping[str, str]) -> Sequence[str]:
        return ("--get-server-public-key",) if "public_key" in request else ()


def clean_environ() -> dict[str, str]:
    """Nothing that tells a client more than the request does, as PGHOST or a home with certificates."""
    kept = {name: os.environ[name] for name in ("PATH", "JAVA_HOME") if name in os.environ}
    return {**kept, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}


def _judged(told: Mapping[str, str], text: str) -> Answer:
    if not told["ok"]:
        return Answer(False, code=told.get("code", ""), message=told.get("message", ""))
    if told["text"] != text:
        raise AssertionError(f"wrote {text!r} and read {told['text']!r}")
    return Answer(True, encrypted=bool(told["encrypted"]), version=told["version"])
