"""Which role of server may have a database's sessions, and how several servers share them."""

from __future__ import annotations

from dbambassador.settings.reading import Section, listed, one_of
from dbambassador.settings.schema import Balance, Check, HostEndpoint, Protocol, TargetSessionAttrs
from dbambassador.settings.tree import Node, described

WRITERS = frozenset({TargetSessionAttrs.READ_WRITE, TargetSessionAttrs.PRIMARY})
READERS = frozenset(
    {TargetSessionAttrs.READ_ONLY, TargetSessionAttrs.STANDBY, TargetSessionAttrs.PREFER_STANDBY}
)
ONE_WRITER = "a writer has one active address; a pool of readers is a database of its own"


def decode_role(section: Section, protocol: Protocol | None, check: Check) -> TargetSessionAttrs | None:
    """The role that sessions may land on; None if it cannot be read. `protocol`: None if it is not known."""
    node = section.node("target_session_attrs")
    if node is None:
        return TargetSessionAttrs.ANY
    role = section.report.attempt(node, one_of(TargetSessionAttrs, "a role"), None)
    if role not in (None, TargetSessionAttrs.ANY) and not section.report.partial:
        hint = _why_not_told(role, protocol, check)
        if hint:
            section.report.add(node.place, described(node), "any, or a check that tells this role", hint)
    return role


def _why_not_told(role: TargetSessionAttrs, protocol: Protocol | None, check: Check) -> str:
    """Why nothing tells whether a server has the role; empty if something does.

    PostgreSQL tells each session that passes by.
    """
    if protocol in (None, Protocol.POSTGRESQL) or check.login is not None:
        return ""
    if check.http is not None:
        prefers = role is TargetSessionAttrs.PREFER_STANDBY
        return "an http check says yes or no, and not which of two is the better" if prefers else ""
    if protocol is Protocol.TCP:
        return "tcp knows nothing of roles: give check http: {port: …}"
    return "MySQL tells its role to none but those who log in: give check a user, or http: {port: …}"


def decode_balance(
    section: Section, protocol: Protocol | None, role: TargetSessionAttrs | None
) -> Balance | None:
    """None: one address at a time. Readers share unless something else is written."""
    node = section.node("balance")
    if node is None:
        return Balance.ROUND_ROBIN if role in READERS else None
    report = section.report
    balance = report.attempt(node, one_of(Balance, "a way of sharing"), None)
    if balance is not None and role in WRITERS and not report.partial:
        report.add(node.place, f"{balance.value} with {role.value}", "no balance", ONE_WRITER)
    elif balance is Balance.HASH and protocol not in (None, Protocol.POSTGRESQL):
        hint = "it goes by PostgreSQL's user and database: all clients of localhost have the same address"
        report.add(node.place, described(node), f"{_others(Balance.HASH)} with {protocol.value}", hint)
    return balance


def refuse_weights(
    section: Section, node: Node, endpoints: list[HostEndpoint], role: TargetSessionAttrs | None
) -> None:
    """Weights that differ mean nothing where one address has all sessions."""
    shared = "balance" in section.entries or role is None or role in READERS or section.report.partial
    if shared or len({endpoint.weight for endpoint in endpoints}) < 2:
        return
    hint = "balance: round-robin shares by weight; without balance one address at a time has all sessions"
    hint = ONE_WRITER if role in WRITERS else hint
    section.report.add(node.place, "different weights", "the same weight for all, or none", hint)


def _others(but: Balance) -> str:
    return listed([balance.value for balance in Balance if balance is not but])
