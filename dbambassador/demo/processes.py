"""A server run as a child process: its log in a file, its end certain."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dbambassador.demo.leash import leash


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose rights a process has."""

    user: int | None = None
    """None: our own."""
    group: int | None = None

    @property
    def ours(self) -> bool:
        return self.user is None

    def give(self, path: Path) -> None:
        """Makes `path` the property of this identity."""
        if self.user is not None and self.group is not None:
            os.chown(path, self.user, self.group)


OURS = Identity()


def unprivileged() -> Identity:
    """Database servers refuse to run as root: `nobody` there, and ourselves otherwise."""
    if os.geteuid() != 0:
        return OURS
    nobody = pwd.getpwnam("nobody")
    return Identity(nobody.pw_uid, nobody.pw_gid)


def reachable(path: Path) -> bool:
    """Whether every user may read `path` and enter every directory above it."""
    readable = bool(path.stat().st_mode & 0o004)
    return readable and all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)


@contextmanager
def temporary_directory(prefix: str = "dbambassador-") -> Iterator[Path]:
    """A directory that every user can enter; removed at the end, however this process ends."""
    places = (tempfile.gettempdir(), "/tmp", "/var/tmp")  # TMPDIR may be root's alone
    base = next((place for place in places if os.path.isdir(place) and reachable(Path(place))), None)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=base, ignore_cleanup_errors=True) as name:
        directory = Path(name).resolve()
        directory.chmod(0o755)
        leash.hold_directory(directory)
        try:
            yield directory
        finally:
            leash.release_directory(directory)


class Process:
    """A running child. Use as a context manager, or see that `end` is called."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        *,
        environ: Mapping[str, str] | None = None,
        identity: Identity = OURS,
        end_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        """Starts `command` with output and errors appended to `log`. `environ`: None for our own.

        Raises OSError where it cannot be started.
        """
        self.command = tuple(str(word) for word in command)
        self.log = log
        self.end_signal = end_signal
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(os.environ if environ is None else environ),
                cwd=os.sep,  # our own directory may be closed to that user
                user=identity.user,
                group=identity.group,
                extra_groups=None if identity.ours else [],
                start_new_session=True,  # the terminal's Ctrl-C is for us; we end our children in order
            )
        leash.hold(self._child.pid, end_signal)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: ended by that signal."""
        code = self._child.poll()
        if code is not None:
            leash.release(self._child.pid)
        return code

    def send(self, number: signal.Signals) -> None:
        """Sends a signal; nothing happens if the process has ended."""
        if self.exit_code is None:
            self._child.send_signal(number)

    def wait(self, timeout: float) -> int:
        """Waits for the end and gives the exit code. Raises subprocess.TimeoutExpired after `timeout` s."""
        code = self._child.wait(timeout)
        leash.release(self._child.pid)
        return code

    def end(self, timeout: float = 10.0) -> int:
        """Asks it to end, kills it after `timeout` seconds, and gives the exit code."""
        self.send(self.end_signal)
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            self._child.kill()
            return self.wait(timeout)

    def kill(self) -> None:
        """SIGKILL to the process and its children at once, as when a machine loses power.

        The children are found in /proc; on systems without it they are left to notice for themselves.
        """
        self.send(signal.SIGSTOP)  # while we count its children, none is born
        for child in _children(self.pid):
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                pass
        # The last, as children that see their parent gone may still say goodbye to their clients.
        self._child.kill()
        self.wait(10.0)

    def tail(self, lines: int = 20) -> str:
        """The last lines of the log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def _children(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # proc(5): the name in parentheses may hold spaces; state and the parent's id follow it.
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found
