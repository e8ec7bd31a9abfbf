"""What MySQL servers say during authentication, and what is answered to be done with it."""

from __future__ import annotations

from itertools import count

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import example, given
from hypothesis import strategies as st

from dbambassador.protocols.mysql_authentication import (
    CACHING_SHA2,
    CLEAR,
    ED25519,
    NATIVE,
    OLD,
    SHA256,
    Kind,
    Step,
    in_clear,
    may_want_password,
    more_follows,
    read_step,
    unmasked,
    wants_password,
    wrong_answer,
)

SALT = bytes(range(1, 21))


@pytest.mark.parametrize(
    ("payload", "step"),
    [
        (b"\0\0\0\2\0\0\0", Step(Kind.OK)),
        (b"\xff\x15\x04#28000Access denied", Step(Kind.ERROR)),
        (b"\xfemysql_native_password\0" + SALT + b"\0", Step(Kind.SWITCH, SALT, NATIVE)),
        (b"\xfeclient_ed25519\0" + SALT, Step(Kind.SWITCH, SALT, ED25519)),
        (b"\xfemysql_clear_password\0", Step(Kind.SWITCH, b"", CLEAR)),
        (b"\xfe", Step(Kind.SWITCH, b"", OLD)),
        (b"\1\3", Step(Kind.DATA, b"\3")),
        (b"\1\4", Step(Kind.DATA, b"\4")),
        (b"\4Password: ", Step(Kind.DATA, b"\4Password: ")),
        (b"\2more", Step(Kind.DATA, b"\2more")),
        (b"", Step(Kind.DATA)),
    ],
)
def test_steps_are_told_apart_by_their_first_byte(payload: bytes, step: Step) -> None:
    assert read_step(payload) == step


def test_a_further_factor_is_another_plugin_only_where_both_know_of_several() -> None:
    assert read_step(b"\2mysql_clear_password\0", multi_factor=True) == Step(Kind.SWITCH, b"", CLEAR)
    assert read_step(b"\2mysql_clear_password\0").kind is Kind.DATA


@given(st.binary(max_size=80), st.booleans())
def test_arbitrary_bytes_are_some_step(payload: bytes, multi_factor: bool) -> None:
    assert len(read_step(payload, multi_factor=multi_factor).data) <= len(payload)


def test_only_the_success_of_the_cache_is_followed_by_more() -> None:
    assert more_follows(Step(Kind.DATA, b"\3"), CACHING_SHA2)
    assert not more_follows(Step(Kind.DATA, b"\4"), CACHING_SHA2)
    assert not more_follows(Step(Kind.DATA, b"\3"), "dialog")


def test_a_password_is_wanted_by_full_authentication_and_always_by_sha256() -> None:
    assert wants_password(Step(Kind.DATA, b"\4"), CACHING_SHA2)
    assert not wants_password(Step(Kind.SWITCH, SALT, CACHING_SHA2), CACHING_SHA2)
    assert wants_password(Step(Kind.SWITCH, SALT, SHA256), SHA256)
    assert not wants_password(Step(Kind.SWITCH, b"", CLEAR), CLEAR)


def test_what_may_be_a_password_in_clear_is_known_before_it_is_said() -> None:
    for plugin in (CACHING_SHA2, SHA256, CLEAR, "dialog"):
        assert may_want_password(Step(Kind.SWITCH, SALT, plugin), plugin)
    for plugin in (NATIVE, ED25519):
        assert not may_want_password(Step(Kind.SWITCH, SALT, plugin), plugin)
    assert may_want_password(Step(Kind.DATA, b"\4"), CACHING_SHA2)
    assert not may_want_password(Step(Kind.DATA, b"\3"), CACHING_SHA2)
    assert not may_want_password(Step(Kind.OK), CACHING_SHA2)


@pytest.mark.parametrize(
    ("plugin", "answer"),
    [
        (NATIVE, b""),
        (OLD, b""),
        (ED25519, bytes(64)),
        (CACHING_SHA2, b"\0"),
        (CLEAR, b"\0"),
    ],
)
def test_a_wrong_answer_can_be_read_by_its_plugin(plugin: str, answer: bytes) -> None:
    assert wrong_answer(plugin) == answer


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=255).map(str.encode))
@example(b"a" * 255)
@example("ä".encode("latin-1") * 20)
def test_a_password_in_clear_is_known_in_any_length_and_alphabet(password: bytes) -> None:
    assert in_clear(password + b"\0")
    assert not in_clear(password + b"a")


def test_what_some_key_encrypted_is_no_password_in_clear() -> None:
    key = rsa.generate_private_key(65537, 2048).public_key()
    way = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
    encrypted = (key.encrypt(b"a password\0", way) for _ in count())
    assert not in_clear(next(each for each in encrypted if each.endswith(b"\0")))  # one in 256 does


@given(st.binary(max_size=250), st.binary(min_size=1, max_size=20))
def test_a_mask_is_its_own_inverse(password: bytes, salt: bytes) -> None:
    assert unmasked(unmasked(password, salt), salt) == password


def test_nothing_is_unmasked_without_a_challenge() -> None:
    assert unmasked(b"anything", b"") == b""
