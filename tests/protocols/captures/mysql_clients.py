"""Clients of MySQL and MariaDB: PyMySQL, and the one of the package, which is libmariadb."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress

import pymysql

from tests.protocols.captures import Words
from tests.protocols.captures.recording import PATIENCE, Recorder


def session(
    recorder: Recorder, user: str, password: str, database: str | None = None, *, tls: bool = False
) -> Words:
    """By PyMySQL."""
    with suppress(pymysql.MySQLError):
        pymysql.connect(
            host="127.0.0.1",
            port=recorder.port,
            user=user,
            password=password,
            database=database,
            autocommit=None,
            ssl={} if tls else None,
            ssl_disabled=not tls,
            connect_timeout=10,
        ).close()
    return _the_one(recorder)


def client(recorder: Recorder, user: str, password: str, *options: str) -> Words:
    """By the client of the package, which is libmariadb."""
    program = shutil.which("mariadb")
    if program is None:
        raise SystemExit("mariadb is not installed: apt-get install mariadb-client")
    address = ("--no-defaults", "-h127.0.0.1", f"-P{recorder.port}", f"-u{user}", f"-p{password}")
    subprocess.run(
        [program, *address, *options, "-e", "DO 1"], capture_output=True, timeout=PATIENCE, check=False
    )
    return _the_one(recorder)


def _the_one(recorder: Recorder) -> Words:
    (words,) = recorder.taken()
    return words
