"""What `check` warns of beside its proofs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbambassador.profiles.advice import advise
from dbambassador.profiles.proofs import CLUSTER_CA, Finding, Status
from dbambassador.settings.schema import (
    Check,
    Database,
    HttpCheck,
    Login,
    Profile,
    Protocol,
    SslMode,
    TargetSessionAttrs,
    Tls,
)
from tests.profiles.making import production, profile

ORDERS = Database(name="orders", protocol=Protocol.POSTGRESQL, listen=(), endpoints=())
WRITERS = replace(ORDERS, target_session_attrs=TargetSessionAttrs.READ_WRITE)


def warned(name: str, *profiles: Profile) -> list[Finding]:
    return [one for one in advise(profiles) if one.proof == name and one.status is Status.WARNING]


def test_sound_files_need_none() -> None:
    assert [(one.proof, one.status) for one in advise([])] == [
        ("fingerprints", Status.HOLDS),
        ("roles-seen", Status.HOLDS),
    ]


@pytest.mark.parametrize(
    ("match", "warnings"),
    [
        (f"{CLUSTER_CA}={'0a' * 32}", 0),
        (f"{CLUSTER_CA}=replace-with-the-fingerprint", 1),
        (f"{CLUSTER_CA} In {'0a' * 32},{'0A' * 32},later", 2),
        (f"{CLUSTER_CA} NotIn later", 0),
        ("k8s.namespace.name=shop", 0),
    ],
)
def test_a_placeholder_for_a_fingerprint_is_told(match: str, warnings: int) -> None:
    assert len(warned("fingerprints", profile("staging", match))) == warnings


def test_who_is_chosen_by_name_alone_needs_no_fingerprint() -> None:
    assert warned("fingerprints", profile("staging")) == []


@pytest.mark.parametrize(
    ("database", "hidden"),
    [
        (WRITERS, True),
        (replace(WRITERS, target_session_attrs=TargetSessionAttrs.STANDBY), True),
        (ORDERS, False),
        (replace(WRITERS, tls=Tls(mode=SslMode.DISABLE)), False),
        (replace(WRITERS, check=Check(login=Login("probe"))), False),
        (replace(WRITERS, check=Check(http=HttpCheck(port=8008, path="/primary"))), False),
        (replace(WRITERS, check=Check(passive=True)), True),
        (replace(WRITERS, protocol=Protocol.MYSQL), False),
    ],
)
def test_a_role_that_clients_hide_by_their_own_encryption_is_told(database: Database, hidden: bool) -> None:
    found = warned("roles-seen", replace(production("p", "a=x"), databases=(database,)))
    assert [("orders" in one.text, one.environments, one.path) for one in found] == [
        (True, ("p",), "databases")
    ] * hidden
    assert warned("roles-seen", replace(profile("s", "a=x"), databases=(database,))) == []
