"""What an idle ambassador costs, and how fast it is there."""

from __future__ import annotations

import re
import statistics
import subprocess
import time
from pathlib import Path

from dbambassador.demo.postgresql import Ground
from tests.end_to_end.setting import CHOSEN, environments, mysql_database, postgresql_database
from tests.testbed.processes import Ambassador, environ, words

TITLE = "Idle: one PostgreSQL and one MySQL listener"
STARTS = 7
FOREIGN = ("kubernetes", "psycopg", "pymysql", "urllib3", "pydantic")


def run(ground: Ground, directory: Path) -> dict[str, object]:
    setting = environments(
        directory, orders=postgresql_database("127.0.0.1:1"), catalog=mysql_database("127.0.0.1:1")
    )
    flags = ("--environments", setting, *CHOSEN)
    to_listening, to_ready = [], []
    for number in range(STARTS):
        started = time.monotonic()
        running = Ambassador(flags, directory / f"idle-{number}.log")
        try:
            running.wait_for("ready for connections")
            to_listening.append(time.monotonic() - started)
            line = running.wait_for("ready for connections after")
            to_ready.append(float(re.findall(r"after ([0-9.]+) s", line)[0]))
            if number == STARTS - 1:
                time.sleep(3)  # until nothing is left of the start
                resident = memory(running.pid)
                ticks = _cpu_ticks(running.pid)
                time.sleep(5)
                idle_ticks = _cpu_ticks(running.pid) - ticks
        finally:
            running.process.end()
    loaded = _foreign_modules(flags)
    figures: dict[str, object] = {
        "rss_mib": resident["VmRSS"] / 1024,
        "anonymous_mib": resident["RssAnon"] / 1024,
        "foreign_modules": loaded,
        "exec_to_listening_s": statistics.median(to_listening),
        "cpu_ticks_in_5_s_without_a_database": idle_ticks,
    }
    print(f"resident {figures['rss_mib']:.1f} MiB, of it anonymous {figures['anonymous_mib']:.1f} MiB")
    print(f"modules of {', '.join(FOREIGN)}: {', '.join(loaded) or 'none'}")
    spread = f"{min(to_listening):.2f}–{max(to_listening):.2f}"
    print(f"from exec to listening: median {statistics.median(to_listening):.2f} s of {STARTS} ({spread})")
    print(f"CPU while both databases are down: {idle_ticks * 10} ms in 5 s")
    return figures


def memory(pid: int) -> dict[str, int]:
    """KiB, by the names of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: int(rest.split()[0]) for name, _, rest in (x.partition(":") for x in lines) if "kB" in rest}


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _foreign_modules(flags: tuple[str | Path, ...]) -> list[str]:
    """Which of the heavy third parties a start imports, as `python -X importtime` tells."""
    command = words("run", "--http-port", "0", "--admin-port", "0", *flags)
    command[1:1] = ["-X", "importtime"]
    process = subprocess.Popen(command, env=environ(), stderr=subprocess.PIPE, text=True)
    seen: set[str] = set()
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("import time:"):
            seen.add(line.rpartition("|")[2].strip().split(".")[0])
        if "ready for connections" in line:
            process.terminate()
    process.wait(10)
    return sorted(seen & set(FOREIGN))
