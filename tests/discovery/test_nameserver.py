from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbambassador.discovery.nameserver import parse_nameserver
from dbambassador.errors import UsageError
from dbambassador.values import Address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.53", Address("10.0.0.53", 53)),
        ("127.0.0.1:5300", Address("127.0.0.1", 5300)),
        ("fd00::53", Address("fd00::53", 53)),
        ("[fd00::53]", Address("fd00::53", 53)),
        ("[::1]:65535", Address("::1", 65535)),
    ],
)
def test_reads(text: str, expected: Address) -> None:
    assert parse_nameserver(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ns.test",
        "ns.test:53",
        ":53",
        "10.0.0",
        "10.0.0.53:",
        "10.0.0.53:0",
        "10.0.0.53:65536",
        "10.0.0.53: 53",
        "10.0.0.53:+53",
        "10.0.0.53:٥٣",
        "[10.0.0.53]:53",
        "[::1",
        "[::1]53",
        "[::1]:",
        "::1:x",
    ],
)
def test_refuses_naming_what_it_found(text: str) -> None:
    with pytest.raises(UsageError, match="expected HOST") as refused:
        parse_nameserver(text)
    assert repr(text) in refused.value.message


@given(st.ip_addresses().map(str), st.integers(1, 65535))
def test_reads_every_address_as_it_is_shown(host: str, port: int) -> None:
    assert parse_nameserver(str(Address(host, port))) == Address(host, port)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_a_usage_error(text: str) -> None:
    try:
        address = parse_nameserver(text)
    except UsageError:
        return
    assert 1 <= address.port <= 65535
