"""What other files make of the environment that is served."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbambassador.profiles.changes import Changed, changes, elsewhere
from dbambassador.profiles.selection import Selection, Verdict, select
from dbambassador.settings.schema import (
    Balance,
    Check,
    Database,
    HostEndpoint,
    Kind,
    Login,
    Protocol,
    SrvEndpoint,
    SslMode,
    TargetSessionAttrs,
    TcpListen,
    Tls,
    UnixListen,
)
from tests.profiles.making import catalogue, facts, profile

DATABASE = Database(
    name="orders",
    protocol=Protocol.POSTGRESQL,
    listen=(TcpListen("127.0.0.1", 5432),),
    endpoints=(HostEndpoint("db.test", 5432),),
)
SERVED = replace(profile("here", "a=x"), databases=(DATABASE,))

OTHERS: dict[str, tuple[Any, str]] = {
    "protocol": (Protocol.TCP, "protocol"),
    "listen": ((UnixListen("/run/db"),), "listen"),
    "endpoints": ((SrvEndpoint("db.test"),), "endpoint"),
    "target_session_attrs": (TargetSessionAttrs.READ_WRITE, "target_session_attrs"),
    "balance": (Balance.RANDOM, "balance"),
    "hold": (7.0, "hold"),
    "client_idle_timeout": (60.0, "client_idle_timeout"),
    "unix_socket_mode": (0o600, "unix_socket_mode"),
    "unix_socket_group": ("app", "unix_socket_group"),
    "allow_cleartext_passwords": (True, "allow_cleartext_passwords"),
    "check": (Check(login=Login("probe")), "check"),
    "tls": (Tls(mode=SslMode.VERIFY_CA, rootcert="/ca.pem"), "sslmode, sslrootcert"),
    "zone": ("a", "endpoint"),
}
"""For each field another value, and what it is called."""

names = st.sampled_from(["orders", "stock", "carts", "reports"])
databases = st.builds(
    lambda name, field: replace(DATABASE, name=name, **({field: OTHERS[field][0]} if field else {})),
    names,
    st.sampled_from([None, *OTHERS]),
)
profiles = st.lists(databases, unique_by=lambda each: each.name).map(
    lambda listed: replace(SERVED, databases=tuple(listed))
)


def test_every_setting_of_a_database_is_looked_at() -> None:
    assert {field.name for field in fields(Database)} == {"name", *OTHERS}


@pytest.mark.parametrize("field", OTHERS)
def test_what_changed_is_called_as_in_the_files(field: str) -> None:
    value, words = OTHERS[field]
    found = changes(SERVED, replace(SERVED, databases=(replace(DATABASE, **{field: value}),)))
    assert found.words == (f"orders: {words}",)


def test_a_part_of_the_tls_is_called_by_its_own_key() -> None:
    before = Changed(
        replace(DATABASE, tls=Tls(mode=SslMode.VERIFY_CA, rootcert="/old.pem")),
        replace(DATABASE, tls=Tls(mode=SslMode.VERIFY_CA, rootcert="/new.pem", cert="/c", key="/k")),
    )
    assert before.keys == ("sslrootcert", "sslcert", "sslkey")


@given(profiles, profiles)
def test_what_stays_and_what_comes_is_what_is_wanted(before: Any, now: Any) -> None:
    found = changes(before, now)

    stays = {each.name: each for each in before.databases if each not in found.removed}
    for changed in found.changed:
        assert stays.pop(changed.before.name) == changed.before
        assert changed.before.protocol is changed.now.protocol
        assert changed.keys
        stays[changed.now.name] = changed.now
    assert not stays.keys() & {each.name for each in found.added}
    assert {*stays.values(), *found.added} == set(now.databases)
    assert set(found.kept) == set(before.databases) & set(now.databases)
    assert bool(found) == bool(found.words) == (set(before.databases) != set(now.databases))


@given(profiles)
def test_the_same_files_change_nothing(served: Any) -> None:
    assert not changes(served, served)


def test_another_protocol_is_another_database() -> None:
    found = changes(SERVED, replace(SERVED, databases=(replace(DATABASE, protocol=Protocol.MYSQL),)))
    assert [each.protocol for each in found.removed] == [Protocol.POSTGRESQL]
    assert [each.protocol for each in found.added] == [Protocol.MYSQL]
    assert found.words == ("orders: protocol",)


def chosen(*profiles: Any) -> Selection:
    return select(catalogue(*profiles), facts(a="x"))


def test_the_same_environment_is_not_elsewhere() -> None:
    assert elsewhere(SERVED, chosen(replace(SERVED, priority=7), profile("other", "a=y"))) == ""


def test_another_environment_is_named() -> None:
    why = elsewhere(SERVED, chosen(SERVED, profile("other", "a=x", priority=10)))
    assert why.startswith("they would choose other (its priority 10 is the highest;")
    assert why.endswith("this process stays with here, and a restart follows the files")


def test_none_is_told_with_its_reason() -> None:
    selection = chosen(profile("other", "a=y"))
    assert selection.verdict is Verdict.NO_MATCH
    assert "no environment (no environment's match holds here)" in elsewhere(SERVED, selection)


def test_staging_does_not_become_production_while_it_runs() -> None:
    why = elsewhere(SERVED, chosen(replace(SERVED, kind=Kind.PRODUCTION)))
    assert why.startswith("they make here production, and it was staging;")
