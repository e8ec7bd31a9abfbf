"""Directories of environment files, good and bad."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from dbambassador.errors import InvalidConfiguration, Problem
from dbambassador.profiles.catalogue import load, load_merged, version
from dbambassador.profiles.effective import effective, values, zones
from dbambassador.settings.schema import HostEndpoint
from dbambassador.values import Fact, Facts, State

SHIPPED = Path(__file__).parents[2] / "environments"
MINIMAL = """
environment: staging
match: {matchFacts: {k8s.namespace.name: shop}}
databases:
  orders: {protocol: postgresql, listen: [localhost:5432], endpoint: "db:5432"}
"""


def problems(directory: Path) -> list[Problem]:
    with pytest.raises(InvalidConfiguration) as raised:
        load(directory)
    return list(raised.value.problems)


def test_the_shipped_environments_load() -> None:
    catalogue = load(SHIPPED)

    assert [profile.name for profile in catalogue.profiles] == [
        "compose",
        "compose-ide",
        "compose-test",
        "kubernetes-development",
        "kubernetes-on-prem",
        "kubernetes-staging",
        "production-aws",
        "production-azure",
        "production-gcp",
    ]
    assert all(
        [each.name for each in profile.databases] == ["orders", "catalog"] for profile in catalogue.profiles
    )
    on_prem = catalogue.get("kubernetes-on-prem")
    assert on_prem is not None
    assert on_prem.databases[0].endpoints == (
        HostEndpoint("orders-1.db.example.internal", 5432, zone="hall-a"),
        HostEndpoint("orders-2.db.example.internal", 5432, zone="hall-b"),
    )


def test_no_directory(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path / "nowhere")

    assert (problem.file, problem.found) == (str(tmp_path / "nowhere"), "no such directory")
    assert "--environments" in problem.hint


def test_a_file_instead_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(MINIMAL)

    assert problems(tmp_path / "file")[0].found == "not a directory"


def test_an_empty_directory(tmp_path: Path) -> None:
    assert problems(tmp_path)[0].found == "no *.yaml file"


def test_only_defaults(tmp_path: Path) -> None:
    (tmp_path / "_defaults.yaml").write_text("databases: {}")

    assert "only _defaults.yaml" in [problem.found for problem in problems(tmp_path)]


def test_what_is_no_environment_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "staging.yaml").write_text(MINIMAL)
    for other in ("_draft.yaml", "kustomization.yaml", ".staging.yaml.swp", ".hidden.yaml", "README.md"):
        (tmp_path / other).write_text("{{{ no YAML")

    assert [profile.name for profile in load(tmp_path).profiles] == ["staging"]


def test_a_yml_file_is_most_likely_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "staging.yaml").write_text(MINIMAL)
    (tmp_path / "production.yml").write_text(MINIMAL)

    (problem,) = problems(tmp_path)
    assert problem.expected == "production.yaml"


def test_every_problem_of_every_file_at_once(tmp_path: Path) -> None:
    (tmp_path / "_defaults.yaml").write_text("databases: {orders: {protcol: mysql}}")
    (tmp_path / "one.yaml").write_text(MINIMAL.replace("staging", "stage"))
    (tmp_path / "two.yaml").write_text("a: [")
    (tmp_path / "three.yaml").mkdir()

    files = [Path(problem.file).name for problem in problems(tmp_path)]

    assert sorted(set(files)) == ["_defaults.yaml", "one.yaml", "three.yaml", "two.yaml"]
    assert files.count("_defaults.yaml") == 1


def test_a_file_that_fails_while_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "staging.yaml").symlink_to("/proc/self/mem")

    assert problems(tmp_path)[0].found == "input/output error"


def test_a_directory_that_may_not_be_read(tmp_path: Path) -> None:
    tmp_path.chmod(0)
    root = os.geteuid() == 0
    if root:
        # For root no mode is a refusal.
        os.seteuid(65534)
    try:
        found = problems(tmp_path)[0].found
    finally:
        if root:
            os.seteuid(0)
        tmp_path.chmod(0o700)

    assert found == "permission denied"


def test_a_dangling_link_a_loop_and_a_fifo_are_problems_and_no_hang(tmp_path: Path) -> None:
    (tmp_path / "dangling.yaml").symlink_to("nowhere")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    os.mkfifo(tmp_path / "fifo.yaml")

    found = {Path(problem.file).name: problem.found for problem in problems(tmp_path)}

    assert found == {
        "dangling.yaml": "no such file or directory",
        "loop.yaml": "too many levels of symbolic links",
        "fifo.yaml": "no regular file",
    }


def test_files_of_a_config_map_are_links_into_a_hidden_directory(tmp_path: Path) -> None:
    (tmp_path / "..2026_01_01").mkdir()
    (tmp_path / "..2026_01_01" / "staging.yaml").write_text(MINIMAL)
    (tmp_path / "..data").symlink_to("..2026_01_01")
    (tmp_path / "staging.yaml").symlink_to("..data/staging.yaml")

    assert [profile.name for profile in load(tmp_path).profiles] == ["staging"]


def test_an_endless_file_is_read_no_further_than_the_limit(tmp_path: Path) -> None:
    with (tmp_path / "endless.yaml").open("wb") as file:
        file.truncate(1 << 40)

    assert problems(tmp_path)[0].found == "more than 1024 KiB"


def test_effective_names_the_origin_of_each_value(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path / "environments")
    (compose,) = (each for each in load_merged(tmp_path / "environments") if each.name == "compose")

    origins = {row["path"]: (row["value"], Path(row["file"]).name) for row in values(compose)}

    assert origins["databases.orders.hold"] == ("5s", "_defaults.yaml")
    assert origins["databases.orders.endpoint"] == ("postgres:5432", "compose.yaml")
    assert origins['match.matchFacts["dbambassador.platform"]'] == ("compose", "compose.yaml")
    line = next(line for line in effective(compose, {}).splitlines() if "orders.endpoint" in line)
    number = int(line.rpartition(":")[2])
    assert "postgres:5432" in (SHIPPED / "compose.yaml").read_text().splitlines()[number - 1]


def test_effective_names_the_fact_that_tells_the_zone(tmp_path: Path) -> None:
    zoned = "endpoints: [{host: a, port: 5432, zone: eu-1a}]"
    text = MINIMAL.replace('endpoint: "db:5432"', zoned)
    text += "  catalog: {protocol: tcp, listen: [localhost:3306], endpoint: 'c:3306'}\n"
    (tmp_path / "staging.yaml").write_text(text)
    (merged,) = load_merged(tmp_path)
    (profile,) = load(tmp_path).profiles
    zone = Fact("cloud.availability_zone", State.PRESENT, "eu-1b", source="/etc/podinfo/labels")

    told = zones(profile, Facts.of([zone]))

    assert told == {"orders": zone}
    assert zones(profile, Facts()) == {}
    last = effective(merged, told).splitlines()[-1]
    assert last.split() == [
        "databases.orders.zone",
        "eu-1b",
        "#",
        "cloud.availability_zone:",
        "/etc/podinfo/labels",
    ]


def mount(directory: Path, number: int) -> None:
    """A ConfigMap, as the kubelet puts it there."""
    (directory / f"..{number}").mkdir(parents=True)
    (directory / f"..{number}" / "staging.yaml").write_text(MINIMAL.replace("5432", f"543{number}"))
    (directory / "..tmp").symlink_to(f"..{number}")
    (directory / "..tmp").rename(directory / "..data")


def test_a_mounted_configmap_has_a_version(tmp_path: Path) -> None:
    assert version(tmp_path) == ""
    mount(tmp_path, 1)
    (tmp_path / "staging.yaml").symlink_to("..data/staging.yaml")
    assert load(tmp_path).version == version(tmp_path) == "..1/staging.yaml"


def test_a_configmap_has_another_version_once_its_names_are_those_of_its_content(tmp_path: Path) -> None:
    mount(tmp_path, 1)
    (tmp_path / "former.yaml").symlink_to("..data/former.yaml")
    half = version(tmp_path)
    (tmp_path / "staging.yaml").symlink_to("..data/staging.yaml")
    more = version(tmp_path)
    (tmp_path / "former.yaml").unlink()
    assert len({half, more, version(tmp_path), ""}) == 4


def test_a_directory_whose_content_is_away_has_no_version(tmp_path: Path) -> None:
    mount(tmp_path, 1)
    (tmp_path / "..1").rename(tmp_path / "..away")
    assert version(tmp_path) == ""


def test_a_configmap_that_is_replaced_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount(tmp_path, 1)
    (tmp_path / "staging.yaml").symlink_to("..data/staging.yaml")
    opened = os.open
    updates = iter((2, 3))

    def opening(path: Path, flags: int) -> int:
        for number in updates:
            mount(tmp_path, number)
            break
        return opened(path, flags)

    monkeypatch.setattr(os, "open", opening)
    catalogue = load(tmp_path)
    monkeypatch.undo()
    assert catalogue.version == version(tmp_path) == "..3/staging.yaml"
    assert str(catalogue.profiles[0].databases[0].listen[0]) == "127.0.0.1:5433"
