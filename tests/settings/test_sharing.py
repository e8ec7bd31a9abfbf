"""`target_session_attrs`, `balance` and weights: what goes together."""

from __future__ import annotations

import jsonschema
import pytest
import yaml

from dbambassador.settings.format import environment_schema
from dbambassador.settings.schema import Balance, HostEndpoint, TargetSessionAttrs
from tests.settings.making import database, only, problems, with_database

LOGIN = {"user": "probe"}
HTTP = {"http": {"port": 8008}}
ROLES = [role.value for role in TargetSessionAttrs]
WRITERS = ["read-write", "primary"]
READERS = ["read-only", "standby", "prefer-standby"]
UNEQUAL = [{"host": "a", "port": 1, "weight": 3}, {"host": "b", "port": 1}]


@pytest.mark.parametrize("check", [None, "passive", LOGIN, HTTP])
@pytest.mark.parametrize("role", ROLES)
def test_postgresql_has_every_role(role: str, check: object) -> None:
    text = with_database(target_session_attrs=role, check=check)

    assert database(target_session_attrs=role, check=check).target_session_attrs.value == role
    jsonschema.Draft202012Validator(environment_schema()).validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    ("protocol", "check", "roles"),
    [
        ("mysql", LOGIN, ROLES),
        ("mysql", HTTP, ["any", *WRITERS, "read-only", "standby"]),
        ("mysql", None, ["any"]),
        ("mysql", "passive", ["any"]),
        ("mysql", {"interval": "5s"}, ["any"]),
        ("tcp", HTTP, ["any", *WRITERS, "read-only", "standby"]),
        ("tcp", None, ["any"]),
        ("tcp", "passive", ["any"]),
    ],
)
def test_others_need_a_check_that_tells(protocol: str, check: object, roles: list[str]) -> None:
    accepted = [
        role
        for role in ROLES
        if not problems(with_database(protocol=protocol, check=check, target_session_attrs=role))
    ]

    assert accepted == [role for role in ROLES if role in roles]


@pytest.mark.parametrize(
    ("protocol", "role", "check", "hint"),
    [
        ("mysql", "read-write", None, "give check a user, or http"),
        ("tcp", "read-write", None, "give check http: {port: …}"),
        ("mysql", "prefer-standby", HTTP, "not which of two is the better"),
    ],
)
def test_the_hint_names_the_way_out(protocol: str, role: str, check: object, hint: str) -> None:
    problem = only(with_database(protocol=protocol, target_session_attrs=role, check=check))

    assert (problem.path, problem.found) == ("databases.orders.target_session_attrs", f"'{role}'")
    assert problem.expected == "any, or a check that tells this role"
    assert hint in problem.hint


def test_a_role_that_nobody_knows() -> None:
    problem = only(with_database(target_session_attrs="writer"))

    assert problem.found == "'writer'"
    assert problem.expected == "a role: any, read-write, read-only, primary, standby or prefer-standby"


def test_readers_share_and_all_others_have_one_address_at_a_time() -> None:
    shares = {role: database(target_session_attrs=role).balance for role in ROLES}

    assert shares == {
        **dict.fromkeys(READERS, Balance.ROUND_ROBIN),
        **dict.fromkeys(["any", *WRITERS]),
    }


@pytest.mark.parametrize("role", ["any", *READERS])
@pytest.mark.parametrize("balance", [balance.value for balance in Balance])
def test_another_way_may_be_written(balance: str, role: str) -> None:
    text = with_database(balance=balance, target_session_attrs=role)

    assert database(balance=balance, target_session_attrs=role).balance is Balance(balance)
    jsonschema.Draft202012Validator(environment_schema()).validate(yaml.safe_load(text))


@pytest.mark.parametrize("role", WRITERS)
def test_a_writer_has_one_active_address(role: str) -> None:
    problem = only(with_database(balance="random", target_session_attrs=role))

    assert (problem.path, problem.found) == ("databases.orders.balance", f"random with {role}")
    assert "one active address" in problem.hint


