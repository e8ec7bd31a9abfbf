"""One question against servers that misbehave."""

from __future__ import annotations

import os
import resource
from itertools import pairwise

import dns.flags
import dns.message
import dns.rcode
import pytest
import trio

from dbambassador.discovery.answers import Alias, Answer, Outcome, Question, Service
from dbambassador.discovery.ask import PATIENCE, ask
from dbambassador.values import Address
from tests.testbed.dns import Behaviour, faulty, free_port, reply_to

QUESTION = Question("orders.db.test", "A")
GOOD = "orders.db.test 20 A 10.0.0.7"
SOA = "db.test 60 SOA ns.db.test. hostmaster.db.test. 1 3600 600 86400 7"


def says(*answers: str, **more: object) -> Behaviour:
    async def behave(query: dns.message.Message, transport: str) -> bytes | None:
        return reply_to(query, *answers, **more).to_wire()  # type: ignore[arg-type]

    return behave


async def silence(query: dns.message.Message, transport: str) -> bytes | None:
    return None


async def answer_of(behave: Behaviour, question: Question = QUESTION, lifetime: float = 3.0) -> Answer:
    async with faulty(behave) as server:
        return await ask(question, [server.address], lifetime)


async def test_records() -> None:
    answer = await answer_of(says(GOOD, "orders.db.test 20 A 10.0.0.8"))
    assert answer.outcome is Outcome.OK
    assert sorted(answer.addresses) == ["10.0.0.7", "10.0.0.8"]
    assert answer.ttl == 20
    assert answer.server.startswith("127.0.0.1:")
    assert 0 < answer.seconds < 1


async def test_the_ttl_is_the_least_along_the_chain() -> None:
    answer = await answer_of(
        says("orders.db.test 9 CNAME a.test.", "a.test 5 CNAME B.test.", "b.test 20 A 10.0.0.7")
    )
    assert answer.chain == (Alias("orders.db.test", "a.test", 9), Alias("a.test", "b.test", 5))
    assert answer.addresses == ("10.0.0.7",)
    assert answer.ttl == 5


async def test_services() -> None:
    question = Question("_pg._tcp.db.test", "SRV")
    answer = await answer_of(
        says("_pg._tcp.db.test 5 SRV 1 10 5432 a.db.test.", "_pg._tcp.db.test 5 SRV 2 0 5433 ."), question
    )
    assert set(answer.services) == {Service(1, 10, 5432, "a.db.test"), Service(2, 0, 5433, "")}


async def test_negative_answers_last_as_long_as_their_soa_says() -> None:
    nothing = await answer_of(says(authority=[SOA]))
    assert (nothing.outcome, nothing.ttl) == (Outcome.NODATA, 7)
    gone = await answer_of(says(code=dns.rcode.NXDOMAIN, authority=[SOA]))
    assert (gone.outcome, gone.ttl) == (Outcome.NXDOMAIN, 7)
    dangling = await answer_of(
        says("orders.db.test 3 CNAME gone.db.test.", code=dns.rcode.NXDOMAIN, authority=[SOA])
    )
    assert (dangling.outcome, dangling.ttl) == (Outcome.NXDOMAIN, 3)
    assert dangling.chain == (Alias("orders.db.test", "gone.db.test", 3),)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (dns.rcode.SERVFAIL, Outcome.SERVFAIL),
        (dns.rcode.REFUSED, Outcome.REFUSED),
        (dns.rcode.FORMERR, Outcome.SERVFAIL),
        (dns.rcode.NOTIMP, Outcome.SERVFAIL),
    ],
)
async def test_a_server_that_cannot_or_will_not(code: dns.rcode.Rcode, outcome: Outcome) -> None:
    answer = await answer_of(says(code=code))
    assert (answer.outcome, answer.detail) == (outcome, code.name)
    assert answer.seconds < PATIENCE


async def test_a_referral_is_no_answer() -> None:
    answer = await answer_of(says(authority=["test 60 NS ns.elsewhere.test."], recursion=False))
    assert answer.outcome is Outcome.REFUSED


async def test_negative_answers_without_a_soa_are_not_to_be_kept() -> None:
    """RFC 2308 section 5."""
    gone = await answer_of(says(code=dns.rcode.NXDOMAIN))
    assert (gone.outcome, gone.ttl) == (Outcome.NXDOMAIN, 0)
    nothing = await answer_of(says("orders.db.test 30 CNAME a.test."))
    assert (nothing.outcome, nothing.ttl) == (Outcome.NODATA, 0)


