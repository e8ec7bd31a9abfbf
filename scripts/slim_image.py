"""Leaves of an installed tree what the ambassador uses, proves that this still works, and compiles it.

    python scripts/slim_image.py /opt/dbambassador /bytecode

The first argument is a virtual environment whose Python runs this. Byte code of the standard library goes
below the second, at the place where Python looks for it: the image's file system is read-only, the base image
has no byte code, and what is not compiled here is compiled at each start.

Of the official Kubernetes client, those modules stay that an import in the ambassador's own source leads to,
and what these import in turn, wherever in their text they do. Its packages' `__init__` modules, which would
import all the rest, are emptied. What only the client requires, and nothing that stays imports, goes too. So
a release of the client with another layout either brings what it needs, or this ends with exit code 1.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import Distribution, distributions
from pathlib import Path

from image_inquiry import inquiry

OWN = "dbambassador"
SHAKEN = "kubernetes"
"""The package of which single modules stay."""

NOT_AT_RUN_TIME = ("*.pyi", "*.pyx", "*.pxd", "*.c", "*.h", "tests", "_tests", "test")
"""Stubs, sources of compiled modules, and tests."""

PROGRAMS = ("python", "python3", f"python{sys.version_info[0]}.{sys.version_info[1]}", OWN)
"""What stays of the environment's bin; its activation scripts are for shells."""

FOR_TYPE_CHECKERS = ("TYPE_CHECKING", "typing.TYPE_CHECKING", "t.TYPE_CHECKING")

IMPORT_EVERYTHING = f"""
import importlib, json, pkgutil, sys
import {OWN}
names = [module.name for module in pkgutil.walk_packages({OWN}.__path__, "{OWN}.")]
for name in [*names, *sys.argv[1:]]:
    importlib.import_module(name)
print(json.dumps(sorted(getattr(module, "__file__", None) or "" for module in sys.modules.values())))
"""

MODULE_SUFFIXES = (
    ".py",
    *[suffix for suffix in (sysconfig.get_config_var("EXT_SUFFIX"), ".abi3.so") if suffix],
)


class Unfit(Exception):
    """The tree is not what this program was written for."""


def main(root: Path, bytecode: Path) -> None:
    (site,) = root.glob("lib/python*/site-packages")
    before = size(root)
    answers = inquiry()
    own = Tree(site)
    wanted = [name for name in own.imports(own.files(OWN)) if name.startswith(f"{SHAKEN}.")]
    if not wanted:
        raise Unfit(f"{OWN} imports nothing of {SHAKEN}: there is no reason to have it")
    shake(own, wanted)
    own.remove_unused()
    own.check()
    tidy(root)
    if inquiry() != answers:
        raise Unfit("the question to the Kubernetes API has another answer than before")
    loaded = json.loads(run("-c", IMPORT_EVERYTHING, *sorted(set(wanted) & own.modules())))
    compile_all(site.rglob("*.py"))
    compile_all((Path(file) for file in loaded if is_standard(file)), bytecode)
    for top in (root, bytecode):
        date(top)
    print(
        f"{root}: {before >> 20} MB before, {size(root) >> 20} MB now; {bytecode}: {size(bytecode) >> 20} MB"
    )


class Tree:
    """A directory of installed distributions."""

    def __init__(self, site: Path) -> None:
        self.site = site
        self.installed = {canonical(found.name): found for found in distributions(path=[str(site)])}
        self.removed: set[str] = set()
        """Modules, by their whole names."""
        self.emptied: set[str] = set()
        """Packages whose `__init__` no longer gives any name."""

    def files(self, package: str) -> list[Path]:
        """The sources of a top-level package or module; a compiled one has none."""
        return sorted((*(self.site / package).rglob("*.py"), *self.site.glob(f"{package}.py")))

    def modules(self) -> set[str]:
        return {self.name(path) for path in self.site.rglob("*") if path.name.endswith(MODULE_SUFFIXES)}

    def name(self, path: Path) -> str:
        """The whole name of the module in this file."""
        *packages, last = path.relative_to(self.site).parts
        stem = last.split(".")[0]
        return ".".join(packages if stem == "__init__" else [*packages, stem])

    def imports(self, files: Iterable[Path]) -> set[str]:
        """What the files import, anywhere in their text; of `from a import b`, both a and a.b."""
        return {name for file in files for name in imported(file, self.name(file))}

    def delete(self, path: Path) -> None:
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.name.endswith(MODULE_SUFFIXES):
                self.removed.add(self.name(file))
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    def remove_unused(self) -> None:
        """Removes the distributions that only the shaken one requires and nothing that stays imports."""
        staying = self._required(OWN) | {SHAKEN}
        while True:
            tops = {top for one in staying for top in self._tops(one)}
            used = {
                name.split(".")[0] for name in self.imports(file for top in tops for file in self.files(top))
            }
            more = {one for one in self.installed.keys() - staying if used & self._tops(one)}
            if not more:
                break
            staying |= more
        for one in self.installed.keys() - staying:
            for place in {file.parts[0] for file in self.installed[one].files or () if file.parts[0] != ".."}:
                if (self.site / place).exists():
                    self.delete(self.site / place)
        for pattern in NOT_AT_RUN_TIME:
            for path in sorted(self.site.rglob(pattern)):
                if path.exists():
                    self.delete(path)

    def check(self) -> None:
        """Raises Unfit where something that stays imports something that is gone."""
        known = self.modules()
        for file in sorted(self.site.rglob("*.py")):
            names = imported(file, self.name(file))
            gone = names & self.removed
            gone |= {name for name in names - known if name.rpartition(".")[0] in self.emptied}
            if gone:
                raise Unfit(f"{file} imports {', '.join(sorted(gone))}, which would be gone")

    def _required(self, distribution: str) -> set[str]:
        """What is installed of a distribution's requirements, and of theirs, but for the shaken one's."""
        found, due = set[str](), [distribution]
        while due:
            one = canonical(re.split(r"[^\w.-]", due.pop(), maxsplit=1)[0])
            if one in found or one not in self.installed or one == SHAKEN:
                continue
            found.add(one)
            due += [need for need in self.installed[one].requires or () if "extra ==" not in need]
        return found

    def _tops(self, distribution: str) -> set[str]:
        return top_levels(self.installed[distribution])


