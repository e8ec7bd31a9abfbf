"""What the image's build leaves of an installed tree, on trees made up here."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import pytest

from tests.deployment.files import REPOSITORY

ASKS = "def ask():\n    from kubernetes.client.rest import Client\n"
INIT = '__version__ = "37"\nfrom . import client, stream\nname = 1\n'


@pytest.fixture(scope="module")
def slim_image() -> Iterator[ModuleType]:
    place = str(REPOSITORY / "scripts")
    sys.path.insert(0, place)
    yield importlib.import_module("slim_image")
    sys.path.remove(place)


def installed(site: Path, distribution: str, modules: Mapping[str, str], *requires: str) -> None:
    """Puts a distribution there, as pip does."""
    information = site / f"{distribution}-1.dist-info"
    for place, text in modules.items():
        (site / place).parent.mkdir(parents=True, exist_ok=True)
        (site / place).write_text(text)
    information.mkdir(parents=True)
    needs = "".join(f"Requires-Dist: {need}\n" for need in requires)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1\n{needs}")
    rows = [*modules, f"{information.name}/METADATA", f"{information.name}/RECORD"]
    (information / "RECORD").write_text(
        "".join(f"{row},sha256=x,{len(modules.get(row, ''))}\n" for row in rows)
    )


def client(site: Path, rest: str = "", *requires: str, **more: str) -> None:
    """A Kubernetes client of which the ambassador imports one module, whose text is `rest`."""
    modules = {
        "kubernetes/__init__.py": INIT,
        "kubernetes/client/__init__.py": "from .api import Api\n",
        "kubernetes/client/api.py": "import models\n",
        "kubernetes/client/rest.py": rest,
        "kubernetes/stream.py": "",
        **{f"kubernetes/{name}.py": text for name, text in more.items()},
    }
    installed(site, "kubernetes", modules, *requires)
    installed(
        site, "dbambassador", {"dbambassador/__init__.py": "", "dbambassador/ask.py": ASKS}, "kubernetes"
    )


def slimmed(program: ModuleType, root: Path) -> set[str]:
    """Slims the tree as the build does, and gives its files."""
    site = site_of(root)
    (root / "bin").mkdir()
    tree = program.Tree(site)
    wanted = [name for name in tree.imports(tree.files("dbambassador")) if name.startswith("kubernetes.")]
    program.shake(tree, wanted)
    tree.remove_unused()
    tree.check()
    program.tidy(root)
    return {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()}


def site_of(root: Path) -> Path:
    return root / "lib" / "python3" / "site-packages"


def test_of_the_client_only_stays_what_the_ambassadors_imports_lead_to(
    slim_image: ModuleType, tmp_path: Path
) -> None:
    lazily = "def late():\n    from ..retry import again\n"
    client(site_of(tmp_path), lazily, retry="from ._base import once\n", _base="", watch="import gone\n")
    left = {path for path in slimmed(slim_image, tmp_path) if path.startswith("kubernetes/")}
    assert left == {
        "kubernetes/__init__.py",
        "kubernetes/client/__init__.py",
        "kubernetes/client/rest.py",
        "kubernetes/retry.py",
        "kubernetes/_base.py",
    }


def test_the_clients_packages_import_nothing_and_keep_their_version(
    slim_image: ModuleType, tmp_path: Path
) -> None:
    client(site_of(tmp_path))
    slimmed(slim_image, tmp_path)
    assert (site_of(tmp_path) / "kubernetes/__init__.py").read_text() == '__version__ = "37"\n'
    assert (site_of(tmp_path) / "kubernetes/client/__init__.py").read_text() == ""


@pytest.mark.parametrize("text", ["from kubernetes import name\n", "from . import name\n"])
def test_a_name_of_an_emptied_package_that_something_imports_is_an_error(
    slim_image: ModuleType, tmp_path: Path, text: str
) -> None:
    client(site_of(tmp_path), text)
    with pytest.raises(
        slim_image.Unfit, match=r"rest\.py imports kubernetes\.(client\.)?name, which would be"
    ):
        slimmed(slim_image, tmp_path)


def test_imports_for_type_checkers_alone_lead_nowhere(slim_image: ModuleType, tmp_path: Path) -> None:
    checked = "if typing.TYPE_CHECKING:\n    from .api import Api\nelse:\n    from .. import stream\n"
    client(site_of(tmp_path), checked + "if not typing.TYPE_CHECKING:\n    from .. import watch\n", watch="")
    left = slimmed(slim_image, tmp_path)
    assert "kubernetes/client/api.py" not in left
    assert {"kubernetes/stream.py", "kubernetes/watch.py"} <= left


def test_what_only_the_client_requires_goes_unless_it_is_imported(
    slim_image: ModuleType, tmp_path: Path
) -> None:
    site = site_of(tmp_path)
    client(site, "import urllib3\n", "urllib3>=2", "models", "Also_Unused ; python_version > '3'")
    installed(site, "urllib3", {"urllib3/__init__.py": "def f():\n    import idna\n"}, "socks")
    installed(site, "idna", {"idna.py": ""})
    for unused in ("models", "also-unused", "socks"):
        module = unused.replace("-", "_")
        installed(site, unused, {f"{module}/__init__.py": ""})
    left = {path.split("/")[0] for path in slimmed(slim_image, tmp_path)}
    assert left == {"kubernetes", "dbambassador", "urllib3", "idna.py"} | {
        f"{name}-1.dist-info" for name in ("kubernetes", "dbambassador", "urllib3", "idna")
    }


def test_what_the_ambassador_itself_requires_stays_but_for_its_tests(
    slim_image: ModuleType, tmp_path: Path
) -> None:
    site = site_of(tmp_path)
    client(site)
    metadata = site / "dbambassador-1.dist-info" / "METADATA"
    metadata.write_text(
        metadata.read_text() + "Requires-Dist: trio[x]>=1\nRequires-Dist: dev; extra == 'dev'\n"
    )
    installed(site, "trio", {"trio/__init__.py": "", "trio/_tests/test_it.py": "", "trio/a.pyi": ""}, "attrs")
    installed(site, "attrs", {"attr/__init__.py": ""})
    installed(site, "dev", {"dev.py": ""})
    left = slimmed(slim_image, tmp_path)
    assert {"trio/__init__.py", "attr/__init__.py"} <= left
    assert not {"trio/_tests/test_it.py", "trio/a.pyi", "dev.py"} & left


def test_tests_that_something_imports_are_refused_to_go(slim_image: ModuleType, tmp_path: Path) -> None:
    site = site_of(tmp_path)
    client(site, "import urllib3\n", "urllib3")
    installed(site, "urllib3", {"urllib3/__init__.py": "from .tests import x\n", "urllib3/tests/x.py": ""})
    with pytest.raises(slim_image.Unfit, match=r"imports urllib3\.tests\.x, which would be gone"):
        slimmed(slim_image, tmp_path)


def test_records_list_what_is_there(slim_image: ModuleType, tmp_path: Path) -> None:
    client(site_of(tmp_path))
    left = slimmed(slim_image, tmp_path)
    record = (site_of(tmp_path) / "kubernetes-1.dist-info" / "RECORD").read_text().splitlines()
    rows = dict(line.split(",", maxsplit=1) for line in record)
    assert rows.keys() == {path for path in left if path.startswith("kubernetes")}
    assert rows["kubernetes/__init__.py"] == ","  # changed, so without hash and size
