"""Listening on unix sockets: who may connect from when on, and what is in the way."""

from __future__ import annotations

import grp
import multiprocessing
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from dbambassador.demo.processes import temporary_directory
from dbambassador.errors import CannotListen
from dbambassador.transport.unix_sockets import close_unix, is_lost, listen_unix, peer_of, regrant
from dbambassador.values import PeerProcess
from tests.testbed.requirements import require_root

OTHER = 65534
"""A user and a group without rights: nobody's."""

needs_root = pytest.mark.usefixtures("root")


@pytest.fixture
def root() -> None:
    """Only root can be somebody else."""
    require_root()


@pytest.fixture
def directory() -> Iterator[Path]:
    with temporary_directory("socket-") as path:
        yield path


@contextmanager
def somebody_else(user: int = OTHER, groups: tuple[int, ...] = (OTHER,)) -> Iterator[None]:
    """Within it, this process is another user, as far as files go."""
    before = os.getgroups()
    os.setgroups(groups)
    os.setegid(groups[0])
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)


def connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except (PermissionError, ConnectionRefusedError, FileNotFoundError):
            return False
    return True


def permissions(path: Path) -> tuple[int, int]:
    """Mode and group."""
    found = path.stat()
    return stat.S_IMODE(found.st_mode), found.st_gid


async def refused(path: Path, mode: int = 0o777, group: str = "") -> CannotListen:
    with pytest.raises(CannotListen) as error:
        await listen_unix(str(path), mode, group)
    return error.value


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o777])
@pytest.mark.parametrize("mode", [0o777, 0o660, 0o600])
async def test_the_mode_is_as_written_whatever_the_umask(directory: Path, mode: int, mask: int) -> None:
    path, before = directory / "a", os.umask(mask)
    try:
        listener = await listen_unix(str(path), mode, "")
    finally:
        os.umask(before)
    assert permissions(path) == (mode, os.getegid())
    close_unix(listener)
    assert not path.exists()


@needs_root
@pytest.mark.parametrize("group", [str(OTHER), grp.getgrgid(OTHER).gr_name])
async def test_the_group_may_connect_and_others_may_not(directory: Path, group: str) -> None:
    os.chmod(directory, 0o755)
    listener = await listen_unix(str(directory / "a"), 0o660, group)
    assert permissions(directory / "a") == (0o660, OTHER)
    with somebody_else(user=4711, groups=(4711, OTHER)):
        assert connects(directory / "a")
    with somebody_else(user=4711, groups=(4711,)):
        assert not connects(directory / "a")
    close_unix(listener)


async def test_nobody_can_connect_before_mode_and_group_are_set(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, let_in = directory / "a", []
    for name in ("lchown", "chmod"):
        change = getattr(os, name)

        def try_first(*arguments: object, change: object = change) -> None:
            let_in.append(connects(path))
            change(*arguments)  # type: ignore[operator]
            let_in.append(connects(path))

        monkeypatch.setattr(os, name, try_first)
    listener = await listen_unix(str(path), 0o600, str(os.getegid()))
    assert let_in == [False] * 4
    assert connects(path)
    close_unix(listener)


@needs_root
async def test_the_kernel_tells_who_connected(directory: Path) -> None:
    os.chmod(directory, 0o755)
    listener = await listen_unix(str(directory / "a"), 0o777, "")
    with socket.socket(socket.AF_UNIX) as client:
        with somebody_else(user=4711, groups=(4712,)):
            client.connect(str(directory / "a"))
        accepted = await listener.accept()
        assert peer_of(accepted.socket) == PeerProcess(os.getpid(), 4711, 4712)
        accepted.socket.close()
        assert peer_of(accepted.socket) is None
    close_unix(listener)


async def test_an_unknown_group_is_named(directory: Path) -> None:
    error = await refused(directory / "a", group="no-such-group")
    assert "there is no group no-such-group here" in str(error)
    assert "give its number" in error.hint
    assert not os.listdir(directory)


@needs_root
async def test_a_group_that_we_do_not_belong_to_is_told_and_nothing_is_left(directory: Path) -> None:
    os.chown(directory, OTHER, OTHER)
    with somebody_else():
        error = await refused(directory / "a", group="4711")
    assert "may not give the socket to the group 4711" in str(error)
    assert f"user {OTHER} with the groups {OTHER}" in error.hint
    assert not os.listdir(directory)


async def test_a_missing_directory_is_named(directory: Path) -> None:
    error = await refused(directory / "nowhere" / "a")
    assert "no such file or directory" in str(error)
    assert f"there is no directory {directory}/nowhere" in error.hint
    (directory / "file").touch()
    error = await refused(directory / "file" / "a")
    assert f"there is no directory {directory}/file" in error.hint


@needs_root
async def test_a_directory_that_may_not_be_written_to_is_told_with_its_owner(directory: Path) -> None:
    os.chmod(directory, 0o755)
    with somebody_else():
        error = await refused(directory / "a")
    assert "permission denied" in str(error)
    assert f"user {OTHER}" in error.hint
    assert "belongs to user 0, group 0, mode 0755" in error.hint


async def test_the_socket_of_a_dead_process_is_replaced(directory: Path) -> None:
    path = directory / "a"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    listener = await listen_unix(str(path), 0o777, "")
    assert connects(path)
    close_unix(listener)


@needs_root
async def test_a_dead_socket_that_we_may_not_remove_is_told(directory: Path) -> None:
    path = directory / "a"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    os.chmod(path, 0o777)
    os.chmod(directory, 0o755)
    with somebody_else():
        error = await refused(path)
    assert "permission denied" in str(error)
    assert path.exists()


@needs_root
async def test_a_socket_that_we_may_not_try_stays(directory: Path) -> None:
    listener = await listen_unix(str(directory / "a"), 0o600, "")
    os.chmod(directory, 0o777)
    with somebody_else():
        error = await refused(directory / "a")
    assert "another user's socket is there" in str(error)
    assert connects(directory / "a")
    close_unix(listener)


async def test_a_live_socket_stays_even_if_its_queue_is_full(directory: Path) -> None:
    path = directory / "a"
    with socket.socket(socket.AF_UNIX) as live, socket.socket(socket.AF_UNIX) as waiting:
        live.bind(str(path))
        live.listen(0)
        waiting.connect(str(path))
        error = await refused(path)
        assert "a live process listens there" in str(error)
        assert path.exists()


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("/nowhere")])
async def test_what_is_no_socket_stays(directory: Path, make: object) -> None:
    make(directory / "a")  # type: ignore[operator]
    assert "something that is no socket is there" in str(await refused(directory / "a"))
    assert (directory / "a").is_symlink() or (directory / "a").exists()


