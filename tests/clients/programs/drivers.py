"""Python's drivers, whichever the argument names. The contract is that of tests/clients/client.py.

Run by file name, also by a Python without this repository's packages: Debian's has mysqlclient.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

TABLE = "CREATE TEMPORARY TABLE words (word VARCHAR(80))"
SELECT = "SELECT word FROM words"
ENCRYPTED_POSTGRESQL = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
ENCRYPTED_MYSQL = "SHOW SESSION STATUS LIKE 'Ssl_cipher'"

Request = dict[str, str]
Answer = dict[str, Any]


def by_psycopg(request: Request) -> Answer:
    import psycopg

    parameters: dict[str, Any] = {
        "host": request["host"],
        "port": request["port"],
        "dbname": request["database"],
        **{key: request[key] for key in ("user", "password")},
        **{key: request[key] for key in ("sslcert", "sslkey", "channel_binding") if key in request},
    }
    if request["tls"] != "default":
        parameters["sslmode"] = request["tls"]
    if request["tls"] == "verify-full":
        parameters["sslrootcert"] = request["ca"]
    if "socket" in request:
        directory, _, name = request["socket"].rpartition("/")
        parameters |= {"host": directory, "port": name.rpartition(".")[2]}
    try:
        with psycopg.connect(**parameters, connect_timeout=10) as session:
            session.execute(TABLE)
            session.execute("INSERT INTO words VALUES (%s)", [request["text"]])
            answers = [session.execute(sql).fetchone() for sql in ("SELECT 1", SELECT, ENCRYPTED_POSTGRESQL)]
            one, text, encrypted = (row[0] if row else None for row in answers)
            libpq = psycopg.pq.version()
            return {
                "ok": one == 1,
                "text": text,
                "encrypted": encrypted,
                "version": f"{psycopg.__version__}, libpq {libpq // 10000}.{libpq % 10000}",
            }
    except psycopg.Error as error:
        return {"ok": False, "code": error.sqlstate or "", "message": str(error)}


def by_asyncpg(request: Request) -> Answer:
    return asyncio.run(_by_asyncpg(request))


async def _by_asyncpg(request: Request) -> Answer:
    import asyncpg

    place: dict[str, Any] = {"host": request["host"], "port": int(request["port"])}
    if "socket" in request:
        directory, _, name = request["socket"].rpartition("/")
        place = {"host": directory, "port": int(name.rpartition(".")[2])}
    query: dict[str, str] = {key: request[key] for key in ("sslcert", "sslkey") if key in request}
    if request["tls"] != "default":
        query["sslmode"] = request["tls"]
    if request["tls"] == "verify-full":
        query["sslrootcert"] = request["ca"]
    dsn = "postgresql://?" + "&".join(f"{key}={value}" for key, value in query.items())
    account = {key: request[key] for key in ("user", "password", "database")}
    try:
        session = await asyncpg.connect(dsn, **place, **account, timeout=10)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return {"ok": False, "code": getattr(error, "sqlstate", None) or "", "message": str(error)}
    try:
        await session.execute(TABLE)
        await session.execute("INSERT INTO words VALUES ($1)", request["text"])
        return {
            "ok": await session.fetchval("SELECT 1") == 1,
            "text": await session.fetchval(SELECT),
            "encrypted": await session.fetchval(ENCRYPTED_POSTGRESQL),
            "version": version("asyncpg"),
        }
    finally:
        await session.close()


def by_pymysql(request: Request) -> Answer:
    import pymysql

    wishes: dict[str, dict[str, Any]] = {
        "default": {},
        "disable": {"ssl_disabled": True},
        "require": {"ssl": {"check_hostname": False, "verify_mode": False}},
        "verify-full": {"ssl_ca": request["ca"], "ssl_verify_cert": True, "ssl_verify_identity": True},
    }
    place: dict[str, Any] = {"host": request["host"], "port": int(request["port"])}
    if "socket" in request:
        place = {"unix_socket": request["socket"]}
    return _by_mysql(request, pymysql, {**place, **wishes[request["tls"]]}, version("PyMySQL"))


def by_mysqlclient(request: Request) -> Answer:
    import MySQLdb

    wishes: dict[str, dict[str, Any]] = {
        "default": {},
        "disable": {},  # the same: its C library, MariaDB's, does no TLS unless told to
        "require": {"ssl": {"cipher": "DEFAULT"}},
        "verify-full": {"ssl": {"ca": request["ca"]}},
    }
    place: dict[str, Any] = {"host": request["host"], "port": int(request["port"])}
    if "socket" in request:
        place = {"unix_socket": request["socket"]}
    library = f"{version('mysqlclient')}, libmariadb {MySQLdb.get_client_info()}"
    return _by_mysql(request, MySQLdb, {**place, **wishes[request["tls"]], "charset": "utf8mb4"}, library)


def _by_mysql(request: Request, driver: Any, parameters: dict[str, Any], told: str) -> Answer:
    account = {key: request[key] for key in ("user", "password", "database")}
    try:
        session = driver.connect(**parameters, **account, connect_timeout=10)
    except driver.Error as error:
        code, message = (*error.args, "", "")[:2]
        return {"ok": False, "code": str(code), "message": str(message)}
    try:
        with session.cursor() as cursor:
            cursor.execute(TABLE)
            cursor.execute("INSERT INTO words VALUES (%s)", [request["text"]])
            answers = []
            for sql in ("SELECT 1", SELECT, ENCRYPTED_MYSQL):
                cursor.execute(sql)
                answers.append(cursor.fetchone()[-1])
    finally:
        session.close()
    one, text, encrypted = answers
    return {"ok": one == 1, "text": text, "encrypted": encrypted, "version": told}


def main() -> None:
    ask: Callable[[Request], Answer] = globals()[f"by_{sys.argv[1]}"]
    for line in sys.stdin:
        answer = ask(json.loads(line))
        words = {key: ("yes" if value is True else value or "") for key, value in answer.items()}
        print(json.dumps(words), flush=True)


if __name__ == "__main__":
    main()
