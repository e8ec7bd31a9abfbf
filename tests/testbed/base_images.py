"""Images that stand for those of a registry, under their names, as far as the tests ask something of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.testbed.debian_roots import Root

OWN_FILES = Path(__file__).with_name("images")

PYTHON = "docker.io/library/python:3.11-slim"
"""As the Dockerfile has it. Like the real one it has no byte code of the standard library."""

BASES: Mapping[str, tuple[Root, tuple[str, ...]]] = {
    PYTHON: (
        Root(
            packages=("python3", "python3-pip", "python3-venv", "dash", "coreutils"),
            links={"usr/local/bin/python": "/usr/bin/python3"},
        ),
        ("ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "CMD python"),
    ),
    "docker.io/library/postgres:16": (
        Root(
            packages=("postgresql-15", "libc-bin", "util-linux", "bash", "dash", "coreutils", "sed", "grep"),
            without=(
                "libllvm14",
                "locales",
                "perl",
                "perl-base",
                "postgresql-client-common",
                "postgresql-common",
            ),
            files={"usr/local/bin/docker-entrypoint.sh": OWN_FILES / "postgres-entrypoint"},
            directories={"run/postgresql": 999, "var/lib/postgresql": 999, "docker-entrypoint-initdb.d": 0},
        ),
        (
            "ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "ENV LANG=C.UTF-8",
            "ENV PGDATA=/var/lib/postgresql/data",
            'ENTRYPOINT ["docker-entrypoint.sh"]',
            'CMD ["postgres"]',
            "STOPSIGNAL SIGINT",
            "EXPOSE 5432",
        ),
    ),
    "docker.io/library/mariadb:11": (
        Root(
            packages=("mariadb-server-core", "mariadb-client", "dash", "coreutils", "sed", "grep"),
            without=("perl", "perl-base"),
            files={
                "usr/local/bin/docker-entrypoint.sh": OWN_FILES / "mariadb-entrypoint",
                "usr/local/bin/healthcheck.sh": OWN_FILES / "mariadb-healthcheck",
            },
            directories={"run/mysqld": 998, "var/lib/mysql": 998, "docker-entrypoint-initdb.d": 0},
        ),
        (
            "ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            'ENTRYPOINT ["docker-entrypoint.sh"]',
            'CMD ["mariadbd"]',
            "EXPOSE 3306",
        ),
    ),
}
"""What stands for an image, and the instructions that its configuration is made of."""
