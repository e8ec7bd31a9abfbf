from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbambassador.reflection.go_quoting import Malformed, parse_map, unquote

SHORT = {7: "\\a", 8: "\\b", 12: "\\f", 10: "\\n", 13: "\\r", 9: "\\t", 11: "\\v", 34: '\\"', 92: "\\\\"}


def go_quote(data: bytes) -> bytes:
    """strconv.Quote, after its source: runes one by one, invalid bytes as \\x."""
    out, position = ['"'], 0
    while position < len(data):
        for width in (1, 2, 3, 4):
            try:
                rune = data[position : position + width].decode("utf-8")
            except UnicodeDecodeError:
                continue
            break
        else:
            out.append(f"\\x{data[position]:02x}")
            position += 1
            continue
        position += width
        point = ord(rune)
        if point in SHORT:
            out.append(SHORT[point])
        elif rune.isprintable():
            out.append(rune)
        elif point < 0x20 or point == 0x7F:
            out.append(f"\\x{point:02x}")
        elif point < 0x10000:
            out.append(f"\\u{point:04x}")
        else:
            out.append(f"\\U{point:08x}")
    return ("".join(out) + '"').encode()


@given(st.text())
def test_every_text_comes_back(text: str) -> None:
    assert unquote(go_quote(text.encode())) == text


@given(st.binary())
def test_every_byte_string_comes_back(data: bytes) -> None:
    assert unquote(go_quote(data)).encode("utf-8", "surrogateescape") == data


@given(st.dictionaries(st.text("abc./-", min_size=1), st.text()))
def test_every_map_comes_back(values: dict[str, str]) -> None:
    lines = [key.encode() + b"=" + go_quote(value.encode()) for key, value in sorted(values.items())]
    assert parse_map(b"\n".join(lines)) == values


@given(st.binary())
def test_junk_is_read_or_refused(data: bytes) -> None:
    try:
        values = parse_map(data)
    except Malformed:
        return
    rebuilt = b"\n".join(key.encode() + b"=" + go_quote(_bytes(value)) for key, value in values.items())
    assert parse_map(rebuilt) == values


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("quoted", "text"),
    [
        (b'"plain"', "plain"),
        (b'""', ""),
        (rb'"a\"b\\c"', 'a"b\\c'),
        (rb'"\a\b\f\n\r\t\v"', "\a\b\f\n\r\t\v"),
        (rb'"\x00\x7f"', "\0\x7f"),
        (rb'"\u200b\U0001f600"', "\u200b\U0001f600"),
        (rb'"\xff\xfe"', "\udcff\udcfe"),
        (rb'"\xc3\xa9"', "é"),
        ('"naïve"'.encode(), "naïve"),
    ],
)
def test_golden(quoted: bytes, text: str) -> None:
    assert unquote(quoted) == text


@pytest.mark.parametrize(
    "quoted",
    [
        b"", b"plain", b'"open', b'open"', b'"a"b"', b'"a" ', rb'"\q"', rb'"\x1"', rb'"\u12"', rb'"\ud800"',
        rb'"\U00110000"', rb'"\"', b'"line\nbreak"', b'"\x01"', b"'single'", b"`raw`", rb'"\012"',
    ],
)  # fmt: skip
def test_refused(quoted: bytes) -> None:
    with pytest.raises(Malformed):
        unquote(quoted)


def test_a_long_value_is_read_in_little_memory() -> None:
    quoted = b'"' + rb"\\" * 10_000 + b"x" * 40_000
    for whole in (quoted + b'"', quoted):  # with its end, and without
        tracemalloc.start()
        try:
            if whole is quoted:
                with pytest.raises(Malformed):
                    unquote(whole)
            else:
                assert unquote(whole) == "\\" * 10_000 + "x" * 40_000
            assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
        finally:
            tracemalloc.stop()


def test_a_map_as_the_kubelet_writes_it() -> None:
    data = b'app.kubernetes.io/name="orders"\nempty=""\nwith=equals="a=b"'
    with pytest.raises(Malformed, match="line 3"):
        parse_map(data)
    data = b'app.kubernetes.io/name="orders"\nempty=""\nsum="a=b"'
    assert parse_map(data) == {"app.kubernetes.io/name": "orders", "empty": "", "sum": "a=b"}
    assert parse_map(data + b"\n") == parse_map(data)
    assert parse_map(b"") == {}


@pytest.mark.parametrize("data", [b"\n", b'a="1"\n\nb="2"', b'="1"', b"a", b'a="1"\na="2"', b'\xe9="1"'])
def test_a_map_with_one_bad_line_is_refused_as_a_whole(data: bytes) -> None:
    with pytest.raises(Malformed, match="line"):
        parse_map(data)
