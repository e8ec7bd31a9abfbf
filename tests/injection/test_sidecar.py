"""An ambassador that is there: what was fitted stays, what makes it work is brought up to date."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from dbambassador.errors import InvalidConfiguration
from dbambassador.injection.manifest import File, Result, injected, removed
from dbambassador.injection.sidecar import USER, Wanted

HEAD = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop}\nspec:\n  template:\n    spec:\n"
BARE = HEAD + "      containers:\n        - name: shop   # ours\n          image: shop:1\n"
JOB = BARE.replace("apps/v1", "batch/v1").replace("Deployment", "Job")


def of(text: str, wanted: Wanted | None = None) -> Result:
    return injected([File("a.yaml", text.encode())], wanted or Wanted())


def spec(text: str) -> Any:
    return yaml.safe_load(text)["spec"]["template"]["spec"]


def sidecar(text: str) -> Any:
    (found,) = [each for each in spec(text)["initContainers"] if each["name"] == "dbambassador"]
    return found


def environments(text: str) -> str:
    found: str = spec(text)["volumes"][0]["configMap"]["name"]
    return found


def test_image_and_config_map_are_as_asked_for() -> None:
    text = of(BARE, Wanted(image="images.example.com/team/dbambassador:1", config_map="mine")).text
    assert sidecar(text)["image"] == "images.example.com/team/dbambassador:1"
    assert environments(text) == "mine"


def test_without_flags_they_stay_and_with_flags_they_change() -> None:
    once = of(BARE, Wanted(image="images.example.com/dbambassador:1", config_map="mine")).text
    assert of(once).text == once
    again = of(once, Wanted(image="images.example.com/dbambassador:2", config_map="other"))
    assert again.text == once.replace("dbambassador:1", "dbambassador:2").replace("mine", "other")
    assert [outcome.what for outcome in again.outcomes] == [
        "updated: volume dbambassador-environments, image"
    ]


def test_any_image_is_ours_that_was_asked_for() -> None:
    once = of(BARE, Wanted(image="images.example.com/database-sidecar:1")).text
    assert of(once, Wanted(image="images.example.com/database-sidecar:1")).text == once
    file = File("a.yaml", once.encode())
    with pytest.raises(InvalidConfiguration, match="a container named dbambassador"):
        injected([file], Wanted())
    with pytest.raises(InvalidConfiguration, match="a container named dbambassador"):
        removed([file])
    assert removed([file], "images.example.com/database-sidecar:1").text == BARE


@pytest.mark.parametrize(
    "image",
    [
        "dbambassador",
        "dbambassador:1.2",
        "localhost:5000/dbambassador",
        "images.example.com/team/dbambassador@sha256:9f2c",
    ],
)
def test_an_image_is_known_by_its_last_name(image: str) -> None:
    once = of(BARE, Wanted(image=image)).text
    assert of(once).text == once


def test_what_somebody_fitted_to_the_application_stays() -> None:
    text = of(BARE).text
    fitted = (
        text.replace("args: [run]", "args: [run, --database=orders]")
        .replace("limits: {memory: 128Mi}", "limits: {memory: 1Gi}")
        .replace("env:\n", "env:\n            - {name: DBAMBASSADOR_QUIET, value: 'true'}\n")
        .replace("configMap: {name: dbambassador-ca, optional: true}", "secret: {secretName: authorities}")
    )
    assert of(fitted).text == fitted


def test_what_makes_it_work_is_brought_up_to_date() -> None:
    text = of(BARE).text
    older = (
        text.replace("probe, startup", "healthz")
        .replace("          terminationMessagePolicy: FallbackToLogsOnError\n", "")
        .replace("args: [run]", "args: [run, --database=orders]")
        .replace("env:\n", "env:\n            - {name: DBAMBASSADOR_QUIET, value: 'true'}\n")
        .replace("runAsNonRoot: true", "runAsUser: 1000")
    )
    result = of(older)
    assert [outcome.what for outcome in result.outcomes] == [
        "updated: startupProbe, securityContext, terminationMessagePolicy"
    ]
    found, expected = sidecar(result.text), sidecar(text)
    assert found["args"] == ["run", "--database=orders"]
    assert found["env"] == [{"name": "DBAMBASSADOR_QUIET", "value": "true"}, *expected["env"]]
    assert found["securityContext"] == {**expected["securityContext"], "runAsUser": 1000}
    assert found["startupProbe"] == expected["startupProbe"]
    assert "# ours" in result.text


def test_a_missing_volume_is_added_beside_those_that_are_there() -> None:
    text = of(BARE).text
    start, end = (
        text.index("        - name: dbambassador-podinfo"),
        text.index("        - name: dbambassador-ca"),
    )
    result = of(text[:start] + text[end:])
    assert sorted(spec(result.text)["volumes"], key=str) == sorted(spec(text)["volumes"], key=str)


def test_an_environments_volume_of_another_kind_stays() -> None:
    text = of(BARE).text.replace(
        "configMap: {name: dbambassador-environments}", "projected: {sources: [{configMap: {name: a}}]}"
    )
    assert of(text).text == text
    assert environments(of(text, Wanted(config_map="b")).text) == "b"


def test_for_an_older_cluster_it_moves_and_stays_there() -> None:
    moved = of(of(BARE).text, Wanted(ordinary=True))
    assert moved.text == of(BARE, Wanted(ordinary=True)).text
    assert moved.outcomes[0].what == "updated: containers"
    assert of(moved.text).text == moved.text


def test_where_the_pod_makes_root_the_user_the_ambassador_says_who_it_is() -> None:
    text = of(BARE + "      securityContext: {runAsUser: 0}\n").text
    assert sidecar(text)["securityContext"]["runAsUser"] == USER
    assert of(text).text == text


def test_warnings_name_what_will_surprise() -> None:
    def warned(text: str, wanted: Wanted | None = None) -> str:
        return " ".join(of(text, wanted).outcomes[0].warnings)

    migrating = BARE + "      initContainers:\n        - {name: migrate, image: shop:1}\n"
    assert warned(BARE) == ""
    assert warned(migrating) == ""
    assert "hostNetwork" in warned(BARE + "      hostNetwork: true\n")
    assert "init containers run before" in warned(migrating, Wanted(ordinary=True))
    assert "dbambassador shutdown" in warned(JOB, Wanted(ordinary=True))
    second = of(BARE).text.replace(
        "initContainers:\n", "initContainers:\n        - {name: migrate, image: shop:1}\n"
    )
    assert of(second).text == second
    assert "before the ambassador cannot use it" in warned(second)


def test_a_volume_that_another_container_mounts_stays_when_the_ambassador_goes() -> None:
    text = of(BARE + "          volumeMounts: [{name: dbambassador-podinfo, mountPath: /podinfo}]\n").text
    back = spec(removed([File("a.yaml", text.encode())]).text)
    assert [volume["name"] for volume in back["volumes"]] == ["dbambassador-podinfo"]
    assert "initContainers" not in back


def test_the_last_container_is_not_taken_out() -> None:
    text = HEAD + "      containers: [{name: dbambassador, image: dbambassador}]\n"
    with pytest.raises(InvalidConfiguration, match="the ambassador alone, expected an application"):
        removed([File("a.yaml", text.encode())])


@pytest.mark.parametrize("flow", [False, True])
def test_a_character_in_two_halves_is_one_when_it_is_written_anew(flow: bool) -> None:
    entry = '{"name": "CART", "value": "\\ud83d\\uded2\\u007f\\u2028"}'
    own = f'{{"name": "dbambassador", "image": "dbambassador", "env": [{entry}]}}'
    if not flow:
        own = f"\n        - name: dbambassador\n          image: dbambassador\n          env: [{entry}]"
    text = f"{BARE}      initContainers: {f'[{own}]' if flow else own}\n"
    assert sidecar(of(text).text)["env"][0] == {"name": "CART", "value": "\U0001f6d2\x7f\u2028"}
