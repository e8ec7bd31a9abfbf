"""The files somebody deploys agree with the program, with the shipped environments, and with the README."""

from __future__ import annotations

import re
import shutil
from hashlib import sha256
from pathlib import Path
from ssl import PEM_cert_to_DER_cert
from typing import Any

import pytest
import trustme
import yaml

from dbambassador.cli import COMMANDS, DEFAULT_DIRECTORIES, FLAGS
from dbambassador.commands.probe import CHECKS
from dbambassador.profiles.catalogue import load
from dbambassador.profiles.selection import Verdict, select
from dbambassador.reflection import downward
from dbambassador.reflection.containers import PROJECT_VARIABLE
from dbambassador.reflection.explicit import PLATFORM_VARIABLE
from dbambassador.reflection.gather import gather
from dbambassador.reflection.service_account import DIRECTORY as SERVICE_ACCOUNT
from dbambassador.settings.schema import SYSTEM_CAS, HostEndpoint, Profile, SslMode

REPOSITORY = Path(__file__).parents[1]
ENVIRONMENTS = REPOSITORY / "environments"
EXAMPLE = REPOSITORY / "manifests" / "example"
MOUNTED = DEFAULT_DIRECTORIES[0]
PRODUCTION = ("kubernetes-on-prem", "production-aws", "production-azure", "production-gcp")
CLUSTER_CA = "dbambassador.k8s.ca.sha256"
CA_CONFIG_MAP = "dbambassador-ca"
VARIABLES = {flag.variable for flags in FLAGS.values() for flag in flags}
OWN = re.compile(r"DBAMBASSADOR_[A-Z_]+")


def parsed(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def services() -> dict[str, Any]:
    found: dict[str, Any] = parsed(REPOSITORY / "compose.yaml")["services"]
    return found


def pod() -> dict[str, Any]:
    found: dict[str, Any] = parsed(EXAMPLE / "deployment.yaml")["spec"]["template"]["spec"]
    return found


def sidecar() -> dict[str, Any]:
    first: dict[str, Any] = pod()["initContainers"][0]
    return first


def environ(container: dict[str, Any]) -> list[str]:
    return [variable["name"] for variable in container["env"]]


def chosen(variables: dict[str, str], root: Path, environments: Path = ENVIRONMENTS) -> Profile:
    selection = select(load(environments), gather(root, variables, {}))
    assert selection.verdict is Verdict.CHOSEN, selection.why
    assert selection.profile is not None
    return selection.profile


def instructions(name: str) -> list[str]:
    text = re.sub(r"\\\n\s*", "", (REPOSITORY / "Dockerfile").read_text(encoding="utf-8"))
    return [line.removeprefix(name).strip() for line in text.splitlines() if line.startswith(f"{name} ")]


# --- compose ---


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


# --- Kubernetes ---


def test_the_sidecar_is_native_and_first() -> None:
    assert sidecar()["name"] == "dbambassador"
    assert sidecar()["restartPolicy"] == "Always"
    assert sidecar()["args"][0] in COMMANDS


@pytest.mark.parametrize(("probe", "check"), [(f"{check}Probe", check) for check in CHECKS])
def test_every_probe_asks_for_its_own_check(probe: str, check: str) -> None:
    assert sidecar()[probe]["exec"] == {"command": ["dbambassador", "probe", check]}


def test_the_pod_is_restricted() -> None:
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod()["initContainers"] + pod()["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}


def test_reflection_understands_what_the_downward_api_tells() -> None:
    understood = {name for names in downward.VARIABLES.values() for name in names}
    assert set(environ(sidecar())) <= understood | VARIABLES
    assert {"POD_NAMESPACE", "NODE_NAME"} <= set(environ(sidecar()))
    volumes = {volume["name"]: volume for volume in pod()["volumes"]}
    mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in sidecar()["volumeMounts"]}
    assert mounts[MOUNTED]["configMap"] == {"name": "dbambassador-environments"}
    items = {
        item["path"]: item["fieldRef"]["fieldPath"]
        for item in mounts[downward.VOLUME]["downwardAPI"]["items"]
    }
    assert items == {"labels": "metadata.labels", "annotations": "metadata.annotations"}


def test_in_the_examples_namespace_an_environment_is_chosen(tmp_path: Path) -> None:
    namespace = parsed(EXAMPLE / "kustomization.yaml")["namespace"]
    in_a_pod = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "POD_NAMESPACE": namespace, "NODE_NAME": "node-1"}
    assert chosen(in_a_pod, tmp_path).name == "kubernetes-development"


