from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from dbambassador.discovery.hosts import canonical, parse_hosts

HOSTS = """\
127.0.0.1\tlocalhost
# 10.0.0.1 commented
10.0.0.7   orders.db.test Orders # the primary
fd00::7    orders.db.test
10.0.0.7   orders.db.test
10.0.0.300 broken
10.0.0.8
nonsense orders.db.test
"""


def test_reads_names_and_aliases_of_both_families() -> None:
    assert parse_hosts(HOSTS) == {
        "localhost": ("127.0.0.1",),
        "orders.db.test": ("10.0.0.7", "fd00::7"),
        "orders": ("10.0.0.7",),
    }


def test_a_name_is_found_whatever_its_case_and_with_its_final_dot() -> None:
    assert parse_hosts("10.0.0.7 Orders.DB.test")[canonical("oRDERS.db.TEST.")] == ("10.0.0.7",)


names = st.from_regex(r"\A[a-z]{1,5}(\.[a-z]{1,5}){0,2}\Z")


@given(st.lists(st.tuples(st.ip_addresses().map(str), st.lists(names, min_size=1, max_size=3))))
def test_every_line_adds_its_address_to_its_names(lines: list[tuple[str, list[str]]]) -> None:
    hosts = parse_hosts("\n".join(f"{address} {' '.join(aliases)}" for address, aliases in lines))
    assert set(hosts) == {name for _, aliases in lines for name in aliases}
    for name, addresses in hosts.items():
        expected = [address for address, aliases in lines if name in aliases]
        assert list(addresses) == list(dict.fromkeys(expected))


@given(st.text())
def test_any_text_gives_nothing_but_addresses(text: str) -> None:
    for addresses in parse_hosts(text).values():
        for address in addresses:
            assert str(ip_address(address)) == address
