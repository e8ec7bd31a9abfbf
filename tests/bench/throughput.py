"""pgbench, select-only and prepared: direct, through HAProxy where it is installed, and through us."""

from __future__ import annotations

import re
import statistics
import subprocess
from pathlib import Path

from dbambassador.demo.installations import installations
from dbambassador.demo.ports import free_port
from dbambassador.demo.postgresql import Ground, PostgreSQL
from dbambassador.demo.processes import Process
from tests.end_to_end.setting import CHOSEN, environments, port_of, postgresql_database
from tests.testbed.processes import Ambassador, environ
from tests.testbed.requirements import find

TITLE = "Throughput: pgbench -S -M prepared, transactions per second"
CLIENTS = (1, 8)
ROUNDS = 3
SECONDS = 3

HAPROXY = """\
global
  nbthread 1
defaults
  mode tcp
  timeout connect 3s
  timeout client 60s
  timeout server 60s
listen pg
  bind 127.0.0.1:{listen}
  server a 127.0.0.1:{server}
"""


def run(ground: Ground, directory: Path) -> dict[str, object]:
    pgbench = next((i.bin / "pgbench" for i in installations() if (i.bin / "pgbench").exists()), None)
    if pgbench is None:
        print("no pgbench on this machine")
        return {}
    server = PostgreSQL.created(ground, "throughput")
    ended = []
    try:
        server.start()
        subprocess.run([pgbench, "-i", "-q", *_to(server.port)], check=True, capture_output=True, timeout=60)
        ways = {"direct": server.port}
        haproxy = find("haproxy")
        if haproxy is not None:
            ways["HAProxy"] = free_port()
            configuration = directory / "haproxy.cfg"
            configuration.write_text(HAPROXY.format(listen=ways["HAProxy"], server=server.port))
            ended.append(
                Process([haproxy, "-f", configuration], directory / "haproxy.log", environ=environ())
            )
        database = postgresql_database(f"127.0.0.1:{server.port}")
        ways["dbambassador"] = port_of(database)
        flags = ("--environments", environments(directory, orders=database), *CHOSEN)
        running = Ambassador(flags, directory / "throughput.log").wait_ready()
        ended.append(running.process)
        return _table(pgbench, ways)
    finally:
        for process in ended:
            process.end()
        server.stop()


def _table(pgbench: Path, ways: dict[str, int]) -> dict[str, object]:
    figures: dict[str, object] = {}
    for clients in CLIENTS:
        # In turn, so that a change of the machine's speed meets all of them.
        runs = [{way: _tps(pgbench, port, clients) for way, port in ways.items()} for _ in range(ROUNDS)]
        medians = {way: statistics.median(one[way] for one in runs) for way in ways}
        ratios = {
            way: statistics.median(one["dbambassador"] / one[way] for one in runs)
            for way in ways
            if way != "dbambassador"
        }
        shown = ", ".join(f"{way} {tps:,.0f}" for way, tps in medians.items())
        compared = ", ".join(f"{ratio:.2f} × {way}" for way, ratio in ratios.items())
        print(f"{clients} clients: {shown}; dbambassador is {compared}", flush=True)
        figures[f"{clients} clients"] = {"tps": medians, "ratio": ratios}
    return figures


def _tps(pgbench: Path, port: int, clients: int) -> float:
    options = ("-n", "-S", "-M", "prepared", "-c", str(clients), "-T", str(SECONDS))
    done = subprocess.run(
        [pgbench, *options, *_to(port)], capture_output=True, text=True, timeout=60, check=True
    )
    return float(re.findall(r"tps = ([0-9.]+)", done.stdout)[-1])


def _to(port: int) -> tuple[str, ...]:
    return ("-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "postgres")
