"""Packets of every kind, through sockets: the lookup ends as a value, in time, and leaves nothing open."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from itertools import pairwise

import dns.flags
import dns.message
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from dbambassador.discovery.answers import Answer, Outcome, Question
from dbambassador.discovery.ask import ORDINARY, PATIENCE, ask
from dbambassador.values import Address
from tests.testbed.dns import HOST, faulty, free_port, reply_to

QUESTION = Question("orders.db.test", "A")
CHAIN = ["orders.db.test 9 CNAME a.test.", "a.test 5 A 10.0.0.7"]
SOA = "db.test 60 SOA ns.db.test. hostmaster.db.test. 1 3600 600 86400 7"
LIFETIME = 0.02
"""Seconds: a packet that is passed over is waited past for all of it."""
LONGEST = 0.5
"""Seconds that a lookup with that lifetime takes at most, on a machine that has others to serve."""

Reply = Callable[[dns.message.Message], bytes]
transports = st.sampled_from(["udp", "tcp"])


def open_files() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


async def asked(
    reply: Reply, transport: str, question: Question = QUESTION, lifetime: float = LIFETIME
) -> Answer:
    """What comes of a question whose answer over this transport is `reply`."""

    async def behave(query: dns.message.Message, over: str) -> bytes | None:
        if over != transport:
            cut = reply_to(query)
            cut.flags |= dns.flags.TC
            return cut.to_wire()
        return reply(query)

    before = open_files()
    async with faulty(behave) as server:
        answer = await ask(question, [server.address], lifetime)
    assert open_files() == before
    assert answer.question == question
    assert answer.seconds < LONGEST
    assert (answer.outcome is Outcome.OK) == bool(answer.addresses or answer.services)
    assert answer.outcome is not Outcome.MALFORMED or answer.detail
    return answer


def valid(query: dns.message.Message) -> bytes:
    return reply_to(query, *CHAIN, authority=[SOA]).to_wire()


def headed(query: dns.message.Message, rest: bytes) -> bytes:
    """So that it passes for a reply to this query."""
    return struct.pack("!HH", query.id, 0x8180) + rest


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.booleans(), transports)
def test_random_bytes(data: bytes, head: bool, transport: str) -> None:
    answer = trio.run(asked, lambda query: headed(query, data) if head else data, transport)
    assert answer.addresses == ()


edits = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "insert"]), st.integers(2, 200), st.binary(min_size=1, max_size=9)
    ),
    min_size=1,
    max_size=4,
)


def mangle(wire: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
    for how, where, data in changes:
        at = min(where, len(wire))
        match how:
            case "flip":
                wire = wire[:at] + bytes(byte ^ data[0] for byte in wire[at : at + 1]) + wire[at + 1 :]
            case "cut":
                wire = wire[:at]
            case _:
                wire = wire[:at] + data + wire[at:]
    return wire


@settings(max_examples=150, deadline=None)
@given(edits, transports)
def test_valid_answers_with_changed_bytes(changes: list[tuple[str, int, bytes]], transport: str) -> None:
    trio.run(asked, lambda query: mangle(valid(query), changes), transport)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_answers_cut_at_every_length(transport: str) -> None:
    whole = len(valid(dns.message.make_query(QUESTION.name, QUESTION.kind)))
    lengths = iter(range(whole + 1))

    def cut(query: dns.message.Message) -> bytes:
        return valid(query)[: next(lengths)]

    async def behave(query: dns.message.Message, over: str) -> bytes | None:
        if over != transport:
            reply = reply_to(query)
            reply.flags |= dns.flags.TC
            return reply.to_wire()
        return cut(query)

    async with faulty(behave) as server:
        before = open_files()
        for length in range(whole + 1):
            answer = await ask(QUESTION, [server.address], LIFETIME / 2 if transport == "udp" else PATIENCE)
            expected = Outcome.OK if length == whole else Outcome.MALFORMED
            assert answer.outcome is expected, length
        assert open_files() == before


def pointing(to: int) -> Reply:
    """A record whose name is a pointer (RFC 1035 section 4.1.4)."""

    def reply(query: dns.message.Message) -> bytes:
        question = query.to_wire()[12:]
        record = struct.pack("!HHHIH4s", 0xC000 | to, 1, 1, 5, 4, bytes([10, 0, 0, 7]))
        return struct.pack("!HHHHHH", query.id, 0x8180, 1, 1, 0, 0) + question + record

    return reply


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(
    ("to", "outcome"),
    [
        (12, Outcome.OK),
        (32, Outcome.MALFORMED),  # itself
        (33, Outcome.MALFORMED),  # its own second octet
        (40, Outcome.MALFORMED),  # forward
        (0x3FFF, Outcome.MALFORMED),  # beyond the end
    ],
)
async def test_names_that_point_into_the_message(transport: str, to: int, outcome: Outcome) -> None:
    assert len(dns.message.make_query(QUESTION.name, QUESTION.kind).to_wire()) == 32
    assert (await asked(pointing(to), transport)).outcome is outcome


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("length", range(1, 51))
async def test_alias_loops_of_every_length(transport: str, length: int) -> None:
    names = ["orders.db.test", *(f"n{n}.test" for n in range(1, length)), "orders.db.test"]
    loop = [f"{name} 5 CNAME {target}." for name, target in pairwise(names)]
    answer = await asked(lambda query: reply_to(query, *loop).to_wire(), transport, lifetime=PATIENCE)
    assert answer.outcome is Outcome.MALFORMED
    assert answer.seconds < PATIENCE, "nothing was waited for"


LONGEST_NAME = ".".join(["a" * 63] * 3 + ["b" * 61])


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_names_of_255_octets(transport: str) -> None:
    question = Question(LONGEST_NAME, "SRV")
    target = LONGEST_NAME.replace("b", "c")
    answer = await asked(
        lambda query: reply_to(query, f"{LONGEST_NAME} 5 SRV 1 2 3 {target}.").to_wire(), transport, question
    )
    assert [service.target for service in answer.services] == [target]
    assert (await ask(Question("d." + LONGEST_NAME, "A"), [], LIFETIME)).outcome is Outcome.INVALID


async def test_a_name_above_255_octets_in_an_answer() -> None:
    def too_long(query: dns.message.Message) -> bytes:
        wire = reply_to(query, f"{LONGEST_NAME} 5 A 10.0.0.7").to_wire()
        # The owner of the record, a pointer to the question, becomes one label in front of it.
        return wire.replace(b"\xc0\x0c", b"\x01d\xc0\x0c", 1)

    answer = await asked(too_long, "udp", Question(LONGEST_NAME, "A"))
    assert answer.outcome is Outcome.MALFORMED


async def test_answers_from_another_port_do_not_arrive() -> None:
    """And they do not end the wait for the server's own."""
    address = Address(HOST, free_port())
    with (
        trio.socket.socket(type=trio.socket.SOCK_DGRAM) as server,
        trio.socket.socket(type=trio.socket.SOCK_DGRAM) as other,
    ):
        await server.bind((address.host, address.port))
        await other.bind((HOST, 0))

        async def forge_then_answer() -> None:
            wire, peer = await server.recvfrom(512)
            query = dns.message.from_wire(wire)
            await other.sendto(reply_to(query, "orders.db.test 5 A 10.6.6.6").to_wire(), peer)
            await trio.sleep(0.05)
            await server.sendto(valid(query), peer)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(forge_then_answer)
            answer = await ask(QUESTION, [address], PATIENCE)
    assert answer.addresses == ("10.0.0.7",)