async def test_a_long_chain_is_followed_and_one_without_end_is_malformed() -> None:
    def chain(length: int) -> list[str]:
        names = ["orders.db.test", *(f"n{n}.test" for n in range(length))]
        aliases = [f"{name} 5 CNAME {target}." for name, target in pairwise(names)]
        return [*aliases, f"{names[-1]} 5 A 10.0.0.7"]

    followed = await answer_of(says(*chain(15)))
    assert (followed.addresses, len(followed.chain)) == (("10.0.0.7",), 15)
    endless = await answer_of(says(*chain(17)))
    assert (endless.outcome, endless.seconds < PATIENCE) == (Outcome.MALFORMED, True)


async def test_a_name_that_cannot_be_asked_for() -> None:
    answer = await ask(Question("a..b", "A"), [Address("127.0.0.1", 9)], 3.0)
    assert (answer.outcome, answer.detail) == (Outcome.INVALID, "A DNS label is empty.")


async def test_silence_ends_with_the_lifetime_after_repeated_tries() -> None:
    async with faulty(silence) as server:
        answer = await ask(QUESTION, [server.address], 1.0)
        asked = server.count(QUESTION.name, "A")
    assert answer.outcome is Outcome.TIMEOUT
    assert answer.server == str(server.address)
    assert 1.0 <= answer.seconds < 1.3
    assert asked == 3


async def test_a_lost_packet_costs_the_patience() -> None:
    seen = 0

    async def lose_the_first(query: dns.message.Message, transport: str) -> bytes | None:
        nonlocal seen
        seen += 1
        return reply_to(query, GOOD).to_wire() if seen > 1 else None

    answer = await answer_of(lose_the_first)
    assert answer.outcome is Outcome.OK
    assert PATIENCE <= answer.seconds < PATIENCE + 0.3


async def test_a_slow_answer_to_the_first_try_still_counts() -> None:
    seen = 0

    async def slow_once(query: dns.message.Message, transport: str) -> bytes | None:
        nonlocal seen
        seen += 1
        if seen > 1:
            return None
        await trio.sleep(PATIENCE * 1.5)
        return reply_to(query, GOOD).to_wire()

    answer = await answer_of(slow_once)
    assert answer.outcome is Outcome.OK


async def test_nobody_there_is_known_at_once() -> None:
    answer = await ask(QUESTION, [Address("127.0.0.1", free_port())], 3.0)
    assert answer.outcome is Outcome.UNREACHABLE
    assert answer.detail == "Connection refused"
    assert answer.seconds < PATIENCE


async def test_the_next_server_is_asked_at_once_after_a_failure_and_soon_after_silence() -> None:
    async with (
        faulty(says(code=dns.rcode.SERVFAIL)) as failing,
        faulty(silence) as silent,
        faulty(says(GOOD)) as good,
    ):
        nobody = Address("127.0.0.1", free_port())
        answer = await ask(QUESTION, [nobody, failing.address, good.address], 3.0)
        assert (answer.outcome, answer.server) == (Outcome.OK, str(good.address))
        assert answer.seconds < PATIENCE
        answer = await ask(QUESTION, [silent.address, good.address], 3.0)
        assert (answer.outcome, answer.server) == (Outcome.OK, str(good.address))
        assert PATIENCE <= answer.seconds < PATIENCE + 0.3


async def test_a_definite_no_of_the_first_server_is_not_questioned() -> None:
    async with faulty(says(code=dns.rcode.NXDOMAIN)) as first, faulty(says(GOOD)) as second:
        answer = await ask(QUESTION, [first.address, second.address], 3.0)
        assert answer.outcome is Outcome.NXDOMAIN
        assert second.asked == []


async def test_of_several_failures_the_first_server_speaks() -> None:
    async with faulty(says(code=dns.rcode.SERVFAIL)) as first, faulty(silence) as second:
        answer = await ask(QUESTION, [first.address, second.address], 0.3)
        assert answer.outcome is Outcome.SERVFAIL


def truncated(query: dns.message.Message) -> bytes:
    reply = reply_to(query)
    reply.flags |= dns.flags.TC
    return reply.to_wire()


