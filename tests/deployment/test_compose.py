"""compose.yaml agrees with the program and with the shipped environments."""

from __future__ import annotations

from pathlib import Path

from dbambassador.reflection.containers import PROJECT_VARIABLE
from dbambassador.reflection.explicit import PLATFORM_VARIABLE
from dbambassador.settings.schema import HostEndpoint
from tests.deployment.files import ENVIRONMENTS, MOUNTED, REPOSITORY, VARIABLES, chosen, services


def test_compose_mounts_the_shipped_environments_where_the_ambassador_looks() -> None:
    source, target, mode = services()["ambassador"]["volumes"][0].split(":")
    assert (REPOSITORY / source).resolve() == ENVIRONMENTS
    assert (target, mode) == (MOUNTED, "ro")


def test_in_compose_the_environment_compose_is_chosen(tmp_path: Path) -> None:
    assert chosen(services()["ambassador"]["environment"], tmp_path).name == "compose"


def test_compose_has_every_database_that_is_served(tmp_path: Path) -> None:
    variables = services()["ambassador"]["environment"]
    served = variables["DBAMBASSADOR_DATABASE"].split(",")
    databases = {database.name: database for database in chosen(variables, tmp_path).databases}
    for name in served:
        for endpoint in databases[name].endpoints:
            assert isinstance(endpoint, HostEndpoint)
            assert endpoint.host in services()


def test_compose_sets_only_variables_that_are_known() -> None:
    known = VARIABLES | {PLATFORM_VARIABLE, PROJECT_VARIABLE}
    assert set(services()["ambassador"]["environment"]) <= known


def test_the_application_joins_the_ambassadors_network_once_it_is_healthy() -> None:
    app, ambassador = services()["app"], services()["ambassador"]
    assert app["network_mode"] == "service:ambassador"
    assert app["depends_on"]["ambassador"] == {"condition": "service_healthy"}
    assert ambassador["healthcheck"]["test"] == ["CMD", "dbambassador", "probe", "startup"]
    # A service whose network is joined cannot wait for the one that joins it.
    assert "app" not in ambassador.get("depends_on", {})
