"""Root file systems for containers, from the Debian packages that this machine has installed.

No registry has to be reached, nothing is downloaded or configured: the packages' files are read where they
lie.
"""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO

from tests.testbed.requirements import missing, require

PASSED_OVER = (
    "/usr/share/doc/",
    "/usr/share/man/",
    "/usr/share/locale/",
    "/usr/share/info/",
    "/usr/lib/python3.11/test/",
)
"""What no program asks for."""

LINKS = {
    **{name: f"usr/{name}" for name in ("bin", "lib", "lib64", "sbin")},
    "var/run": "/run",
    "usr/bin/sh": "dash",
}
"""The merged /usr of file-hierarchy(7), and the shell, which dash chooses when it is configured."""

DIRECTORIES = {"run": 0}

AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
"""Made when ca-certificates is configured, so in no package."""

FILES = {
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "etc/group": "root:x:0:\npostgres:x:999:\nmysql:x:998:\nnogroup:x:65534:\n",
    "etc/passwd": (
        "root:x:0:0::/root:/bin/sh\n"
        "postgres:x:999:999::/var/lib/postgresql:/bin/sh\n"
        "mysql:x:998:998::/var/lib/mysql:/bin/sh\n"
        "nobody:x:65534:65534::/nonexistent:/bin/sh\n"
    ),
}


@dataclass(frozen=True, slots=True)
class Root:
    """What a root file system is made of."""

    packages: tuple[str, ...]
    """With all that they depend on."""
    without: tuple[str, ...] = ()
    """Packages depended on that are left out, with what they alone need."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Files of our own, executable, by their place."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Where links lead, by their place."""
    directories: Mapping[str, int] = field(default_factory=dict)
    """Owners of further directories, by their place."""

    def write(self, stream: IO[bytes]) -> None:
        """Writes it as a tar archive. Ends the test where a package is missing."""
        found = sorted({*_files(closure(self.packages, self.without)), AUTHORITIES})
        own = {
            **{place: _file(text.encode(), 0o644) for place, text in FILES.items()},
            **{place: _file(source.read_bytes(), 0o755) for place, source in self.files.items()},
            **{place: _link(target) for place, target in {**LINKS, **self.links}.items()},
            **{place: _directory(owner) for place, owner in {**DIRECTORIES, **self.directories}.items()},
            "tmp": _directory(0, 0o1777),
        }
        with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            for place, (entry, content) in own.items():
                entry.name = place
                archive.addfile(entry, io.BytesIO(content))
            for path in found:
                if path.lstrip("/") not in own:
                    archive.add(path, path.lstrip("/"), recursive=False, filter=_roots)


def closure(packages: Iterable[str], without: Iterable[str] = ()) -> set[str]:
    """These packages and all that they depend on, as installed. Ends the test where one of them is not."""
    installed, provided = _installed()
    left_out, found, due = set(without), set[str](), list(packages)
    for package in due:
        if package not in installed:
            missing(f"{package} is not installed: apt-get install {package}")
    while due:
        package = due.pop()
        if package in found or package in left_out:
            continue
        found.add(package)
        for alternatives in installed[package]:
            names = [name if name in installed else provided.get(name) for name in alternatives]
            due += [name for name in names if name][:1]
    return found


@cache
def _installed() -> tuple[dict[str, list[list[str]]], dict[str, str]]:
    """What each package depends on, with the alternatives; and who provides what is no package itself."""
    require("dpkg-query", package="dpkg, on Debian alone")
    wanted = "${Package}\t${db:Status-Abbrev}\t${Pre-Depends}, ${Depends}\t${Provides}\n"
    told = subprocess.run(
        ["dpkg-query", "--show", "-f", wanted], capture_output=True, text=True, check=True
    ).stdout
    depends: dict[str, list[list[str]]] = {}
    provided: dict[str, str] = {}
    for line in told.splitlines():
        package, status, needs, provides = line.split("\t")
        if not status.startswith("ii"):
            continue
        depends[package] = [
            [_name(one) for one in need.split("|")] for need in needs.split(",") if need.strip()
        ]
        provided.update((_name(one), package) for one in provides.split(",") if one.strip())
    return depends, provided


def _name(relation: str) -> str:
    """The package of `libc6:amd64 (>= 2.36)`."""
    return relation.split("(")[0].split(":")[0].strip()


def _files(packages: Iterable[str]) -> Iterator[str]:
    """The packages' files and links, with the directories above them; each where it really lies."""
    listed = subprocess.run(
        ["dpkg-query", "--listfiles", *sorted(packages)], capture_output=True, text=True, check=True
    )
    for line in listed.stdout.splitlines():
        directory, _, name = line.rpartition("/")
        path = f"{_real(directory)}/{name}"
        if not line.startswith("/") or path.startswith(PASSED_OVER) or not os.path.lexists(path):
            continue
        if os.path.isdir(path) and not os.path.islink(path):
            continue
        yield path


@cache
def _real(directory: str) -> str:
    return os.path.realpath(directory) if directory else ""


def _roots(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _file(content: bytes, mode: int) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo()
    entry.size, entry.mode = len(content), mode
    return entry, content


def _link(target: str) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo()
    entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
    return entry, b""


def _directory(owner: int, mode: int = 0o755) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo()
    entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, mode, owner, owner
    return entry, b""
