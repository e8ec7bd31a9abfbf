"""Which full names a name may stand for: search list and ndots, as glibc's res_search(3) has them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

MAX_NAME = 253
"""Characters of a full name without its trailing dot: 255 octets on the wire (RFC 1035 section 2.3.4)."""


def candidates(name: str, search: Sequence[str], ndots: int) -> tuple[str, ...]:
    """The full names to ask for, in order, without trailing dots and without repetition.

    A name with a trailing dot is full already and stands for itself alone. One with at least `ndots` dots is
    tried as it is before the search list, others after it. A domain that makes the name too long is left out.
    """
    if name.endswith("."):
        return (name.removesuffix("."),)
    expanded = [f"{name}.{domain}" if domain else name for domain in search]
    as_it_is_first = name.count(".") >= ndots
    ordered = [name, *expanded] if as_it_is_first else [*expanded, name]
    fitting = [candidate for candidate in ordered if candidate == name or len(candidate) <= MAX_NAME]
    return tuple(dict.fromkeys(fitting))
