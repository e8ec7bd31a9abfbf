"""The clients that are tried, and what each needs from the machine."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from tests.clients.client import Client, Mariadb, Mysql, Program, Psql
from tests.testbed.requirements import find, missing, optional, require
from tests.testbed.sid import sid_program

PROGRAMS = Path(__file__).parent / "programs"
NODE = Path(os.environ.get("DBAMBASSADOR_TEST_NODE") or "/var/lib/dbambassador-test/node")
CONNECTOR_J = Path(
    os.environ.get("DBAMBASSADOR_TEST_CONNECTOR_J") or "/var/lib/dbambassador-test/connector-j"
)
DEBIAN_PYTHON = Path("/usr/bin/python3")


def _psql() -> Client:
    return Psql(require("psql", package="postgresql-client"))


def _psql_sid() -> Client:
    return Psql(sid_program("usr/lib/postgresql/18/bin/psql"))


def _mariadb() -> Client:
    return Mariadb(require("mariadb", package="mariadb-client"))


def _mysql() -> Client:
    return Mysql(sid_program("usr/bin/mysql"))


def _python(driver: str) -> Callable[[], Client]:
    return lambda: Program([sys.executable, PROGRAMS / "drivers.py", driver])


def _mysqlclient() -> Client:
    # PyPI has no wheel of it; Debian's is for Debian's own Python.
    if not Path("/usr/lib/python3/dist-packages/MySQLdb").exists():
        missing("mysqlclient is not installed: apt-get install python3-mysqldb")
    return Program([DEBIAN_PYTHON, PROGRAMS / "drivers.py", "mysqlclient"])


def _java(driver: str, jar: str, package: str) -> Callable[[], Client]:
    def started() -> Client:
        path = Path("/usr/share/java") / jar
        if not path.exists():
            missing(f"{path} is missing: apt-get install {package}")
        return _jdbc(driver, path)

    return started


def _connector_j() -> Client:
    jars = sorted(CONNECTOR_J.glob("mysql-connector-j-*.jar"))
    if not jars:
        optional(f"MySQL's Connector/J is missing in {CONNECTOR_J}: run scripts/install-connector-j")
    return _jdbc("mysql", jars[-1])


def _jdbc(driver: str, jar: Path) -> Client:
    java = require("java", package="default-jdk-headless")
    # Half the start is saved by not optimising what runs a few times.
    return Program([java, "-XX:TieredStopAtLevel=1", "-cp", jar, PROGRAMS / "Client.java", driver])


def _php(way: str, extension: str, package: str) -> Callable[[], Client]:
    def started() -> Client:
        if not list(Path("/usr/lib/php").glob(f"*/{extension}.so")):
            missing(f"PHP's {extension} is not installed: apt-get install {package}")
        return Program([require("php", package="php-cli"), PROGRAMS / "client.php", way])

    return started


def _node(package: str) -> Callable[[], Client]:
    def started() -> Client:
        modules = NODE / "node_modules"
        if not (modules / package).is_dir():
            optional(f"node's {package} is missing below {NODE}: run scripts/install-node-clients")
        node = require("node", package="nodejs")
        return Program([node, PROGRAMS / "client.js", package], {"NODE_PATH": str(modules)})

    return started


GO_PACKAGES = {
    "postgres": "golang-github-lib-pq-dev",
    "pgx": "golang-github-jackc-pgx-v4-dev",
    "mysql": "golang-github-go-sql-driver-mysql-dev",
}
"""Debian's, by the drivers' own names for `database/sql`."""


def _go(driver: str) -> Callable[[], Client]:
    def started() -> Client:
        versions = [_debian_version(package) for package in GO_PACKAGES.values()]
        go = find("go")
        if go is None or "" in versions:
            optional(
                f"Go's drivers are not installed: apt-get install golang-go {' '.join(GO_PACKAGES.values())}"
            )
        return Program([_built(go), driver, _debian_version(GO_PACKAGES[driver])])

    return started


def _debian_version(package: str) -> str:
    """Upstream's number of an installed package; empty if it is not."""
    told = subprocess.run(["dpkg-query", "-Wf${Version}", package], capture_output=True, text=True)
    return told.stdout.partition("-")[0]


@cache
def _built(go: str) -> Path:
    """Half a minute where Go has built nothing yet, a second afterwards: it keeps what it has built."""
    directory = tempfile.mkdtemp(prefix="dbambassador-go-")
    atexit.register(shutil.rmtree, directory)
    program = Path(directory) / "client"
    # Debian's packages are sources in a tree of the old kind, which knows no modules.
    variables = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode"}
    subprocess.run([go, "build", "-o", program, PROGRAMS / "client.go"], check=True, env=variables, cwd="/")
    return program


POSTGRESQL: Mapping[str, Callable[[], Client]] = {
    "psql 15": _psql,
    "psql 18": _psql_sid,
    "psycopg 3": _python("psycopg"),
    "asyncpg": _python("asyncpg"),
    "pgjdbc": _java("pgjdbc", "postgresql.jar", "libpostgresql-jdbc-java"),
    "PDO pgsql": _php("pdo_pgsql", "pdo_pgsql", "php-pgsql"),
    "node pg": _node("pg"),
    "lib/pq": _go("postgres"),
    "pgx": _go("pgx"),
}

MYSQL: Mapping[str, Callable[[], Client]] = {
    "mariadb": _mariadb,
    "mysql": _mysql,
    "PyMySQL": _python("pymysql"),
    "mysqlclient": _mysqlclient,
    "Connector/J": _connector_j,
    "MariaDB J": _java("mariadb", "mariadb-java-client.jar", "libmariadb-java"),
    "mysqli": _php("mysqli", "mysqli", "php-mysql"),
    "PDO mysql": _php("pdo_mysql", "pdo_mysql", "php-mysql"),
    "node mysql2": _node("mysql2"),
    "Go mysql": _go("mysql"),
}
