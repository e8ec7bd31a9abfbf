"""What MySQL servers and their clients say to each other when a session begins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.protocols.captures import Words
from tests.protocols.captures.mysql_clients import client, session
from tests.protocols.captures.recording import recording
from tests.testbed.mysql import PASSWORD, USER, MySQL

_SHA2 = "--default-auth=caching_sha2_password"


def scenes(directory: Path) -> Iterator[tuple[str, Words]]:
    """A name and what was said, for each; a server runs meanwhile.

    It keeps a hash of the password once an account has logged in: only then is the fast way open.
    """
    server = MySQL.created(directory, "a")
    try:
        server.start()
        with recording(server.port) as recorder:
            yield "full-authentication-by-rsa", session(recorder, USER, PASSWORD)
            yield "fast-authentication", session(recorder, USER, PASSWORD)
            yield "fast-authentication-of-libmariadb", client(recorder, USER, PASSWORD, "--skip-ssl", _SHA2)
            yield "wrong-password", session(recorder, USER, "wrong")
            yield "unknown-database", session(recorder, USER, PASSWORD, "nowhere")
            yield "tls", session(recorder, USER, PASSWORD, tls=True)
            server.query("CREATE USER nobody@'%'")
            yield "no-password", session(recorder, "nobody", "")
            server.query("SET GLOBAL offline_mode = ON")
            yield "offline", session(recorder, "nobody", "")
    finally:
        server.stop()
