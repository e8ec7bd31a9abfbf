"""The password of a check: what is read, and what is told of a file that gives none."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import trio

from dbambassador.health import password_file as module
from dbambassador.health.password_file import Unreadable, read_password


async def test_no_file_is_no_password() -> None:
    assert await read_password("") == ""


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"secret", "secret"),
        (b"secret\n", "secret"),
        (b"secret\r\n", "secret"),
        (b" with spaces \n", " with spaces "),
        ("gerätselt".encode(), "gerätselt"),
        (b"x" * module.LARGEST, "x" * module.LARGEST),
    ],
)
async def test_the_line_end_is_no_part_of_it(tmp_path: Path, content: bytes, password: str) -> None:
    (tmp_path / "password").write_bytes(content)
    assert await read_password(str(tmp_path / "password")) == password


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b"\n", "empty"),
        (b"secret\0", "holds a NUL byte"),
        (b"secret\xff", "not UTF-8"),
        (b"secret" + b"x" * module.LARGEST, "larger than 16 KiB"),
    ],
)
async def test_what_can_be_no_password(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "password"
    file.write_bytes(content)
    with pytest.raises(Unreadable) as refused:
        await read_password(str(file))
    assert str(refused.value) == f"{file}: {why}"


async def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, why in (
        (tmp_path / "none", "no such file or directory"),
        (tmp_path, "not a regular file"),
        (tmp_path / "fifo", "not a regular file"),
    ):
        with pytest.raises(Unreadable) as refused:
            await read_password(str(path))
        assert str(refused.value) == f"{path}: {why}"


async def test_a_file_system_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_TIMEOUT", 0.05)
    monkeypatch.setattr(module, "_read", lambda path: time.sleep(1.0))
    started = trio.current_time()
    with pytest.raises(Unreadable, match=r"no answer from its file system in 0\.05 s"):
        await read_password(str(tmp_path))
    assert trio.current_time() - started < 0.7
