"""Go's `%q`, in which the kubelet writes labels and annotations into a downward volume. Pure.

Sources: https://pkg.go.dev/strconv#Quote (every escape that Quote emits); Kubernetes
pkg/fieldpath/fieldpath.go, FormatMap: sorted lines of `key="value"`, no newline at the end.
"""

from __future__ import annotations

import re

_ESCAPE = rb'\\(?:[abfnrtv\\"]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})'
_ESCAPES = re.compile(_ESCAPE)
_QUOTED = re.compile(rb'"((?:[^"\\\x00-\x1f\x7f]++|' + _ESCAPE + rb')*+)"')
"""Possessive: there is one way to read it, and to remember others takes 150 bytes for each of its own."""
_SIMPLE = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


class Malformed(ValueError):
    """Text that `%q` cannot have written; the message says what and where."""


def unquote(quoted: bytes) -> str:
    """The string that `%q` quoted.

    Bytes that were no UTF-8 (`\\xNN` from 80 on) come back as lone surrogates, as in Python's own file names.

    Raises:
        Malformed: not one whole quoted string.
    """
    match = _QUOTED.fullmatch(quoted)
    if match is None:
        raise Malformed("not a quoted string")
    return _ESCAPES.sub(_unescaped, match[1]).decode("utf-8", "surrogateescape")


def parse_map(data: bytes) -> dict[str, str]:
    """The labels or annotations in a downward file.

    Raises:
        Malformed: any line is not `key="value"`, or a key comes twice: the whole file is then in doubt.
    """
    found: dict[str, str] = {}
    if not data:
        return found
    for number, line in enumerate(data.removesuffix(b"\n").split(b"\n"), 1):
        key, equals, quoted = line.partition(b"=")
        if not equals or not key or not key.isascii():
            raise Malformed(f'line {number}: not key="value"')
        try:
            value = unquote(quoted)
        except Malformed as error:
            raise Malformed(f"line {number}: {error}") from None
        name = key.decode("ascii")
        if name in found:
            raise Malformed(f"line {number}: the key comes twice")
        found[name] = value
    return found


def _unescaped(match: re.Match[bytes]) -> bytes:
    kind, digits = match[0][1:2], match[0][2:]
    if kind == b"x":
        return bytes((int(digits, 16),))
    if kind not in b"uU":
        return _SIMPLE.get(kind, kind)
    point = int(digits, 16)
    if point > 0x10FFFF or 0xD800 <= point <= 0xDFFF:
        raise Malformed("an escape that is no character")
    return chr(point).encode()
