"""The ways to a server that are compared: direct, other relays, and dbambassador."""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from dbambassador.demo.ports import free_port
from dbambassador.demo.processes import OURS as OURSELVES
from dbambassador.demo.processes import Identity, Process, unprivileged
from tests.bench.figures import DIRECT, OURS
from tests.bench.figures import REFERENCE as HAPROXY
from tests.end_to_end.setting import CHOSEN, environments
from tests.testbed.processes import Ambassador, environ
from tests.testbed.requirements import find

NGINX = "nginx stream"
PGBOUNCER = "PgBouncer"
SOCAT = "socat"

NGINX_STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")

CONNECTIONS = 6000
"""How many each of them is told to expect at once, if there are descriptors for as many."""

# One thread each, TCP_NODELAY and keepalive on both sides; buffers and the rest as they come. Documented in
# docs/performance.md.

_HAPROXY = """\
global
  nbthread 1
  maxconn {connections}
defaults
  mode tcp
  timeout connect 3s
  timeout client 600s
  timeout server 600s
  option clitcpka
  option srvtcpka
listen l
  bind 127.0.0.1:{listen}
  server a 127.0.0.1:{server}
"""

_NGINX = """\
load_module {module};
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log;
events {{ worker_connections {worker_connections}; }}
stream {{
  server {{
    listen 127.0.0.1:{listen} so_keepalive=on;
    proxy_pass 127.0.0.1:{server};
    proxy_timeout 600s;
    proxy_socket_keepalive on;
    tcp_nodelay on;
  }}
}}
"""

PGBOUNCER_FILE = """\
[databases]
* = host=127.0.0.1 port={server} user=postgres
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

    def memory_kib(self, name: str = "Rss") -> int:
        """Memory of the relay, by the names of /proc/PID/smaps_rollup."""
        return sum(_memory(pid, name) for pid in _tree(self.pid)) if self.pid is not None else 0


@contextmanager
def ways(
    server: int, directory: Path, *, protocol: str, names: Sequence[str] | None = None
) -> Iterator[list[Way]]:
    """The direct way to a server's port, every relay of this machine or those of these names, and ours."""
    with ExitStack() as ending:
        others = installed(protocol) if names is None else names
        relays = (way(name, server, directory, protocol=protocol) for name in (*others, OURS))
        yield [Way(DIRECT, server), *map(ending.enter_context, relays)]


def installed(protocol: str) -> list[str]:
    """The names of the other relays for this protocol that this machine has. The missing are told of."""
    there = {
        HAPROXY: find("haproxy"),
        NGINX: find("nginx") and NGINX_STREAM.exists(),
        PGBOUNCER: find("pgbouncer"),
        SOCAT: find("socat"),
    }
    if protocol != "postgresql":
        del there[PGBOUNCER]
    for name in (name for name, found in there.items() if not found):
        print(f"({name} is not installed)")
    return [name for name, found in there.items() if found]


@contextmanager
def way(name: str, server: int, directory: Path, *, protocol: str) -> Iterator[Way]:
    """One relay, running. Raises AssertionError where it does not come up, OSError where it is missing."""
    port = free_port()
    with ExitStack() as ending:
        if name == OURS:
            running = ambassador(directory, protocol, port, server)
            ending.callback(running.process.end)
            yield Way(name, port, running.pid)
            return
        process = _MAKERS[name](port, server, directory)
        ending.callback(process.end)
        wait_listening(port, process)
        yield Way(name, port, process.pid)


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


def _haproxy(port: int, server: int, directory: Path) -> Process:
    return _started("haproxy", ["-f"], _HAPROXY, port, server, directory)


def _nginx(port: int, server: int, directory: Path) -> Process:
    return _started("nginx", ["-c"], _NGINX, port, server, directory)


def _pgbouncer(port: int, server: int, directory: Path) -> Process:
    # It refuses to run as root.
    return _started("pgbouncer", [], PGBOUNCER_FILE, port, server, directory, identity=unprivileged())


def _socat(port: int, server: int, directory: Path) -> Process:
    listen = f"TCP4-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,backlog=1024,nodelay,keepalive"
    to = f"TCP4:127.0.0.1:{server},nodelay,keepalive"
    return Process([find("socat") or "socat", listen, to], directory / f"{port}.log", environ=environ())


_MAKERS: Mapping[str, Callable[[int, int, Path], Process]] = {
    HAPROXY: _haproxy,
    NGINX: _nginx,
    PGBOUNCER: _pgbouncer,
    SOCAT: _socat,
}


def _started(
    command: str,
    flags: Sequence[str],
    template: str,
    port: int,
    server: int,
    directory: Path,
    *,
    identity: Identity = OURSELVES,
) -> Process:
    connections = min(CONNECTIONS, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100) // 2)
    configuration = directory / f"{port}-{command}"
    configuration.write_text(
        template.format(
            listen=port,
            server=server,
            directory=directory,
            module=NGINX_STREAM,
            connections=connections,
            worker_connections=2 * connections + 50,
        )
    )
    program = find(command) or command
    log = directory / f"{port}.log"
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
        # clock_getcpuclockid(3) makes the clock of a process so, which counts nanoseconds.
        own = time.clock_gettime((~pid << 3) | 2)
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    # proc(5), cutime and cstime: of children that ended and were waited for.
    return own + sum(map(int, fields[13:15])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int, name: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)
