"""`dbambassador inject` as it is typed: files and standard input, what is printed where, exit codes."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from dbambassador import cli
from dbambassador.errors import ExitCode
from tests.testbed.processes import words

POD = (
    "apiVersion: v1\nkind: Pod\nmetadata: {name: shop}\nspec:\n  containers:\n  - {name: shop, image: shop}\n"
)
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: shop}\n"

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pod.yaml"
    path.write_text(f"{POD}---\n{SERVICE}")
    return path


def test_the_manifest_is_printed_and_each_object_told(file: Path, capfd: Capture) -> None:
    assert cli.main(["inject", "-f", str(file)]) == ExitCode.DONE
    printed = capfd.readouterr()
    pod, service = yaml.safe_load_all(printed.out)
    assert pod["spec"]["initContainers"][0]["name"] == "dbambassador"
    assert service == yaml.safe_load(SERVICE)
    assert printed.err.splitlines() == [
        f"{file}:1: Pod shop: injected",
        f"{file}:8: Service shop: not injected: has no pods",
    ]


def test_several_files_are_printed_as_one_stream(file: Path, capfd: Capture) -> None:
    assert cli.main(["inject", "-f", str(file), "--filename", str(file)]) == ExitCode.DONE
    assert len(list(yaml.safe_load_all(capfd.readouterr().out))) == 4


def test_flags_fill_the_sidecar_and_remove_takes_it_out(file: Path, tmp_path: Path, capfd: Capture) -> None:
    flags = ["--image", "images.example.com/dbambassador:1", "--config-map", "mine", "--pre-1.29"]
    assert cli.main(["inject", "-f", str(file), *flags]) == ExitCode.DONE
    text = capfd.readouterr().out
    spec = next(yaml.safe_load_all(text))["spec"]
    assert spec["containers"][0]["image"] == "images.example.com/dbambassador:1"
    assert spec["volumes"][0]["configMap"]["name"] == "mine"

    (tmp_path / "injected.yaml").write_text(text)
    assert cli.main(["inject", "--remove", "-f", str(tmp_path / "injected.yaml")]) == ExitCode.DONE
    printed = capfd.readouterr()
    assert printed.out == file.read_text()
    assert ": Pod shop: removed\n" in printed.err


def test_bytes_go_through_a_pipe_as_they_are() -> None:
    manifest = b"\xef\xbb\xbf" + POD.replace("shop}\n", "shop} # \u00fcber\r\n").encode()
    environ = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        words("inject", "-f", "-"), input=manifest, capture_output=True, env=environ, timeout=30
    )
    assert done.returncode == 0
    assert done.stderr == b"standard input:1: Pod shop: injected\n"
    assert done.stdout.startswith(manifest[: manifest.index(b"spec:\n") + 6])
    assert done.stdout.endswith(manifest[manifest.index(b"  containers:") :])


def test_a_warning_is_a_line_of_its_own(tmp_path: Path, capfd: Capture) -> None:
    path = tmp_path / "pod.yaml"
    path.write_text(POD + "  hostNetwork: true\n")
    assert cli.main(["inject", "-f", str(path)]) == ExitCode.DONE
    assert f"{path}:1: Pod shop: warning: hostNetwork" in capfd.readouterr().err


def test_a_hostile_name_steers_no_terminal(tmp_path: Path, capfd: Capture) -> None:
    path = tmp_path / "pod.yaml"
    path.write_text(POD.replace("{name: shop}", '{name: "\\e[2Jshop\\n"}', 1))
    assert cli.main(["inject", "-f", str(path)]) == ExitCode.DONE
    assert "Pod \\x1b[2Jshop\\n: injected" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{{ .Values.all }}\nkind: Pod\n", "a template? render it first"),
        (f"{POD}---\nkind: Pod\n", "apiVersion: found nothing"),
        (
            f"{POD}---\n{POD}  initContainers: soon\n",
            "spec.initContainers: found a single value, expected a list",
        ),
    ],
)
def test_if_one_object_is_refused_nothing_is_printed(
    content: str, message: str, file: Path, tmp_path: Path, capfd: Capture
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    assert cli.main(["inject", "-f", str(file), "-f", str(path)]) == ExitCode.INVALID
    printed = capfd.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert str(path) in printed.err


def test_what_cannot_be_read_is_named(tmp_path: Path, capfd: Capture) -> None:
    for path, message in {
        tmp_path / "none.yaml": "found no such file or directory, expected a readable file",
        tmp_path: "found a directory, expected a file (kubectl kustomize DIR | dbambassador inject -f -)",
    }.items():
        assert cli.main(["inject", "-f", str(path)]) == ExitCode.INVALID
        assert capfd.readouterr() == ("", f"dbambassador: {path}: {message}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: -f/--filename"),
        (["-f", "-", "-f", "-"], "standard input can be read once only"),
        (["-f", "-", "--remove", "--config-map", "a"], "--remove takes no other flags than -f and --image"),
        (["-f", "-", "--image", ""], "--image: found ''"),
        (["-f", "-", "--config-map", "No Such_Name"], "--config-map: found 'No Such_Name'"),
    ],
)
def test_wrong_usage_is_told(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    assert cli.main(["inject", *arguments]) == ExitCode.INVALID
    assert message in capfd.readouterr().err
