from __future__ import annotations

import os
import stat
import sys
import time
from pathlib import Path

import pytest

from dbambassador.reflection.reading import MAX_BYTES, MAX_LINKS, Files, Reading
from dbambassador.values import State


def read(path: Path, limit: int = MAX_BYTES) -> Reading:
    return Files(Path("/")).read(str(path), limit)


def test_reads_a_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"shop")
    assert read(tmp_path / "f") == Reading(str(tmp_path / "f"), State.PRESENT, b"shop")


def test_a_missing_file_is_absent_and_so_is_one_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    assert read(tmp_path / "none").state is State.ABSENT
    assert read(tmp_path / "f" / "below").state is State.ABSENT


def test_the_limit_is_exact(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 2048)
    assert read(tmp_path / "f", 2048).present
    reading = read(tmp_path / "f", 2047)
    assert reading.state is State.UNKNOWN
    assert "larger than" in reading.reason
    assert reading.data == b""


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "f")
    started = time.monotonic()
    reading = read(tmp_path / "f")
    assert time.monotonic() - started < 1
    assert reading.state is State.UNKNOWN
    assert "not a regular file" in reading.reason


def test_an_endless_device_behind_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "f").symlink_to("/dev/zero")
    assert read(tmp_path / "f").state is State.UNKNOWN


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_file_without_a_size_is_read_to_its_end() -> None:
    assert os.stat("/proc/self/status").st_size == 0
    assert b"Name:" in read(Path("/proc/self/status")).data


def test_a_directory_says_so(tmp_path: Path) -> None:
    reading = read(tmp_path)
    assert reading.state is State.UNKNOWN
    assert reading.directory


def test_a_loop_of_links_is_unknown_with_and_without_a_root(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for reading in (read(tmp_path / "a"), Files(tmp_path).read("/a"), Files(tmp_path).look("/a")):
        assert reading.state is State.UNKNOWN
        assert "symbolic links" in reading.reason


def test_a_long_chain_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "0").write_bytes(b"end")
    for number in range(1, MAX_LINKS + 2):
        (tmp_path / str(number)).symlink_to(str(number - 1))
    assert Files(tmp_path).read(f"/{MAX_LINKS}").data == b"end"
    assert Files(tmp_path).read(f"/{MAX_LINKS + 1}").state is State.UNKNOWN


def test_an_unreadable_file_is_unknown_and_tells_why(tmp_path: Path) -> None:
    secret = tmp_path / "f"
    secret.write_bytes(b"x")
    secret.chmod(0)
    reading = _as_nobody(secret) if os.geteuid() == 0 else read(secret)
    assert reading == Reading(str(secret), State.UNKNOWN, reason=f"{secret}: Permission denied")


def _as_nobody(path: Path) -> Reading:
    """Reads with the effective uid of nobody, who passes through the directories above."""
    opened = []
    for directory in path.parents:
        mode = stat.S_IMODE(directory.stat().st_mode)
        if not mode & stat.S_IXOTH:
            opened.append((directory, mode))
            directory.chmod(mode | stat.S_IXOTH)
    os.seteuid(65534)
    try:
        return read(path)
    finally:
        os.seteuid(0)
        for directory, mode in opened:
            directory.chmod(mode)


def test_links_stay_within_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "run").mkdir(parents=True)
    (root / "run" / "f").write_bytes(b"inside")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "f").write_bytes(b"outside")
    (root / "var").mkdir()
    (root / "var" / "run").symlink_to("/run")
    (root / "up").symlink_to("../../../run/f")
    (root / "out").symlink_to(tmp_path / "run" / "f")
    files = Files(root)
    assert files.read("/var/run/f").data == b"inside"
    assert files.read("/up").data == b"inside"
    assert files.read("/../../run/f").data == b"inside"
    assert files.read("/out").state is State.ABSENT
    assert files.read("/var/run/f").path == "/var/run/f"


def test_a_relative_root_is_one_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    assert Files(Path(".")).read("/f").data == b"x"


def test_names_of_a_volume_with_one_file_for_each_key(tmp_path: Path) -> None:
    """As the kubelet's atomic writer lays it out."""
    data = tmp_path / "..2026_01_01"
    (data / "app.kubernetes.io").mkdir(parents=True)
    (data / "app.kubernetes.io" / "name").write_text("orders")
    (data / "team").write_text("payments")
    (tmp_path / "..data").symlink_to("..2026_01_01")
    for name in ("team", "app.kubernetes.io"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    assert Files(Path("/")).names(str(tmp_path)) == ("app.kubernetes.io/name", "team")
    assert Files(tmp_path).names("/") == ("app.kubernetes.io/name", "team")


def test_names_are_bounded_and_never_an_error(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number:03}").touch()
    assert len(Files(tmp_path).names("/")) == 256
    assert Files(tmp_path).names("/none") == ()


def test_who_is_overtaken_by_the_kubelet_looks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at a link and the opening, the kubelet removes the directory that it led to."""
    for turn in ("1", "2"):
        (tmp_path / f"..{turn}").mkdir()
        (tmp_path / f"..{turn}" / "labels").write_text(turn)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "labels").symlink_to("..data/labels")
    real = os.open

    def overtaken(path: str, flags: int, *rest: int) -> int:
        if "..1" in path:
            (tmp_path / "..data").unlink()
            (tmp_path / "..data").symlink_to("..2")
            (tmp_path / "..1" / "labels").unlink()
        return real(path, flags, *rest)

    monkeypatch.setattr(os, "open", overtaken)
    assert Files(tmp_path).read("/labels").data == b"2"


def test_what_was_read_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"secret")
    assert "secret" not in repr(read(tmp_path / "token"))
