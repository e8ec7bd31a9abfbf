"""The manifests agree with the program and with the shipped environments."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dbambassador.cli import COMMANDS
from dbambassador.commands.probe import CHECKS
from dbambassador.profiles.catalogue import load
from dbambassador.reflection import downward
from dbambassador.settings.schema import SYSTEM_CAS, SslMode
from tests.deployment.files import (
    CA_CONFIG_MAP,
    ENVIRONMENTS,
    MANIFESTS,
    MOUNTED,
    PRODUCTION,
    VARIABLES,
    environ,
    parsed,
    pod,
    sidecar,
)


def test_the_sidecar_is_native_and_first() -> None:
    assert sidecar()["name"] == "dbambassador"
    assert sidecar()["restartPolicy"] == "Always"
    assert sidecar()["args"][0] in COMMANDS


@pytest.mark.parametrize(("probe", "check"), [(f"{check}Probe", check) for check in CHECKS])
def test_every_probe_asks_for_its_own_check(probe: str, check: str) -> None:
    assert sidecar()[probe]["exec"] == {"command": ["dbambassador", "probe", check]}


def test_the_sidecar_is_restricted_whatever_its_pod_is() -> None:
    assert sidecar()["securityContext"] == {
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


@pytest.mark.parametrize("name", ["sidecar", "sidecar-before-1.29", "databases"])
def test_a_cron_jobs_pod_gets_what_every_other_pod_gets(name: str) -> None:
    component = MANIFESTS / "components" / name
    cron_job = parsed(component / "cron-job.yaml")["spec"]["jobTemplate"]["spec"]
    assert cron_job == parsed(component / "pod-template.yaml")["spec"]


def test_reflection_understands_what_the_downward_api_tells() -> None:
    understood = {name for names in downward.VARIABLES.values() for name in names}
    assert set(environ(sidecar())) <= understood | VARIABLES
    assert {"POD_NAMESPACE", "NODE_NAME"} <= set(environ(sidecar()))
    volumes = {volume["name"]: volume for volume in pod()["volumes"]}
    mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in sidecar()["volumeMounts"]}
    assert mounts[MOUNTED]["configMap"] == {"name": "dbambassador-environments"}
    fields, authorities = mounts[downward.VOLUME]["projected"]["sources"]
    items = {item["path"]: item["fieldRef"]["fieldPath"] for item in fields["downwardAPI"]["items"]}
    assert items == {"labels": "metadata.labels", "annotations": "metadata.annotations"}
    assert authorities["configMap"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]


def test_the_config_map_holds_every_environment_file() -> None:
    (generator,) = parsed(ENVIRONMENTS / "kustomization.yaml")["configMapGenerator"]
    shipped = {path.name for path in ENVIRONMENTS.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(generator["files"]) == shipped
    assert generator["name"] == "dbambassador-environments"


@pytest.mark.parametrize("name", [name for name in PRODUCTION if name.startswith("production-")])
def test_in_a_cloud_every_server_has_to_prove_who_it_is(name: str) -> None:
    profile = load(ENVIRONMENTS).get(name)
    assert profile is not None
    for database in profile.databases:
        assert database.tls is not None
        assert database.tls.mode is SslMode.VERIFY_FULL


def test_trusted_authorities_are_mounted_where_the_environments_look_and_never_by_sub_path() -> None:
    mounts = sidecar()["volumeMounts"]
    directories = {mount["mountPath"] for mount in mounts if mount["name"] == "dbambassador-ca"}
    named = {
        database.tls.rootcert
        for profile in load(ENVIRONMENTS).profiles
        for database in profile.databases
        if database.tls is not None
    }
    assert {str(Path(path).parent) for path in named - {SYSTEM_CAS}} == directories
    assert [mount for mount in mounts if "subPath" in mount] == []
    (volume,) = [volume for volume in pod()["volumes"] if volume["name"] == "dbambassador-ca"]
    assert volume["configMap"] == {"name": CA_CONFIG_MAP, "optional": True}
    for file in ENVIRONMENTS.glob("production-*.yaml"):
        commands = re.findall(r"kubectl create configmap (\S+)", file.read_text())
        assert set(commands) <= {CA_CONFIG_MAP}