def test_the_config_map_holds_every_environment_file() -> None:
    (generator,) = parsed(ENVIRONMENTS / "kustomization.yaml")["configMapGenerator"]
    shipped = {path.name for path in ENVIRONMENTS.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(generator["files"]) == shipped
    assert generator["name"] == "dbambassador-environments"


def test_the_example_is_made_of_files_that_exist() -> None:
    resources = parsed(EXAMPLE / "kustomization.yaml")["resources"]
    assert {(EXAMPLE / resource).resolve() for resource in resources} == {
        ENVIRONMENTS,
        EXAMPLE / "deployment.yaml",
    }


@pytest.mark.parametrize("name", PRODUCTION)
def test_in_its_cluster_each_production_environment_is_chosen(name: str, tmp_path: Path) -> None:
    clusters = {each: trustme.CA().cert_pem.bytes().decode() for each in PRODUCTION}
    environments, root = tmp_path / "environments", tmp_path / "root"
    shutil.copytree(ENVIRONMENTS, environments)
    for each, certificate in clusters.items():
        placeholder = parsed(ENVIRONMENTS / f"{each}.yaml")["match"]["matchFacts"][CLUSTER_CA]
        fingerprint = sha256(PEM_cert_to_DER_cert(certificate)).hexdigest()
        for file in environments.glob("*.yaml"):  # the expected rows of others name it too
            file.write_text(file.read_text().replace(placeholder, fingerprint))
    account = root / SERVICE_ACCOUNT.lstrip("/")
    account.mkdir(parents=True)
    (account / "ca.crt").write_text(clusters[name])
    (account / "namespace").write_text("shop")

    assert chosen({"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, root, environments).name == name


@pytest.mark.parametrize("name", [name for name in PRODUCTION if name.startswith("production-")])
def test_in_a_cloud_every_server_has_to_prove_who_it_is(name: str) -> None:
    profile = load(ENVIRONMENTS).get(name)
    assert profile is not None
    for database in profile.databases:
        assert database.tls is not None
        assert database.tls.mode is SslMode.VERIFY_FULL


def test_trusted_authorities_are_mounted_where_the_environments_look_and_never_by_sub_path() -> None:
    mounts = sidecar()["volumeMounts"]
    directories = {mount["mountPath"] for mount in mounts if mount["name"] == "ca"}
    named = {
        database.tls.rootcert
        for profile in load(ENVIRONMENTS).profiles
        for database in profile.databases
        if database.tls is not None
    }
    assert {str(Path(path).parent) for path in named - {SYSTEM_CAS}} == directories
    assert [mount for mount in mounts if "subPath" in mount] == []
    (volume,) = [volume for volume in pod()["volumes"] if volume["name"] == "ca"]
    assert volume["configMap"] == {"name": CA_CONFIG_MAP, "optional": True}
    for file in ENVIRONMENTS.glob("production-*.yaml"):
        commands = re.findall(r"kubectl create configmap (\S+)", file.read_text())
        assert set(commands) <= {CA_CONFIG_MAP}


# --- image ---


def test_the_image_runs_the_ambassador_as_nobody() -> None:
    assert instructions("ENTRYPOINT") == ['["dbambassador"]']
    assert instructions("CMD") == ['["run"]']
    assert instructions("USER") == [f"{pod()['securityContext']['runAsUser']}:65532"]
    assert instructions("HEALTHCHECK")[0].endswith('CMD ["dbambassador", "probe", "startup"]')


def test_the_image_has_no_environments_and_names_where_they_are_mounted() -> None:
    assert not [line for line in instructions("COPY") if "environments" in line]
    (variables,) = instructions("ENV")
    assert f"DBAMBASSADOR_ENVIRONMENTS={MOUNTED}" in variables
    assert set(OWN.findall(variables)) <= VARIABLES


def test_what_the_image_is_built_from_is_there_and_not_ignored() -> None:
    kept = {
        line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    copied = {
        name for line in instructions("COPY") if not line.startswith("--from") for name in line.split()[:-1]
    }
    assert copied == kept
    assert all((REPOSITORY / name).exists() for name in copied)


# --- README ---


def snippet(heading: str) -> Any:
    """The YAML shown under a heading of the README."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    (shown,) = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    return yaml.safe_load(shown)


def not_in(shown: Any, shipped: Any, path: str = "") -> list[str]:
    """Where the shown says something else than the shipped; that may say more."""
    if isinstance(shown, dict) and isinstance(shipped, dict):
        return [
            difference
            for key, value in shown.items()
            for difference in not_in(value, shipped.get(key), f"{path}.{key}")
        ]
    if isinstance(shown, list) and isinstance(shipped, list):
        return [f"{path}: {item}" for item in shown if all(not_in(item, other) for other in shipped)]
    return [] if shown == shipped else [f"{path}: {shown}"]


def test_a_difference_is_found() -> None:
    assert not_in({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": 2}, 3]}) == []
    assert not_in({"a": [{"b": 2}]}, {"a": [{"b": 1}]}) == [".a: {'b': 2}"]
    assert not_in({"a": {"b": 1}}, {"a": {}}) == [".a.b: 1"]


def test_the_readme_shows_what_compose_yaml_says() -> None:
    shown = snippet("Five minutes: docker compose")["services"]
    assert shown["app"].pop("image") == "your-application"
    assert not_in(shown, services()) == []


def test_the_readme_shows_what_the_manifest_says() -> None:
    assert not_in(snippet("Five minutes: Kubernetes")["spec"], pod()) == []
