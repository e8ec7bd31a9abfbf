"""The compose files agree with the program, with the shipped environments, and with each other."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from dbambassador.profiles.catalogue import load
from dbambassador.profiles.selection import Verdict, select
from dbambassador.reflection.containers import PROJECT_VARIABLE
from dbambassador.reflection.explicit import PLATFORM_VARIABLE
from dbambassador.reflection.gather import gather
from dbambassador.settings.schema import HostEndpoint, Profile, TcpListen, UnixListen
from tests.deployment.files import (
    ENVIRONMENTS,
    MOUNTED,
    PRODUCTION,
    REPOSITORY,
    VARIABLES,
    instructions,
    parsed,
    services,
)

SOCKETS = "/run/dbambassador"
APPLICATIONS = {"orders-app": "/var/run/postgresql", "catalog-app": "/run/mysqld"}
"""With the directory where each one's client looks for a socket."""
ENVIRONMENT = "DBAMBASSADOR_ENVIRONMENT"


def ambassador() -> dict[str, Any]:
    found: dict[str, Any] = services()["ambassador"]
    return found


def ide() -> dict[str, Any]:
    found: dict[str, Any] = parsed(REPOSITORY / "compose.ide.yaml")
    return found


def served(root: Path, environment: str = "") -> Profile:
    """What the ambassador of the compose file serves, where this environment is asked for."""
    variables = {PLATFORM_VARIABLE: ambassador()["environment"][PLATFORM_VARIABLE]}
    selection = select(load(ENVIRONMENTS), gather(root, variables, {}), requested=environment or None)
    assert selection.verdict is Verdict.CHOSEN, selection.why
    assert selection.profile is not None
    return selection.profile


def hosts(profile: Profile) -> set[str]:
    found = set()
    for database in profile.databases:
        for endpoint in database.endpoints:
            assert isinstance(endpoint, HostEndpoint)
            found.add(endpoint.host)
    return found


def test_compose_mounts_the_shipped_environments_where_the_ambassador_looks() -> None:
    source, target, mode = ambassador()["volumes"][0].split(":")
    assert (REPOSITORY / source).resolve() == ENVIRONMENTS
    assert (target, mode) == (MOUNTED, "ro")


def test_in_compose_its_environment_is_chosen_and_one_variable_chooses_another(
    tmp_path: Path,
) -> None:
    assert ambassador()["environment"][ENVIRONMENT] == f"${{{ENVIRONMENT}:-}}"
    assert served(tmp_path).name == "compose"
    assert served(tmp_path, "compose-test").name == "compose-test"
    assert hosts(served(tmp_path)) != hosts(served(tmp_path, "compose-test"))


@pytest.mark.parametrize("name", PRODUCTION)
def test_in_compose_production_is_out_of_reach_even_by_name(name: str, tmp_path: Path) -> None:
    variables = {PLATFORM_VARIABLE: ambassador()["environment"][PLATFORM_VARIABLE]}
    selection = select(load(ENVIRONMENTS), gather(tmp_path, variables, {}), requested=name)
    assert selection.verdict is Verdict.FORBIDDEN


@pytest.mark.parametrize("environment", ["", "compose-test"])
def test_compose_has_every_database_that_is_served(environment: str, tmp_path: Path) -> None:
    assert hosts(served(tmp_path, environment)) <= set(services())


def test_compose_sets_only_variables_that_are_known() -> None:
    known = VARIABLES | {PLATFORM_VARIABLE, PROJECT_VARIABLE}
    assert set(ambassador()["environment"]) <= known
    assert set(ide()["services"]["ambassador"]["environment"]) <= known


@pytest.mark.parametrize("name", APPLICATIONS)
def test_an_application_joins_the_ambassadors_network_once_it_is_healthy(name: str) -> None:
    application = services()[name]
    assert application["network_mode"] == "service:ambassador"
    assert application["depends_on"]["ambassador"] == {"condition": "service_healthy", "restart": True}
    assert ambassador()["healthcheck"]["test"] == ["CMD", "dbambassador", "probe", "startup"]
    # A service whose network is joined cannot wait for the one that joins it.
    assert "depends_on" not in ambassador()


def test_an_application_waits_for_every_database_that_any_environment_sends_it_to(tmp_path: Path) -> None:
    awaited = {service for name in APPLICATIONS for service in services()[name]["depends_on"]}
    reached = hosts(served(tmp_path)) | hosts(served(tmp_path, "compose-test"))
    assert awaited == reached | {"ambassador"}
    assert all("healthcheck" in services()[name] for name in awaited)


@pytest.mark.parametrize("environment", ["", "compose-test"])
def test_the_sockets_are_made_in_the_volume_and_named_as_clients_name_them(
    environment: str, tmp_path: Path
) -> None:
    assert f"sockets:{SOCKETS}" in ambassador()["volumes"]
    paths = {
        listen.path
        for database in served(tmp_path, environment).databases
        for listen in database.listen
        if isinstance(listen, UnixListen)
    }
    assert paths == {f"{SOCKETS}/.s.PGSQL.5432", f"{SOCKETS}/mysqld.sock"}


@pytest.mark.parametrize(("name", "directory"), APPLICATIONS.items())
def test_an_application_can_use_the_sockets_and_change_nothing_of_their_volume(
    name: str, directory: str
) -> None:
    # Without nocopy, docker gives a new volume the owner of the application's directory, whoever comes last.
    mount = {"type": "volume", "source": "sockets", "target": directory, "read_only": True}
    assert services()[name]["volumes"] == [{**mount, "volume": {"nocopy": True}}]


def test_a_new_volume_for_sockets_belongs_to_the_images_user() -> None:
    (user,) = instructions("USER")
    assert [
        line for line in instructions("COPY") if f"--chown={user}" in line and line.endswith(f" {SOCKETS}")
    ]


def test_within_compose_nothing_listens_beyond_loopback(tmp_path: Path) -> None:
    for environment in ("", "compose-test"):
        for database in served(tmp_path, environment).databases:
            for listen in database.listen:
                assert isinstance(listen, UnixListen) or ip_address(listen.host).is_loopback


def test_for_the_ide_every_database_is_published_on_the_laptops_loopback_alone(tmp_path: Path) -> None:
    service = ide()["services"]["ambassador"]
    served_ports = set()
    for database in served(tmp_path, service["environment"][ENVIRONMENT]).databases:
        for listen in database.listen:
            assert isinstance(listen, TcpListen)
            assert listen.host == "0.0.0.0"
            served_ports.add(listen.port)
    published = [port.rsplit(":", 2) for port in service["ports"]]
    assert {host for host, _, _ in published} == {"127.0.0.1"}
    assert {int(port) for _, _, port in published} == served_ports


def test_the_ides_services_are_those_of_compose_and_all_that_it_needs(tmp_path: Path) -> None:
    own = ide()["services"]
    for name, service in own.items():
        assert service["extends"] == {"file": "compose.yaml", "service": name}
    assert set(own) == {"ambassador", *hosts(served(tmp_path, "compose-ide"))}
    assert set(own["ambassador"]["depends_on"]) == set(own) - {"ambassador"}
    # What a service mounts is declared anew in each file.
    assert ide()["volumes"] == parsed(REPOSITORY / "compose.yaml")["volumes"]
    # One project, so that the data are the same.
    assert "name" not in ide()
