"""TLS to a PostgreSQL server: dbambassador beside stunnel and PgBouncer, to which clients speak in clear.

Each verifies that the server's certificate comes from the authority that it knows. In each round all run in
turn; the ratios are to stunnel.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dbambassador.demo.installations import installations
from dbambassador.demo.ports import free_port
from dbambassador.demo.postgresql import Ground, PostgreSQL
from dbambassador.demo.processes import OURS as OURSELVES
from dbambassador.demo.processes import Process, unprivileged
from tests.bench import relay_load as load
from tests.bench.figures import OURS, Spread, shown
from tests.bench.relay_ways import PGBOUNCER, PGBOUNCER_FILE, Way, wait_listening
from tests.end_to_end.setting import CHOSEN, environments
from tests.testbed.certificates import Certificates
from tests.testbed.postgresql import tls
from tests.testbed.processes import Ambassador, environ
from tests.testbed.requirements import find

TITLE = "TLS to the server: stunnel, PgBouncer and dbambassador"

ROUNDS, SECONDS, MEGABYTES = 5, 3, 256
STUNNEL = "stunnel"
GOAL = 1.0
"""Of the throughput, to that of either."""

_STUNNEL = """\
foreground = yes
pid =
debug = err
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
[postgresql]
client = yes
protocol = pgsql
accept = 127.0.0.1:{listen}
connect = 127.0.0.1:{server}
verifyChain = yes
CAfile = {roots}
"""

_PGBOUNCER = (
    PGBOUNCER_FILE
    + """\
server_tls_sslmode = verify-ca
server_tls_ca_file = {roots}
"""
)


def run(ground: Ground, directory: Path) -> dict[str, object]:
    """Measures and prints."""
    with_tls = next(
        (each for each in installations() if str(each.bin).startswith("/usr/lib/postgresql")), None
    )
    if with_tls is None or find("stunnel4") is None:
        print("(a PostgreSQL with OpenSSL or stunnel is not installed: Debian packages postgresql, stunnel4)")
        return {}
    ground = Ground.prepared(with_tls, ground.directory)
    program = with_tls.bin / "pgbench"
    results: dict[str, object] = {}
    os.environ |= {"PGSSLMODE": "disable", "PGGSSENCMODE": "disable"}  # stunnel would pass a wish for TLS on
    with _server(ground) as (server, roots), _ways(server.port, roots, ground.directory) as ways:
        for what, unit, peers, measure in _measures(program):
            found: dict[str, list[load.Load]] = {way.name: [] for way in ways}
            for number in range(ROUNDS):
                for way in ways if number % 2 == 0 else reversed(ways):
                    found[way.name].append(measure(way))
            results[what] = _told(what, unit, peers, found)
    return results


def _measures(program: Path) -> Iterator[tuple[str, str, Sequence[str], Callable[[Way], load.Load]]]:
    """What, its unit, whom we want to be as fast as, and how it is measured."""
    both = (STUNNEL, PGBOUNCER)
    for clients in (1, 8, 32):

        def prepared(way: Way, clients: int = clients) -> load.Load:
            return load.pgbench(program, way, "-M", "prepared", clients=clients, seconds=SECONDS)

        yield f"select-only, prepared, {clients} clients", "tps", both, prepared
    yield "COPY TO STDOUT", "MB/s", both, lambda way: load.copy_out(way, megabytes=MEGABYTES)
    yield "COPY FROM STDIN", "MB/s", both, lambda way: load.copy_in(way, megabytes=MEGABYTES)
    yield (
        "a new connection for each transaction, 2 clients",
        "tps",
        (STUNNEL,),  # PgBouncer's connections to the server stay
        lambda way: load.pgbench(program, way, "-C", clients=2, seconds=SECONDS),
    )


def _told(what: str, unit: str, peers: Sequence[str], found: dict[str, list[load.Load]]) -> dict[str, object]:
    print(f"{what} ({unit}; CPU of the relay in µs for each, of bulk data s/GB)")
    told: dict[str, object] = {}
    for name, loads in found.items():
        speed, cpu = Spread.of([each.per_second for each in loads]), Spread.of([each.cpu for each in loads])
        ratio = _ratio(loads, found[STUNNEL])
        told[name] = {"speed": speed.median, "cpu": cpu.median, "ratio": ratio.median}
        print(f"  {name:14} {shown(speed.median):>10}  {shown(ratio.median):>6} x  CPU {shown(cpu.median)}")
    for name in peers:
        if name in found:
            reached = _ratio(found[OURS], found[name])
            missed = " ✗" if round(reached.median, 2) < GOAL else ""
            spread = f"{shown(reached.least)} to {shown(reached.most)}"
            print(f"  goal: {GOAL:g} x {name}; {shown(reached.median)} ({spread}){missed}", flush=True)
    return told


def _ratio(loads: Sequence[load.Load], others: Sequence[load.Load]) -> Spread:
    """Of each round's."""
    pairs = zip(loads, others, strict=True)
    return Spread.of([each.per_second / other.per_second for each, other in pairs])


@contextmanager
def _server(ground: Ground) -> Iterator[tuple[PostgreSQL, Path]]:
    place = ground.directory / "tls"
    place.mkdir()
    place.chmod(0o755)
    certificates = Certificates(place)
    settings = {"max_connections": "400", **tls(certificates.server())}
    server = PostgreSQL.created(ground, "encrypted", settings=settings)
    try:
        server.start()
        to = ("-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", "postgres")
        program = ground.installation.bin / "pgbench"
        subprocess.run([program, "-i", "-q", *to], check=True, capture_output=True, timeout=60)
        yield server, certificates.authority
    finally:
        server.stop()


@contextmanager
def _ways(server: int, roots: Path, directory: Path) -> Iterator[list[Way]]:
    with ExitStack() as ending:
        ways = []
        for name, command, template in (
            (STUNNEL, "stunnel4", _STUNNEL),
            (PGBOUNCER, "pgbouncer", _PGBOUNCER),
        ):
            program = find(command)
            if program is None:
                print(f"({name} is not installed)")
                continue
            port = free_port()
            configuration = directory / f"{port}-{command}"
            configuration.write_text(template.format(listen=port, server=server, roots=roots))
            identity = unprivileged() if name == PGBOUNCER else OURSELVES  # it refuses to run as root
            process = Process(
                [program, configuration], directory / f"{port}.log", environ=environ(), identity=identity
            )
            ending.callback(process.end)
            wait_listening(port, process)
            ways.append(Way(name, port, process.pid))
        port = free_port()
        database = {
            "protocol": "postgresql",
            "listen": [f"127.0.0.1:{port}"],
            "endpoint": f"127.0.0.1:{server}",
            "sslmode": "verify-ca",
            "sslrootcert": str(roots),
        }
        home = directory / "tls-ambassador"
        home.mkdir()
        flags = ("--environments", environments(home, main=database), *CHOSEN, "--quiet")
        running = Ambassador(flags, home / "log").wait_ready()
        ending.callback(running.process.end)
        yield [*ways, Way(OURS, port, running.pid)]
