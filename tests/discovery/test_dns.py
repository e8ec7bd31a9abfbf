"""Messages as bytes, without a network."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rdatatype
import pytest

from dbambassador.discovery.answers import Question
from dbambassador.discovery.dns import Malformed, NotAName, may_answer, query, read
from tests.testbed.dns import reply_to


def test_a_query_asks_for_recursion_with_an_id_of_its_own_and_without_edns() -> None:
    queries = [query(Question("orders.db.test", "SRV")) for _ in range(10)]
    messages = [dns.message.from_wire(each.wire) for each in queries]
    assert len({message.id for message in messages}) > 1
    for message in messages:
        assert (message.flags, message.edns) == (dns.flags.RD, -1)
        assert [(str(each.name), dns.rdatatype.to_text(each.rdtype)) for each in message.question] == [
            ("orders.db.test.", "SRV")
        ]


@pytest.mark.parametrize("name", ["a..b", "a" * 64, ".".join(["a" * 60] * 5), "\ud800"])
def test_a_name_that_cannot_be_asked_for_says_why(name: str) -> None:
    with pytest.raises(NotAName) as refused:
        query(Question(name, "A"))
    assert str(refused.value)


def test_only_a_reply_with_the_query_s_id_is_looked_at() -> None:
    asked = query(Question("orders.db.test", "A"))
    reply = reply_to(dns.message.from_wire(asked.wire)).to_wire()
    assert may_answer(asked, reply)
    assert not may_answer(asked, bytes([reply[0] ^ 1]) + reply[1:])
    assert not may_answer(asked, reply[:1] + bytes([reply[1] ^ 1]) + reply[2:])
    assert not may_answer(asked, asked.wire), "a query is no reply"
    assert not may_answer(asked, reply[:11])


def test_a_reply_to_another_question_is_none() -> None:
    asked = query(Question("orders.db.test", "A"))
    other = dns.message.make_query("orders.db.test", "AAAA", id=asked.message.id)
    with pytest.raises(Malformed, match="another question"):
        read(asked, reply_to(other).to_wire(), "10.0.0.53:53")


def test_records_come_in_one_order_whatever_the_server_s() -> None:
    asked = query(Question("orders.db.test", "A"))
    hosts = ["10.0.0.10", "10.0.0.9", "9.0.0.1"]
    lines = [f"orders.db.test 5 A {host}" for host in hosts]
    for order in (lines, lines[::-1]):
        answer = read(asked, reply_to(asked.message, *order).to_wire(), "10.0.0.53:53")
        assert answer.addresses == ("9.0.0.1", "10.0.0.9", "10.0.0.10")
    asked = query(Question("_pg.db.test", "SRV"))
    lines = [f"_pg.db.test 5 SRV {rest}" for rest in ("2 9 1 a.test.", "1 1 1 b.test.", "1 7 1 c.test.")]
    answer = read(asked, reply_to(asked.message, *lines).to_wire(), "10.0.0.53:53")
    assert [service.target for service in answer.services] == ["c.test", "b.test", "a.test"]
