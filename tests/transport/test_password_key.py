"""The key pair for passwords: made once, in whatever thread, and of no use for anything else."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from dbambassador.transport.password_key import BITS, PasswordKey
from tests.testbed.processes import environ

MYSQLS_WAY = OAEP(MGF1(SHA1()), SHA1(), None)


def public(key: PasswordKey) -> RSAPublicKey:
    loaded = load_pem_public_key(key.pem())
    assert isinstance(loaded, RSAPublicKey)
    return loaded


def test_what_was_encrypted_with_the_public_half_can_be_read() -> None:
    key = PasswordKey()
    assert public(key).key_size == BITS
    for text in (b"", b"\0", b"x" * (BITS // 8 - 42)):
        assert key.decrypt(public(key).encrypt(text, MYSQLS_WAY)) == text


@pytest.mark.parametrize("other", [PKCS1v15(), OAEP(MGF1(SHA256()), SHA256(), None)], ids=["PKCS", "SHA-256"])
def test_what_was_encrypted_in_another_way_cannot(other: PKCS1v15 | OAEP) -> None:
    key = PasswordKey()
    assert key.decrypt(public(key).encrypt(b"password", other)) is None


@pytest.mark.parametrize("length", [0, 1, 255, 256, 257, 4096])
def test_arbitrary_bytes_are_none_of_ours(length: int) -> None:
    key = PasswordKey()
    assert key.decrypt(bytes(length)) is None
    key.pem()
    assert key.decrypt(b"\x5a" * length) is None


def test_all_threads_get_the_same_key() -> None:
    key = PasswordKey()
    with ThreadPoolExecutor(8) as threads:
        assert len({each.result() for each in [threads.submit(key.pem) for _ in range(8)]}) == 1


def test_nothing_is_imported_for_it_before_somebody_asks() -> None:
    program = (
        "import sys, dbambassador.ambassador.database as database;"
        "database.PasswordKey();"
        "print('cryptography' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environ())
    assert done.stdout == "False\n", done.stderr