async def test_a_truncated_answer_is_fetched_over_tcp() -> None:
    many = [f"orders.db.test 20 A 10.0.{n // 250}.{n % 250}" for n in range(1000)]

    async def behave(query: dns.message.Message, transport: str) -> bytes | None:
        return truncated(query) if transport == "udp" else reply_to(query, *many).to_wire(max_size=65535)

    async with faulty(behave) as server:
        answer = await ask(QUESTION, [server.address], 3.0)
        assert [transport for *_, transport in server.asked] == ["udp", "tcp"]
    assert len(answer.addresses) == 1000


async def test_an_answer_cut_off_within_a_record_is_fetched_over_tcp_too() -> None:
    async def behave(query: dns.message.Message, transport: str) -> bytes | None:
        reply = reply_to(query, GOOD)
        if transport == "tcp":
            return reply.to_wire()
        reply.flags |= dns.flags.TC
        return reply.to_wire()[:-3]

    assert (await answer_of(behave)).addresses == ("10.0.0.7",)


async def test_an_answer_that_is_truncated_even_over_tcp_is_none() -> None:
    async def behave(query: dns.message.Message, transport: str) -> bytes | None:
        return truncated(query)

    answer = await answer_of(behave)
    assert (answer.outcome, answer.detail) == (Outcome.MALFORMED, "truncated over TCP")


@pytest.mark.parametrize(
    ("over_tcp", "outcome"),
    [(b"", Outcome.MALFORMED), (b"garbage", Outcome.MALFORMED), (None, Outcome.UNREACHABLE)],
)
async def test_tcp_that_fails(over_tcp: bytes | None, outcome: Outcome) -> None:
    async def behave(query: dns.message.Message, transport: str) -> bytes | None:
        return truncated(query) if transport == "udp" else over_tcp

    answer = await answer_of(behave, lifetime=1.0)
    assert answer.outcome is outcome


def with_other_id(query: dns.message.Message) -> bytes:
    reply = reply_to(query, "orders.db.test 20 A 10.6.6.6")
    reply.id ^= 1
    return reply.to_wire()


def other_question(query: dns.message.Message) -> bytes:
    other = dns.message.make_query("evil.test", "A", id=query.id)
    return reply_to(other, "orders.db.test 20 A 10.6.6.6", "evil.test 20 A 10.6.6.6").to_wire()


def truncated_with_other_id(query: dns.message.Message) -> bytes:
    return bytes([query.id >> 8 ^ 1]) + truncated(query)[1:]


@pytest.mark.parametrize(
    "forge",
    [
        with_other_id,
        other_question,
        truncated_with_other_id,
        lambda _: b"",
        lambda _: b"garbage" * 9,
        lambda query: query.to_wire(),
    ],
)
async def test_what_does_not_answer_the_question_is_passed_over(forge: object) -> None:
    async def forged_then_silence(query: dns.message.Message, transport: str) -> bytes | None:
        return forge(query)  # type: ignore[no-any-return, operator]

    alone = await answer_of(forged_then_silence, lifetime=0.1)
    assert alone.outcome is Outcome.MALFORMED
    assert alone.addresses == ()

    turn = 0

    async def forged_then_good(query: dns.message.Message, transport: str) -> bytes | None:
        nonlocal turn
        turn += 1
        return await forged_then_silence(query, transport) if turn == 1 else reply_to(query, GOOD).to_wire()

    answer = await answer_of(forged_then_good)
    assert answer.addresses == ("10.0.0.7",)


async def test_garbage_makes_the_next_server_speak_at_once() -> None:
    async def garbage(query: dns.message.Message, transport: str) -> bytes | None:
        return b"garbage"

    async with faulty(garbage) as bad, faulty(says(GOOD)) as good:
        answer = await ask(QUESTION, [bad.address, good.address], 3.0)
    assert answer.addresses == ("10.0.0.7",)
    assert answer.seconds < PATIENCE


async def test_without_file_descriptors_it_is_the_nameserver_that_cannot_be_reached() -> None:
    async with faulty(says(GOOD)) as server:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        try:
            answer = await ask(QUESTION, [server.address], 3.0)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert (answer.outcome, answer.detail) == (Outcome.UNREACHABLE, "Too many open files")
        assert (await ask(QUESTION, [server.address], 3.0)).outcome is Outcome.OK