@pytest.mark.parametrize("protocol", ["mysql", "tcp"])
def test_hash_goes_by_what_only_postgresql_shows(protocol: str) -> None:
    problem = only(with_database(protocol=protocol, balance="hash"))

    assert (problem.path, problem.found) == ("databases.orders.balance", "'hash'")
    assert problem.expected == f"round-robin, least-connections or random with {protocol}"
    assert "localhost" in problem.hint
    assert database(protocol=protocol, balance="random").balance is Balance.RANDOM


def test_a_way_that_nobody_knows() -> None:
    problem = only(with_database(balance="roundrobin"))

    assert problem.found == "'roundrobin'"
    assert "round-robin, least-connections, random or hash" in problem.expected


@pytest.mark.parametrize("shared", [{"balance": "random"}, {"target_session_attrs": "standby"}])
def test_weights_may_differ_where_sessions_are_shared(shared: dict[str, str]) -> None:
    found = database(endpoint=None, endpoints=UNEQUAL, **shared)

    assert found.endpoints == (HostEndpoint("a", 1, weight=3), HostEndpoint("b", 1))


@pytest.mark.parametrize(
    ("role", "hint"),
    [
        ("any", "balance: round-robin"),
        ("read-write", "one active address"),
        ("primary", "one active address"),
    ],
)
def test_weights_mean_nothing_to_one_address(role: str, hint: str) -> None:
    problem = only(with_database(endpoint=None, endpoints=UNEQUAL, target_session_attrs=role))

    assert (problem.path, problem.found) == ("databases.orders.endpoints", "different weights")
    assert hint in problem.hint


@pytest.mark.parametrize("weight", [0, 65536, "3", 1.5])
def test_bad_weights(weight: object) -> None:
    endpoints = [{"host": "a", "port": 1, "weight": weight}]

    problem = only(with_database(endpoint=None, endpoints=endpoints, balance="random"))

    assert "a whole number from 1 to 65535" in problem.expected


@pytest.mark.parametrize(
    "keys",
    [
        {"balance": "roundrobin", "endpoint": None, "endpoints": UNEQUAL},
        {"target_session_attrs": "writer", "endpoint": None, "endpoints": UNEQUAL},
        {"target_session_attrs": "writer", "balance": "random"},
        {"protocol": "postgres", "balance": "hash", "target_session_attrs": "standby", "check": LOGIN},
        {"protocol": "postgres", "target_session_attrs": "standby"},
        {"protocol": "mysql", "check": {"user": ""}, "target_session_attrs": "standby"},
    ],
)
def test_one_mistake_is_one_problem(keys: dict[str, object]) -> None:
    only(with_database(**keys))


DEFAULTS = """\
databases:
  orders:
    target_session_attrs: read-only
    balance: hash
  reports:
    protocol: tcp
    endpoints: [{host: a, port: 1, weight: 3}, {host: b, port: 1}]
  catalog:
    protocol: mysql
    target_session_attrs: primary
    balance: random
"""
OURS = """\
environment: test
databases:
  orders: {protocol: postgresql, listen: [localhost:5432], endpoint: "db:5432"}
  reports: {listen: [localhost:1], balance: random}
  catalog: {listen: [localhost:3306], endpoint: "db:1", target_session_attrs: standby, check: {user: me}}
"""


def test_what_goes_together_is_judged_once_merged() -> None:
    """The defaults need not say what the database speaks, how it is checked, nor whether it shares."""
    assert problems(OURS, DEFAULTS) == []


@pytest.mark.parametrize(
    ("forgotten", "found"),
    [
        (", balance: random", "different weights"),
        ("target_session_attrs: standby, ", "random with primary"),
        (", check: {user: me}", "'standby'"),
    ],
)
def test_what_an_environment_forgets_is_a_problem(forgotten: str, found: str) -> None:
    assert only(OURS.replace(forgotten, ""), DEFAULTS).found == found