def costly(query: dns.message.Message) -> bytes:
    """Within 8 KiB, more than a second's work for the parser: aliases of names of 127 labels."""
    question = query.to_wire()[12:]
    at = 12 + len(question)
    records = [b"\x01x" * 126 + b"\0" + struct.pack("!HHIHH", 5, 1, 5, 2, 0xC000 | at)]
    while sum(map(len, records)) < 8000:
        name = 0xC000 | (at + 2 * (len(records) % 120))
        records.append(struct.pack("!HHHIHH", name, 5, 1, 5, 2, 0xC000 | at))
    head = struct.pack("!HHHHHH", query.id, 0x8180, 1, len(records), 0, 0)
    return head + question + b"".join(records)


async def test_a_packet_that_is_hard_to_read_stops_neither_the_lookup_s_clock_nor_others() -> None:
    lags = []

    async def beat() -> None:
        while True:
            began = trio.current_time()
            await trio.sleep(0.005)
            lags.append(trio.current_time() - began)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(beat)
        assert len(costly(dns.message.make_query(QUESTION.name, QUESTION.kind))) > ORDINARY
        answer = await asked(costly, "udp", lifetime=0.15)
        nursery.cancel_scope.cancel()
    assert answer.outcome is Outcome.TIMEOUT
    assert max(lags) < 0.4


async def test_a_forged_packet_is_not_even_read() -> None:
    answer = await asked(lambda query: bytes([query.id >> 8 ^ 1]) + costly(query)[1:], "udp", lifetime=0.15)
    assert (answer.outcome, answer.detail) == (Outcome.MALFORMED, "not a reply to this query")
