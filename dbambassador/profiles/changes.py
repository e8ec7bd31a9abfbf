"""What files that were read anew change about the environment that is served. Pure.

The choice of the environment is frozen for the life of the process, and so are the facts that led to it. So
the new files are asked with these facts: they have to lead to the same environment again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from dbambassador.profiles.selection import Selection
from dbambassador.settings.schema import Database, Profile, SslMode, Tls

_KEYS = {"endpoints": "endpoint", "zone": "endpoint"}
"""Fields of a database that the files have under another name. The zone comes with an endpoint's."""
_TLS_KEYS = {
    "mode": "sslmode",
    "rootcert": "sslrootcert",
    "cert": "sslcert",
    "key": "sslkey",
    "negotiation": "sslnegotiation",
}

_NO_TLS = Tls(mode=SslMode.DISABLE)


@dataclass(frozen=True, slots=True)
class Changed:
    """A database that goes on with other settings."""

    before: Database
    now: Database

    @property
    def keys(self) -> tuple[str, ...]:
        """What differs, by the names of the files."""
        return tuple(dict.fromkeys(_differing(self.before, self.now)))


@dataclass(frozen=True, slots=True)
class Changes:
    """What becomes of each database. One that speaks another protocol now is another database: the former one
    is removed, and the latter added."""

    added: tuple[Database, ...] = ()
    removed: tuple[Database, ...] = ()
    changed: tuple[Changed, ...] = ()
    kept: tuple[Database, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    @property
    def words(self) -> tuple[str, ...]:
        """One for each database that does not stay as it is, by name."""
        removed, added = ({each.name for each in some} for some in (self.removed, self.added))
        words = dict.fromkeys(added, "added") | dict.fromkeys(removed, "removed")
        words |= dict.fromkeys(added & removed, "protocol")
        words |= {each.now.name: ", ".join(each.keys) for each in self.changed}
        return tuple(f"{name}: {words[name]}" for name in sorted(words))


def changes(before: Profile, now: Profile) -> Changes:
    """What the databases of `now` are to those of `before`: the same environment, as it was and as it is."""
    former = {database.name: database for database in before.databases}
    latter = {database.name: database for database in now.databases}
    both = [(former[name], latter[name]) for name in latter if name in former]
    others = {old.name for old, new in both if old.protocol is not new.protocol}
    return Changes(
        added=tuple(each for each in now.databases if each.name not in former or each.name in others),
        removed=tuple(each for each in before.databases if each.name not in latter or each.name in others),
        changed=tuple(Changed(old, new) for old, new in both if old != new and old.name not in others),
        kept=tuple(new for old, new in both if old == new),
    )


def elsewhere(served: Profile, selection: Selection) -> str:
    """Why what the new files lead to is not served by this process; empty if it is the same environment."""
    chosen = selection.profile
    restart = f"this process stays with {served.name}, and a restart follows the files"
    if chosen is None:
        return f"they would choose no environment ({selection.why}); {restart}"
    if chosen.name != served.name:
        return f"they would choose {chosen.name} ({selection.why}); {restart}"
    if chosen.kind is not served.kind:
        kind = f"they make {served.name} {chosen.kind.value}, and it was {served.kind.value}"
        return f"{kind}; {restart}"
    return ""


def _differing(before: Database, now: Database) -> Iterator[str]:
    for field in fields(Database):
        if getattr(before, field.name) == getattr(now, field.name):
            continue
        if field.name == "tls":
            yield from (key for name, key in _TLS_KEYS.items() if _of(before.tls, name) != _of(now.tls, name))
        else:
            yield _KEYS.get(field.name, field.name)


def _of(tls: Tls | None, name: str) -> object:
    if tls is None:
        return None if name == "mode" else getattr(_NO_TLS, name)
    return getattr(tls, name)
