from __future__ import annotations

import os
import time
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
    file = WatchedFile(tmp_path, "/hosts", parse)
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
    file = WatchedFile(tmp_path, "/hosts", str)
    assert file.current() == "a"
    new.replace(path)
    assert file.current() == "b"


def test_what_cannot_be_read_counts_as_empty(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.mkdir()
    assert WatchedFile(tmp_path, "/hosts", str).current() == ""
    path.rmdir()
    path.write_bytes(b"\xff10.0.0.1 a")
    assert WatchedFile(tmp_path, "/hosts", str).current() == "\ufffd10.0.0.1 a"
    path.write_bytes(b"x" * (MAX_BYTES + 10))
    assert len(WatchedFile(tmp_path, "/hosts", str).current()) == MAX_BYTES


def test_a_fifo_or_a_device_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hosts")
    started = time.monotonic()
    assert WatchedFile(tmp_path, "/hosts", str).current() == ""
    assert WatchedFile(Path("/"), "/dev/zero", str).current() == ""
    assert time.monotonic() - started < 1


def test_links_stay_within_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for directory, content in ((root / "run", "inside"), (tmp_path / "run", "outside")):
        directory.mkdir(parents=True)
        (directory / "hosts").write_text(content)
    (root / "hosts").symlink_to("/run/hosts")
    file = WatchedFile(root, "/hosts", str)
    assert file.current() == "inside"
    (root / "hosts").unlink()
    (root / "hosts").symlink_to("../run/hosts")
    assert file.current() == "inside"
    (root / "hosts").unlink()
    (root / "hosts").symlink_to("hosts")
    assert file.current() == ""
