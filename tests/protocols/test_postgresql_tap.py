"""The startup tap: whatever the chunks, nothing is lost, and a standby's welcome can be stopped."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dbambassador.protocols.postgresql import error_response
from dbambassador.protocols.postgresql_tap import MAX_STARTUP_REPLY, Passage, StartupTap


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (4 + len(body)).to_bytes(4, "big") + body


KEY = b"\0\0\x12\x67\xde\xad\xbe\xef"
SASL = message(b"R", b"\0\0\0\x0aSCRAM-SHA-256\0\0")
OK = message(b"R", b"\0\0\0\0")


def welcome(standby: bytes | None) -> bytes:
    role = b"" if standby is None else message(b"S", b"in_hot_standby\0" + standby + b"\0")
    return OK + message(b"S", b"server_version\x0015.6\0") + role + message(b"K", KEY) + message(b"Z", b"I")


def feed(tap: StartupTap, data: bytes, cuts: list[int]) -> tuple[bytes, list[Passage]]:
    """Feeds data cut at these offsets, as a tap is fed: not after it is done."""
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    forwarded = b""
    passages: list[Passage] = []
    for start, end in pairwise(edges):
        if passages and passages[-1].done:
            forwarded += data[start:end]
            continue
        passages.append(tap.feed(data[start:end]))
        forwarded += passages[-1].forward
    return forwarded, passages


cuts = st.lists(st.integers(0, 2000), max_size=12)


@given(cuts, st.sampled_from([b"on", b"off", None]), st.booleans())
def test_every_byte_passes_and_key_and_role_are_told(
    at: list[int], standby: bytes | None, hold_back: bool
) -> None:
    data = SASL + welcome(standby)
    forwarded, passages = feed(StartupTap(hold_back=hold_back), data, at)
    assert forwarded == data
    last = passages[-1]
    assert last.done
    assert last.standby is {b"on": True, b"off": False, None: None}[standby]
    assert last.key == KEY
    assert last.welcome is hold_back


@given(cuts)
def test_nothing_of_a_standbys_welcome_passes_before_it_is_known_to_be_one(at: list[int]) -> None:
    data = welcome(b"on")
    _, passages = feed(StartupTap(hold_back=True), data, at)
    assert all(not passage.forward for passage in passages if not passage.done)
    assert (passages[-1].standby, passages[-1].welcome) == (True, True)


def test_authentication_passes_at_once() -> None:
    assert StartupTap(hold_back=True).feed(SASL).forward == SASL


def test_an_error_ends_the_startup_with_its_sqlstate() -> None:
    data = error_response("28P01", "password authentication failed")
    passage = StartupTap(hold_back=True).feed(data)
    assert passage == Passage(data, True, error="28P01")


@given(cuts, st.booleans())
def test_what_binds_to_tls_is_taken_off_the_offer_and_nothing_else_is_touched(
    at: list[int], hold_back: bool
) -> None:
    def stream(offer: bytes) -> bytes:
        negotiated = message(b"v", b"\0\3\0\2" + b"\0\0\0\0")
        challenge = message(b"R", b"\0\0\0\x0br=SCRAM-SHA-256-PLUS,s=c2FsdA==,i=4096")
        offered = message(b"R", b"\0\0\0\x0a" + offer + b"\0")
        return negotiated + offered + challenge + welcome(b"off")

    data = stream(b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0OAUTHBEARER\0")
    forwarded, passages = feed(StartupTap(hold_back=hold_back, bind_channels=False), data, at)
    assert forwarded == stream(b"SCRAM-SHA-256\0OAUTHBEARER\0")
    assert (passages[-1].done, passages[-1].key) == (True, KEY)


@given(st.binary(min_size=1, max_size=300), cuts)
def test_arbitrary_bytes_are_never_lost(data: bytes, at: list[int]) -> None:
    tap = StartupTap(hold_back=True)
    forwarded, passages = feed(tap, data, at)
    kept = b"" if passages[-1].done else tap._kept
    assert forwarded + kept == data


def test_an_endless_startup_is_let_through() -> None:
    tap = StartupTap(hold_back=True)
    chunk = message(b"S", b"x" * 1000 + b"\0y\0")
    sent = forwarded = 0
    passage = tap.feed(OK)
    while not passage.done:
        sent += len(chunk)
        passage = tap.feed(chunk)
        forwarded += len(passage.forward)
        assert sent <= 2 * MAX_STARTUP_REPLY
    assert forwarded == sent + len(OK)
