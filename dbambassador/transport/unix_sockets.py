"""Unix sockets, as a rule in a directory shared with the clients' container: listening, and who came."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio
from trio.socket import SocketType

from dbambassador.errors import CannotListen
from dbambassador.transport.dial import describe
from dbambassador.transport.listen import BACKLOG
from dbambassador.values import PeerProcess

LOCK_PATIENCE = 2.0
"""Seconds to wait for another process that sets a socket up in the same directory, which takes it moments."""
_LOCK_PAUSE = 0.01
_UCRED = struct.Struct("=iII")
"""struct ucred: unix(7)."""

_bound: dict[trio.SocketListener, tuple[int, int]] = {}
"""The sockets of this process: device and inode of their files."""


async def listen_unix(path: str, mode: int, group: str) -> trio.SocketListener:
    """Listens on a unix socket with this mode, and this group's: a name or a number, empty for our own.

    Nobody can connect before both are set: a socket that does not listen yet refuses everyone (connect(2)).
    The socket that a dead process left there is replaced.

    Resource handling: `close_unix` ends it.

    Raises:
      CannotListen: a live process listens there, something else is in the way, the directory does not let us,
        or there is no such group. Then nothing of ours is left there.
    """
    number = _number(path, group)
    async with _alone_in(os.path.dirname(path)):
        await _clear(path)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        bound = False
        try:
            listening.bind(path)
            bound = True
            if number is not None:
                os.lchown(path, -1, number)
            os.chmod(path, mode)
            listening.listen(BACKLOG)
            bound_as = _identity(path)
        except OSError as error:
            listening.close()
            if not bound:
                raise _cannot(path, error) from None
            _remove(path)
            raise _cannot_change(path, error, group) from None
    listening.setblocking(False)
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
    _bound[listener] = bound_as
    return listener


def regrant(path: str, mode: int, group: str) -> Callable[[], None]:
    """Gives a socket of `listen_unix` another mode and group. Returns: what takes that back.

    Raises:
      CannotListen: as `listen_unix`. Then it is as it was.
    """
    number = _number(path, group)
    try:
        before = os.lstat(path)
        undo = partial(_set_access, path, stat.S_IMODE(before.st_mode), before.st_gid)
        try:
            _set_access(path, mode, _given_group(path) if number is None else number)
        except OSError:
            undo()
            raise
    except OSError as error:
        raise _cannot_change(path, error, group) from None
    return undo


def _given_group(path: str) -> int:
    """The group that the kernel gives a socket that is made there: the directory's, if it has the
    set-group-ID bit (inode(7)), as a volume with an `fsGroup` of Kubernetes has."""
    directory = os.stat(os.path.dirname(path))
    return directory.st_gid if directory.st_mode & stat.S_ISGID else os.getegid()


def _set_access(path: str, mode: int, group: int) -> None:
    if os.lstat(path).st_gid != group:
        os.lchown(path, -1, group)
    os.chmod(path, mode)


def close_unix(listener: trio.SocketListener) -> None:
    """Closes a listener of `listen_unix` and removes its socket, unless another one is there by now."""
    if not is_lost(listener):
        _remove(
            listener.socket.getsockname()
        )  # while it listens: a dead socket might be another one's by then
    _bound.pop(listener, None)
    listener.socket.close()


def is_lost(listener: trio.SocketListener) -> bool:
    """Whether the socket of a listener of `listen_unix` was removed, by whomever: no client finds it any
    more, although it listens, and what is at its path by now is another's."""
    try:
        return _identity(listener.socket.getsockname()) != _bound.get(listener)
    except OSError:
        return True


def peer_of(connection: socket.socket | SocketType) -> PeerProcess | None:
    """Who connected; None where the system does not tell, or the socket is closed."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    try:
        told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    except OSError:
        return None
    return PeerProcess(*_UCRED.unpack(told))


def _identity(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # somebody tidied up before us


def _number(path: str, group: str) -> int | None:
    """The number of a group; None: it is not to be changed."""
    if not group:
        return None
    if group.isdecimal():
        return int(group)
    import grp

    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise CannotListen(
            f"cannot listen on {path}: there is no group {group} here",
            hint="in a container, give its number: names are looked up in the container's own /etc/group",
        ) from None


@asynccontextmanager
async def _alone_in(directory: str) -> AsyncIterator[None]:
    """Within it, no other ambassador sets a socket up in the directory: of two that find a dead one, the
    second would otherwise remove what the first has put in its place."""
    try:
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield  # there is none, or none that we may read: what follows tells
        return
    try:
        with trio.move_on_after(LOCK_PATIENCE):
            while not _locked(lock):  # noqa: ASYNC110 - a lock of another process has no event
                await trio.sleep(_LOCK_PAUSE)
        yield
    finally:
        os.close(lock)


def _locked(directory: int) -> bool:
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks
    return True


async def _clear(path: str) -> None:
    """Removes the socket of a dead process. Raises `CannotListen` for whatever else is there."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise CannotListen(
            f"cannot listen on {path}: something that is no socket is there", hint="move it away"
        )
    with trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        try:
            await trial.connect(path)
        except ConnectionRefusedError:
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
            except OSError as error:
                raise _cannot(path, error) from None
            return
        except PermissionError:
            raise CannotListen(
                f"cannot listen on {path}: another user's socket is there, and this process may not find out "
                "whether it is in use",
                hint="remove it if nobody listens there",
            ) from None
        except FileNotFoundError:
            return
        except OSError as error:
            raise _cannot(path, error) from None
    raise CannotListen(
        f"cannot listen on {path}: a live process listens there",
        hint=f"find it with: ss -xlp src {path}; each ambassador needs a path of its own",
    )


def _cannot(path: str, error: OSError) -> CannotListen:
    directory, hint = os.path.dirname(path), ""
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        hint = f"there is no directory {directory}: create it, or mount the shared volume there"
    elif error.errno == errno.EROFS:
        hint = f"mount a volume on {directory} that can be written, as an emptyDir"
    elif error.errno in (errno.EACCES, errno.EPERM):
        hint = f"{_who()} must be allowed to create files in {directory}{_owner(directory)}"
    elif error.errno == errno.EADDRINUSE:
        return CannotListen(f"cannot listen on {path}: something appeared there at this moment")
    return CannotListen(f"cannot listen on {path}: {describe(error)}", hint=hint)


def _cannot_change(path: str, error: OSError, group: str) -> CannotListen:
    if group and error.errno == errno.EPERM:
        return CannotListen(
            f"cannot listen on {path}: this process may not give the socket to the group {group}",
            hint=f"{_who()} has to be a member of it (Kubernetes: supplementalGroups or fsGroup)",
        )
    return CannotListen(f"cannot listen on {path}: its owner and mode cannot be set: {describe(error)}")


def _who() -> str:
    return (
        f"user {os.geteuid()} with the groups {', '.join(map(str, sorted({os.getegid(), *os.getgroups()})))}"
    )


def _owner(directory: str) -> str:
    try:
        found = os.stat(directory)
    except OSError:
        return ""
    mode = stat.S_IMODE(found.st_mode)
    return f", which belongs to user {found.st_uid}, group {found.st_gid}, mode {mode:04o}"