async def test_a_socket_that_took_our_place_stays(directory: Path) -> None:
    path = directory / "a"
    listener = await listen_unix(str(path), 0o777, "")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        close_unix(listener)
        assert path.exists()


async def test_one_that_was_removed_is_lost_and_one_in_its_place_is_another(directory: Path) -> None:
    path = directory / "a"
    lost = await listen_unix(str(path), 0o777, "")
    assert not is_lost(lost)
    path.unlink()
    assert is_lost(lost)
    listener = await listen_unix(str(path), 0o777, "")
    assert (is_lost(lost), is_lost(listener)) == (True, False)
    close_unix(lost)
    assert connects(path)
    close_unix(listener)
    assert not path.exists()


def _listen_once(path: str, start: object, end: object, results: object) -> None:
    async def listen() -> bool:
        try:
            listener = await listen_unix(path, 0o777, "")
        except CannotListen:
            return False
        results.put(True)  # type: ignore[attr-defined]
        end.wait()  # type: ignore[attr-defined]
        close_unix(listener)
        return True

    start.wait()  # type: ignore[attr-defined]
    if not trio.run(listen):
        results.put(False)  # type: ignore[attr-defined]


def test_of_two_that_find_a_dead_socket_at_once_one_listens_and_the_other_is_told(directory: Path) -> None:
    context = multiprocessing.get_context("fork")
    path = directory / "a"
    for _ in range(10):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        start, end, results = context.Barrier(3), context.Event(), context.SimpleQueue()
        arguments = (str(path), start, end, results)
        pair = [context.Process(target=_listen_once, args=arguments, daemon=True) for _ in "ab"]
        for each in pair:
            each.start()
        try:
            start.wait(10)
            outcomes = sorted([results.get(), results.get()])
            assert connects(path)
        finally:
            end.set()
            for each in pair:
                each.join(10)
        assert outcomes == [False, True]
        assert not path.exists()


@needs_root
async def test_another_mode_and_group_and_back_again(directory: Path) -> None:
    path = directory / "s"
    listener = await listen_unix(str(path), 0o600, "")
    try:
        undo = regrant(str(path), 0o660, str(OTHER))
        found = path.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o660, OTHER)
        with somebody_else(user=1):
            assert connects(path)
        undo()
        found = path.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o600, os.getegid())
        with pytest.raises(CannotListen, match="there is no group nobodys"):
            regrant(str(path), 0o660, "nobodys")
        assert path.stat() == found
    finally:
        close_unix(listener)


@needs_root
async def test_without_a_group_of_its_own_it_keeps_that_of_its_directory(directory: Path) -> None:
    os.chown(directory, -1, OTHER)
    os.chmod(directory, 0o2770)  # as a volume with an fsGroup
    path = directory / "s"
    listener = await listen_unix(str(path), 0o660, "")
    try:
        assert path.stat().st_gid == OTHER
        regrant(str(path), 0o600, "")
        assert path.stat().st_gid == OTHER
    finally:
        close_unix(listener)
