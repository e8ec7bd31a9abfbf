from __future__ import annotations

import os
from pathlib import Path

from dbambassador.discovery.watched_file import MAX_BYTES, WatchedFile


class Counted:
    def __init__(self) -> None:
        self.parsed = 0

    def __call__(self, text: str) -> str:
        self.parsed += 1
        return text


def test_read_again_only_when_it_changed(tmp_path: Path) -> None:
    path, parse = tmp_path / "hosts", Counted()
    file = WatchedFile(path, parse)
    assert file.current() == ""
    path.write_text("a")
    assert file.current() == file.current() == "a"
    assert parse.parsed == 2
    os.utime(path, ns=(1, 1))
    assert file.current() == "a"
    assert parse.parsed == 3


def test_a_replaced_file_is_another_one_even_with_the_same_time_and_size(tmp_path: Path) -> None:
    path, new = tmp_path / "hosts", tmp_path / "new"
    path.write_text("a")
    new.write_text("b")
    os.utime(path, ns=(1, 1))
    os.utime(new, ns=(1, 1))
    file = WatchedFile(path, str)
    assert file.current() == "a"
    new.replace(path)
    assert file.current() == "b"


def test_what_cannot_be_read_counts_as_empty(tmp_path: Path) -> None:
    file = WatchedFile(tmp_path, str)
    assert file.current() == ""
    path = tmp_path / "hosts"
    path.write_bytes(b"\xff10.0.0.1 a")
    assert WatchedFile(path, str).current() == "\ufffd10.0.0.1 a"
    path.write_bytes(b"x" * (MAX_BYTES + 10))
    assert len(WatchedFile(path, str).current()) == MAX_BYTES
