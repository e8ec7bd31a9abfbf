"""Which role serves which `target_session_attrs`, with libpq's meaning. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from dbambassador.health.evidence import Role
from dbambassador.settings.schema import TargetSessionAttrs

UNFIT: Mapping[TargetSessionAttrs, frozenset[Role]] = {
    TargetSessionAttrs.ANY: frozenset(),
    TargetSessionAttrs.READ_WRITE: frozenset({Role.STANDBY, Role.READ_ONLY}),
    TargetSessionAttrs.READ_ONLY: frozenset({Role.PRIMARY}),
    TargetSessionAttrs.PRIMARY: frozenset({Role.STANDBY}),
    TargetSessionAttrs.STANDBY: frozenset({Role.PRIMARY, Role.READ_ONLY}),
    TargetSessionAttrs.PREFER_STANDBY: frozenset(),
}
"""Roles that sessions must not land on. An unknown role is never unfit: a server that does not tell, as
PostgreSQL before 14 without credentials, is taken as it is."""


def fits(role: Role, wanted: TargetSessionAttrs) -> bool:
    """Whether sessions may land on a server of this role."""
    return role not in UNFIT[wanted]


def second_best(role: Role, wanted: TargetSessionAttrs) -> bool:
    """Whether it is to be used only while no better one is usable."""
    return wanted is TargetSessionAttrs.PREFER_STANDBY and role in (Role.PRIMARY, Role.READ_ONLY)


def told_by_session(standby: bool | None, read_only: bool | None, wanted: TargetSessionAttrs) -> Role:
    """The role of a server by what one session's welcome says.

    That its transactions are read-only by default may be the setting of one user or database. It says nothing
    of the server, except to those who look for just that.
    """
    if standby is None:
        return Role.UNKNOWN
    if standby:
        return Role.STANDBY
    return Role.READ_ONLY if read_only and wanted is TargetSessionAttrs.READ_ONLY else Role.PRIMARY


def session_fits(standby: bool | None, read_only: bool | None, wanted: TargetSessionAttrs) -> bool:
    """Whether a session may go on, by what its own welcome says."""
    if read_only and not standby and wanted is TargetSessionAttrs.READ_WRITE:
        return False
    return fits(told_by_session(standby, read_only, wanted), wanted)
