"""The ways to a server that are compared: direct, other relays, and dbambassador."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from dbambassador.demo.ports import free_port
from dbambassador.demo.processes import Identity, Process, unprivileged
from tests.end_to_end.setting import CHOSEN, environments
from tests.testbed.processes import Ambassador, environ
from tests.testbed.requirements import find

OURS = "dbambassador"
HAPROXY = "HAProxy"

_HAPROXY = """\
global
  nbthread 1
  maxconn 8000
defaults
  mode tcp
  timeout connect 3s
  timeout client 600s
  timeout server 600s
listen l
  bind 127.0.0.1:{listen}
  server a 127.0.0.1:{server}
"""

_NGINX = """\
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log;
events {{ worker_connections 16000; }}
stream {{
  server {{
    listen 127.0.0.1:{listen};
    proxy_pass 127.0.0.1:{server};
    proxy_timeout 600s;
    tcp_nodelay on;
  }}
}}
"""

_PGBOUNCER = """\
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
auth_type = any
pool_mode = session
max_client_conn = 1000
default_pool_size = 300
ignore_startup_parameters = extra_float_digits
server_reset_query =
log_connections = 0
log_disconnections = 0
"""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the server."""

    name: str
    port: int
    pid: int | None = None
    """The relay's first process."""

    def cpu_seconds(self) -> float:
        """CPU time of the relay so far, that of its children included."""
        return sum(map(_cpu_seconds, _tree(self.pid))) if self.pid is not None else 0.0

    def memory_kib(self, name: str = "VmRSS") -> int:
        """Memory of the relay, by the names of /proc/PID/status."""
        return sum(_memory(pid, name) for pid in _tree(self.pid)) if self.pid is not None else 0


@contextmanager
def ways(server: int, directory: Path, *, protocol: str, names: tuple[str, ...] = ()) -> Iterator[list[Way]]:
    """Every way to a server's port that this machine has, or those of these names; ours is the last."""
    makers: dict[str, Callable[[int, int, Path], Process | None]] = {
        HAPROXY: _haproxy,
        "nginx stream": _nginx,
        "PgBouncer": _pgbouncer,
        "socat": _socat,
    }
    if protocol != "postgresql":
        del makers["PgBouncer"]
    with ExitStack() as ending:
        found = [Way("direct", server)]
        for name, make in makers.items():
            port = free_port()
            if names and name not in names:
                continue
            process = make(port, server, directory)
            if process is None:
                print(f"({name} is not installed)")
                continue
            ending.callback(process.end)
            wait_listening(port, process)
            found.append(Way(name, port, process.pid))
        port = free_port()
        running = ambassador(directory, protocol, port, server)
        ending.callback(running.process.end)
        yield [*found, Way(OURS, port, running.pid)]


def ambassador(directory: Path, protocol: str, port: int, server: int) -> Ambassador:
    """A running ambassador with one database."""
    home = directory / f"ambassador-{port}"
    home.mkdir()
    database = {"protocol": protocol, "listen": [f"127.0.0.1:{port}"], "endpoint": f"127.0.0.1:{server}"}
    flags = ("--environments", environments(home, main=database), *CHOSEN, "--quiet")
    return Ambassador(flags, home / "log").wait_ready()


def wait_listening(port: int, process: Process) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline or process.exit_code is not None:
                raise AssertionError(f"nothing listens on {port}:\n{process.tail()}") from None
            time.sleep(0.02)


def _haproxy(port: int, server: int, directory: Path) -> Process | None:
    return _started("haproxy", ["-f"], "haproxy.cfg", _HAPROXY, port, server, directory)


def _nginx(port: int, server: int, directory: Path) -> Process | None:
    if not Path("/usr/lib/nginx/modules/ngx_stream_module.so").exists():
        return None
    return _started("nginx", ["-c"], "nginx.conf", _NGINX, port, server, directory)


def _pgbouncer(port: int, server: int, directory: Path) -> Process | None:
    return _started("pgbouncer", [], "pgbouncer.ini", _PGBOUNCER, port, server, directory, root=False)


def _socat(port: int, server: int, directory: Path) -> Process | None:
    program = find("socat")
    if program is None:
        return None
    listen = f"TCP4-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,backlog=1024,nodelay"
    to = f"TCP4:127.0.0.1:{server},nodelay"
    return Process([program, listen, to], directory / "socat.log", environ=environ())


def _started(
    command: str,
    flags: list[str],
    name: str,
    template: str,
    port: int,
    server: int,
    directory: Path,
    *,
    root: bool = True,
) -> Process | None:
    program = find(command)
    if program is None:
        return None
    configuration = directory / f"{port}-{name}"
    configuration.write_text(template.format(listen=port, server=server, directory=directory))
    log = directory / f"{port}.log"
    identity = Identity() if root else unprivileged()
    return Process([program, *flags, configuration], log, environ=environ(), identity=identity)


def _tree(pid: int | None) -> list[int]:
    """A process and all below it."""
    if pid is None:
        return []
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [each for word in task.read_text().split() for each in _tree(int(word))]
        except OSError:
            continue
    return found


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    # proc(5): utime, stime, and those of children that were waited for.
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int, name: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)
