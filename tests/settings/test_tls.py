"""`sslmode` and the keys beside it: libpq's names and meaning, and what is refused."""

from __future__ import annotations

import pytest

from dbambassador.settings.schema import Negotiation, SslMode, Tls
from tests.settings.making import database, decoded, only, with_database

ROOTS = "/etc/dbambassador/ca.pem"


@pytest.mark.parametrize(
    ("keys", "tls"),
    [
        ({}, None),
        ({"sslmode": "disable"}, Tls(mode=SslMode.DISABLE)),
        ({"sslmode": "require"}, Tls(mode=SslMode.REQUIRE)),
        ({"sslmode": "verify-ca", "sslrootcert": ROOTS}, Tls(mode=SslMode.VERIFY_CA, rootcert=ROOTS)),
        ({"sslmode": "verify-full", "sslrootcert": ROOTS}, Tls(mode=SslMode.VERIFY_FULL, rootcert=ROOTS)),
        (
            {"sslmode": "verify-full", "sslrootcert": "system"},
            Tls(mode=SslMode.VERIFY_FULL, rootcert="system"),
        ),
        (
            {"sslmode": "require", "sslcert": "/run/tls.crt", "sslkey": "/run/tls.key"},
            Tls(mode=SslMode.REQUIRE, cert="/run/tls.crt", key="/run/tls.key"),
        ),
        (
            {"sslmode": "require", "sslnegotiation": "direct"},
            Tls(mode=SslMode.REQUIRE, negotiation=Negotiation.DIRECT),
        ),
        # As where the defaults name the file, and one environment has no TLS.
        ({"sslmode": "disable", "sslrootcert": ROOTS}, Tls(mode=SslMode.DISABLE, rootcert=ROOTS)),
    ],
)
def test_what_is_written_is_what_is_meant(keys: dict[str, str], tls: Tls | None) -> None:
    assert database(**keys).tls == tls


def test_the_defaults_may_give_the_files_and_an_environment_the_mode() -> None:
    defaults = f"databases: {{orders: {{sslrootcert: {ROOTS}}}}}"

    tls = decoded(with_database(sslmode="verify-full"), defaults).databases[0].tls

    assert tls == Tls(mode=SslMode.VERIFY_FULL, rootcert=ROOTS)


@pytest.mark.parametrize(
    ("keys", "path", "message"),
    [
        ({"sslmode": "prefer"}, "sslmode", "disable, require, verify-ca or verify-full"),
        ({"sslmode": True}, "sslmode", "found true, expected a mode"),
        ({"sslmode": "verify-full"}, "sslmode", "verify-full without sslrootcert"),
        ({"sslmode": "verify-ca"}, "sslmode", "verify-ca without sslrootcert"),
        ({"sslmode": "verify-ca", "sslrootcert": "system"}, "sslrootcert", "anybody's server"),
        ({"sslmode": "require", "sslrootcert": ROOTS}, "sslrootcert", "verifies nothing"),
        ({"sslmode": "verify-full", "sslrootcert": "ca.pem"}, "sslrootcert", "the absolute path"),
        ({"sslmode": "verify-full", "sslrootcert": "/etc/ca/"}, "sslrootcert", "the absolute path"),
        ({"sslmode": "require", "sslcert": "/c.pem"}, "sslcert", "sslcert without sslkey"),
        ({"sslmode": "require", "sslkey": "/k.pem"}, "sslkey", "sslkey without sslcert"),
        ({"sslrootcert": ROOTS}, "sslrootcert", "sslrootcert without sslmode"),
        ({"sslcert": "/c.pem", "sslkey": "/k.pem"}, "sslcert", "sslcert or sslkey without sslmode"),
        ({"sslnegotiation": "direct"}, "sslnegotiation", "without sslmode"),
        (
            {"sslmode": "disable", "sslnegotiation": "direct"},
            "sslnegotiation",
            "direct with sslmode: disable",
        ),
        (
            {"sslmode": "require", "sslnegotiation": "direct", "protocol": "mysql"},
            "sslnegotiation",
            "only PostgreSQL",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(keys: dict[str, object], path: str, message: str) -> None:
    problem = only(with_database(**keys))

    assert problem.path == f"databases.orders.{path}"
    assert message in str(problem)


def test_a_key_written_into_the_file_is_not_repeated() -> None:
    key = "-----BEGIN PRIVATE KEY----- c2VjcmV0 -----END PRIVATE KEY-----"

    problem = only(with_database(sslmode="require", sslcert="/c.pem", sslkey=key))

    assert "c2VjcmV0" not in str(problem)
    assert "name that" in str(problem)