def shake(tree: Tree, wanted: Iterable[str]) -> None:
    """Removes of the shaken package what none of the wanted modules leads to."""
    known = tree.modules()
    found, due = set[str](), [name for name in wanted if name in known]
    while due:
        module = due.pop()
        if module in found:
            continue
        found.add(module)
        file = tree.site.joinpath(*module.split(".")).with_suffix(".py")
        if file.exists():  # else a package, whose own text is emptied
            names = tree.imports([file]) & known
            due += [name for name in names if name.startswith(f"{SHAKEN}.")]
    parents = {module.rpartition(".")[0] for module in found} | {SHAKEN}
    for path in tree.files(SHAKEN):
        module = tree.name(path)
        if path.name == "__init__.py" and (module in found or module in parents):
            version = re.search(r"^__version__ = .*$", path.read_text(), re.MULTILINE)
            path.write_text(f"{version.group()}\n" if version else "")
            tree.emptied.add(module)
        elif module not in found:
            tree.delete(path)


@cache
def imported(file: Path, module: str) -> frozenset[str]:
    """What this file imports when it runs: whole names."""
    package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
    found = set[str]()
    for node in running(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def running(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those for type checkers alone."""
    due = [tree]
    while due:
        node = due.pop()
        yield node
        if isinstance(node, ast.If) and ast.unparse(node.test) in FOR_TYPE_CHECKERS:
            due += node.orelse
        else:
            due += ast.iter_child_nodes(node)


def top_levels(distribution: Distribution) -> set[str]:
    """The names that are imported to use it."""
    firsts = {file.parts[0] for file in distribution.files or () if file.name.endswith(MODULE_SUFFIXES)}
    return {first.split(".")[0] for first in firsts} - {""}


def canonical(name: str) -> str:
    """PyPA, name normalization."""
    return re.sub(r"[-_.]+", "-", name).lower()


def tidy(root: Path) -> None:
    """Removes programs that nobody calls, empty directories, and from the records what is gone."""
    for program in (root / "bin").iterdir():
        if program.name not in PROGRAMS:
            program.unlink()
    for directory in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
        if directory.name == "__pycache__":
            shutil.rmtree(directory)
        elif not any(directory.iterdir()):
            directory.rmdir()
    for record in root.glob("lib/python*/site-packages/*.dist-info/RECORD"):
        site = record.parents[1]
        rows = [row for row in csv.reader(io.StringIO(record.read_text())) if (site / row[0]).exists()]
        for row in rows:
            # Without a hash where it was changed: of an emptied module the size no longer fits.
            if row[2] and int(row[2]) != (site / row[0]).stat().st_size:
                row[1:] = ["", ""]
        record.write_text("".join(f"{','.join(row)}\n" for row in rows))


def is_standard(file: str) -> bool:
    paths = sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")
    return file.endswith(".py") and file.startswith(paths) and "-packages" not in file


def compile_all(files: Iterable[Path], into: Path | None = None) -> None:
    """Compiles each file, beside it or below `into`; it is never compared with its source."""
    for file in sorted(files):
        cache = file.parent / "__pycache__" / f"{file.stem}.{sys.implementation.cache_tag}.pyc"
        target = into / cache.relative_to("/") if into is not None else cache
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(str(file), str(target), doraise=True, invalidation_mode=mode)


def date(top: Path) -> None:
    """Gives everything the same time, so that the same files make the same layer: reproducible-builds.org."""
    time = int(os.environ.get("SOURCE_DATE_EPOCH") or 0)
    for path in (top, *top.rglob("*")):
        os.utime(path, (time, time), follow_symlinks=False)


def size(top: Path) -> int:
    """Bytes."""
    return sum(path.stat().st_size for path in top.rglob("*") if path.is_file() and not path.is_symlink())


def run(*words: str) -> str:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd="/")
    if done.returncode != 0:
        raise Unfit(done.stderr.strip())
    return done.stdout


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except (Unfit, RuntimeError) as unfit:
        sys.exit(f"slim_image: {unfit}")
