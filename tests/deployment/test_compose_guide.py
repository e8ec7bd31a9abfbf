"""What docs/compose.md shows is a part of the shipped files, or works by itself."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from textwrap import dedent
from typing import Any

import yaml

from dbambassador.profiles.catalogue import load
from dbambassador.profiles.selection import Verdict, select
from dbambassador.reflection.explicit import PLATFORM_VARIABLE
from dbambassador.reflection.gather import gather
from tests.deployment.files import ENVIRONMENTS, REPOSITORY, chosen, parsed
from tests.deployment.test_readme import not_in

GUIDE = (REPOSITORY / "docs/compose.md").read_text(encoding="utf-8")
SHIPPED = parsed(REPOSITORY / "compose.yaml")
IN_COMPOSE = {PLATFORM_VARIABLE: SHIPPED["services"]["ambassador"]["environment"][PLATFORM_VARIABLE]}


def texts(heading: str) -> list[str]:
    """The YAML shown under a heading."""
    section = re.split(r"\n##+ ", GUIDE.split(f"# {heading}\n")[1])[0]
    return [dedent(text) for text in re.findall(r"```yaml\n(.*?) *```", section, re.DOTALL)]


def not_shipped(shown: dict[str, Any]) -> list[str]:
    services = dict(shown["services"])
    if "app" in services:
        services["orders-app"] = services.pop("app")
    return not_in({**shown, "services": services}, SHIPPED)


def test_the_five_steps_are_those_of_compose_yaml(tmp_path: Path) -> None:
    environment, ambassador, application = texts("Your project in five steps")
    assert not_shipped(yaml.safe_load(ambassador)) == []
    assert not_shipped(yaml.safe_load(application)) == []
    (tmp_path / "compose.yaml").write_text(environment)
    profile = chosen(IN_COMPOSE, tmp_path / "root", tmp_path)
    assert [str(database.endpoints[0]) for database in profile.databases] == ["postgres:5432"]


def test_the_staging_of_the_guide_is_chosen_by_name_alone(tmp_path: Path) -> None:
    (text,) = texts("Another environment")
    environments = tmp_path / "environments"
    shutil.copytree(ENVIRONMENTS, environments)
    name = Path(text.splitlines()[0].removeprefix("# environments/")).stem
    (environments / f"{name}.yaml").write_text(text)

    facts = gather(tmp_path / "root", IN_COMPOSE, {})
    assert chosen(IN_COMPOSE, tmp_path / "root", environments).name == "compose"
    assert select(load(environments), facts, requested=name).verdict is Verdict.CHOSEN


def test_the_sockets_of_the_guide_are_those_of_compose_yaml() -> None:
    services, environment = texts("Unix sockets")
    assert not_shipped(yaml.safe_load(services)) == []
    assert not_in(yaml.safe_load(environment), parsed(ENVIRONMENTS / "compose.yaml")) == []


def test_the_guide_names_environments_and_files_that_exist() -> None:
    names = set(re.findall(r"DBAMBASSADOR_ENVIRONMENT=([\w-]+)", GUIDE))
    assert names == {"compose-test"}
    assert all((ENVIRONMENTS / f"{name}.yaml").exists() for name in names)
    assert all((REPOSITORY / name).exists() for name in re.findall(r"--file (\S+)", GUIDE))
