"""The sidecar as a pod has it: a container and its volumes, and what of an older one stays. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

NAME = "dbambassador"
ENVIRONMENTS = "dbambassador-environments"
"""The volume that holds the environment files."""
AUTHORITIES = "dbambassador-ca"

USER = 65532
"""The image's own, for a pod that makes root the user of every container."""

KEPT = ("image", "imagePullPolicy", "args", "resources")
"""Of a sidecar that is there: what somebody fitted to this application. An older version's is as good."""
JOINED = {"env": "name", "volumeMounts": "mountPath"}
"""Lists that Kubernetes merges by this key: entries that are there stay."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller asks for. None: as it is in the pod, else the default."""

    image: str | None = None
    config_map: str | None = None
    ordinary: bool = False
    """For Kubernetes before 1.29, which knows no sidecars: an ordinary container."""


@cache
def _definition() -> dict[str, Any]:
    text = (files("dbambassador.injection") / "sidecar.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def _default(*, ordinary: bool) -> dict[str, Any]:
    made: dict[str, Any] = deepcopy(_definition()["native"])
    if ordinary:
        made |= deepcopy(_definition()["ordinary"])
    return {key: value for key, value in made.items() if value is not None}


def container(
    wanted: Wanted, present: Mapping[str, Any] | None = None, *, root: bool = False
) -> dict[str, Any]:
    """The container, over the one that is present, if one is.

    Args:
        root: the pod makes root the user of every container that does not say otherwise.
    """
    made = _default(ordinary=wanted.ordinary)
    if root:
        made["securityContext"]["runAsUser"] = USER
    if present is not None:
        other = _default(ordinary=not wanted.ordinary)
        fitted = {key: value for key, value in present.items() if key not in other or value != other[key]}
        result = _over(made, fitted)
        made = {key: result[key] for key in (*present, *result) if key in result}
    if wanted.image is not None:
        made["image"] = wanted.image
    return made


def _over(made: dict[str, Any], present: Mapping[str, Any]) -> dict[str, Any]:
    """Theirs where it was fitted, ours where it makes the sidecar work."""
    result = dict(present)
    for key, value in made.items():
        there = present.get(key)
        if key in KEPT and there:
            continue
        if key in JOINED and isinstance(there, list):
            names = [entry.get(JOINED[key]) for entry in there if isinstance(entry, dict)]
            value = there + [entry for entry in value if entry[JOINED[key]] not in names]
        elif key == "securityContext" and isinstance(there, dict):
            value = {**there, **value}
        result[key] = value
    return result


def is_ours(present: Mapping[str, Any], image_wanted: str | None) -> bool:
    """Whether a container of our name is the ambassador: by its image, whatever registry and tag it has."""
    image = present.get("image")
    if not isinstance(image, str):
        return False
    name = image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    return name == NAME or image == image_wanted


def volumes(wanted: Wanted, container: Mapping[str, Any], present: Mapping[str, Any]) -> dict[str, Any]:
    """By name the volumes that a container of ours mounts.

    Args:
        present: by name those that the ambassador of this pod has already. The environments and the
            authorities stay as they are, unless another ConfigMap of environments is wanted.
    """
    needed = mounted(container)
    made = {
        volume["name"]: deepcopy(volume) for volume in _definition()["volumes"] if volume["name"] in needed
    }
    for name in (ENVIRONMENTS, AUTHORITIES):
        if name in made and name in present:
            made[name] = present[name]
    if wanted.config_map is not None and ENVIRONMENTS in made:
        made[ENVIRONMENTS] = {"name": ENVIRONMENTS, "configMap": {"name": wanted.config_map}}
    return made


def volume_names() -> frozenset[str]:
    return frozenset(volume["name"] for volume in _definition()["volumes"])


def mounted(container: Any) -> frozenset[str]:
    """The names of the volumes that a container mounts."""
    mounts = container.get("volumeMounts") if isinstance(container, dict) else None
    entries = mounts if isinstance(mounts, list) else []
    names = [entry.get("name") for entry in entries if isinstance(entry, dict)]
    return frozenset(name for name in names if isinstance(name, str))
