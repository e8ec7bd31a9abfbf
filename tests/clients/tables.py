"""The tables: which servers, which clients, and what each client is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.clients import clients, mysql, postgresql
from tests.clients.cases import Case, Expected, NotTried, Refused, Works
from tests.clients.client import Answer, Client
from tests.clients.stage import Stage


@dataclass(frozen=True, slots=True)
class Table:
    """Servers that behave alike, and all their clients."""

    servers: tuple[str, ...]
    """By the names of `STAGES`."""
    clients: Mapping[str, Callable[[], Client]]
    cases: tuple[Case, ...]
    logins: Mapping[str, str]
    """For the page: what each account is about."""


TABLES = (
    Table(
        ("PostgreSQL 15", "PostgreSQL 18"),
        clients.POSTGRESQL,
        postgresql.CASES,
        {
            "scram": "`scram-sha-256`",
            "scram_tls": "`scram-sha-256`, `hostssl`",
            "md5": "`md5`",
            "password": "`password`, `hostssl`",
            "cert": "`cert`",
        },
    ),
    Table(
        ("MariaDB",),
        clients.MYSQL,
        mysql.MARIADB_CASES,
        {
            "native": "`mysql_native_password`",
            "native_tls": "`mysql_native_password`, `REQUIRE SSL`",
            "native_x509": "`mysql_native_password`, `REQUIRE X509`",
            "ed25519": "`ed25519`",
        },
    ),
    Table(
        ("MySQL",),
        clients.MYSQL,
        mysql.MYSQL_CASES,
        {
            "sha2": "`caching_sha2_password`",
            "sha2_tls": "`caching_sha2_password`, `REQUIRE SSL`",
            "sha2_x509": "`caching_sha2_password`, `REQUIRE X509`",
            "sha256": "`sha256_password`",
        },
    ),
)


@dataclass(frozen=True, slots=True)
class Tried:
    """All cases of a table, by one client on one server."""

    wrong: tuple[str, ...]
    """What did not happen as expected, in a line each."""
    version: str
    """The client's."""


def try_all(table: Table, server: str, client: str, stage: Stage) -> Tried:
    """Starts the client and asks it everything. Skips the test where the machine does not have the client."""
    asked = table.clients[client]()
    wrong, version = [], ""
    try:
        for case in table.cases:
            expected = case.of(client)
            if case.server in ("", server) and not isinstance(expected, NotTried):
                answer = asked.ask(stage.request(case))
                version = answer.version or version
                if not met(expected, answer):
                    wrong.append(f"{case}: {answer}")
    finally:
        asked.close()
    return Tried(tuple(wrong), version)


def met(expected: Expected, answer: Answer) -> bool:
    """Whether it went as expected."""
    match expected:
        case Works(encrypted):
            return answer.ok and answer.encrypted == encrypted
        case Refused(words):
            return not answer.ok and words in f"{answer.code} {answer.message}"
        case NotTried():
            return True
