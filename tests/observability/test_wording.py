from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbambassador.observability.wording import count, duration, latency, size
from dbambassador.printable import printable


@given(st.text())
def test_printable_is_one_line_that_steers_nothing(value: str) -> None:
    shown = printable(value)
    assert len(shown.splitlines()) <= 1
    assert not any(unicodedata.category(letter).startswith("C") for letter in shown)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("orders → 10.0.0.7", "orders → 10.0.0.7"),
        ("a\nb\x1b[2J\x00", "a\\nb\\x1b[2J\\x00"),
        ("a\u202eb\u2028", "a\\u202eb\\u2028"),
        ("größe", "größe"),
        (7, "7"),
    ],
)
def test_printable(value: object, shown: str) -> None:
    assert printable(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-0.01, "0.0 s"),
        (0.04, "0.0 s"),
        (0.25, "0.2 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (185, "3 min 5 s"),
        (3600, "1 h"),
        (7800, "2 h 10 min"),
        (86400 * 5 + 3 * 3600, "5 d 3 h"),
    ],
)
def test_duration(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_count() -> None:
    assert [count(number, "session") for number in (0, 1, 2)] == ["0 sessions", "1 session", "2 sessions"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0.0 ms"),
        (0.00042, "0.4 ms"),
        (0.0123, "12 ms"),
        (0.9994, "999 ms"),
        (1.25, "1.2 s"),
        (75, "1 min 15 s"),
    ],
)
def test_latency(seconds: float, shown: str) -> None:
    assert latency(seconds) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.7, "1.0 kB"),
        (1_234, "1.2 kB"),
        (34_567_890, "35 MB"),
        (10**12, "1.0 TB"),
        (10**19, "10000 PB"),
    ],
)
def test_size(number: float, shown: str) -> None:
    assert size(number) == shown
