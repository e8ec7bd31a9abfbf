"""What `check` warns of beside its proofs: files that are sound, and will not do what they seem to. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from dbambassador.profiles.proofs import CLUSTER_CA, Finding, Status
from dbambassador.profiles.wording import shown
from dbambassador.settings.schema import Database, Operator, Profile, Protocol, TargetSessionAttrs

FINGERPRINT = re.compile("[0-9a-f]{64}")
LONGEST_VALUE = 40
"""Characters; the file has all of it."""


def advise(profiles: Sequence[Profile]) -> tuple[Finding, ...]:
    """Each piece of advice for every environment; one that nobody needs is one finding. None fails."""
    pieces: tuple[tuple[str, str, str, Callable[[Profile], Iterator[str]]], ...] = (
        ("fingerprints", "every fingerprint of a cluster is one", "match", _placeholders),
        ("roles-seen", "where production wants one role, something tells it", "databases", _hidden_roles),
    )
    findings: list[Finding] = []
    for name, text, path, piece in pieces:
        found = [
            Finding(name, Status.WARNING, (profile.name,), warning, path=path)
            for profile in profiles
            for warning in piece(profile)
        ]
        findings += found or [Finding(name, Status.HOLDS, (), text)]
    return tuple(findings)


def _placeholders(profile: Profile) -> Iterator[str]:
    for one in profile.match or ():
        if one.key == CLUSTER_CA and one.operator is Operator.IN:
            for value in one.values:
                if not FINGERPRINT.fullmatch(value):
                    yield f"{shown(value, LONGEST_VALUE)} is no fingerprint, so it matches in no cluster"


def _hidden_roles(profile: Profile) -> Iterator[str]:
    for database in profile.databases:
        if profile.production and _is_hidden(database):
            wanted = database.target_session_attrs.value
            yield (
                f"{database.name} wants {wanted} servers, and inside a client's own TLS nothing tells"
                " which they are: sslmode would, or a user for its check"
            )


def _is_hidden(database: Database) -> bool:
    """A client's TLS passes through, and with it all that tells a role; MySQL's is known by checks alone."""
    return (
        database.protocol is Protocol.POSTGRESQL
        and database.target_session_attrs is not TargetSessionAttrs.ANY
        and database.tls is None
        and not database.check.tells_role
    )
