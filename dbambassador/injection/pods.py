"""The ambassador in one pod: put in, brought up to date, taken out. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from dbambassador.injection import sidecar
from dbambassador.injection.edits import Page
from dbambassador.injection.sidecar import NAME, Wanted
from dbambassador.injection.tree import (
    Alias,
    Mapping,
    Node,
    Sequence,
    Unusable,
    data,
    described,
    is_null,
)
from dbambassador.injection.workloads import RUN_TO_COMPLETION, Place, Workload

_OUR_NAME = "that name for the ambassador's volume"
NATIVE, ORDINARY, VOLUMES = "initContainers", "containers", "volumes"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one object."""

    file: str
    line: int
    kind: str
    name: str
    what: str
    warnings: tuple[str, ...] = ()


class _Pod:
    """The lists of a pod's specification, as data and as places in the text."""

    def __init__(self, spec: Place) -> None:
        self.spec = spec
        self.places = {key: spec.child(key) for key in (NATIVE, ORDINARY, VOLUMES)}
        self.lists = {key: _entries(place) for key, place in self.places.items()}
        if not self.lists[ORDINARY]:
            place = self.places[ORDINARY] or spec.within(ORDINARY, spec.node)
            raise place.problem("nothing", "a list of containers")

    @property
    def mapping(self) -> Mapping:
        assert isinstance(self.spec.node, Mapping)
        return self.spec.node

    def ambassador(self, image: str | None) -> tuple[str, int] | None:
        """Where the ambassador is: the list, and the number in it.

        Raises:
            InvalidConfiguration: a container of its name is something else, or there are two.
        """
        found = [
            (key, number)
            for key in (NATIVE, ORDINARY)
            for number, entry in enumerate(self.lists[key])
            if entry.get("name") == NAME
        ]
        for key, number in found:
            if len(found) > 1 or not sidecar.is_ours(self.lists[key][number], image):
                raise self.at(key, number).problem(
                    f"a container named {NAME}" if len(found) == 1 else f"two containers named {NAME}",
                    "the ambassador alone under this name",
                    "its image is named dbambassador, or as --image says" if len(found) == 1 else "",
                )
        return found[0] if found else None

    def at(self, key: str, number: int | None = None) -> Place:
        place = self.places[key]
        assert place is not None
        if number is None:
            return place
        assert isinstance(place.node, Sequence)
        return place.within(f"[{number}]", place.node.items[number])

    def volume(self, name: str) -> int | None:
        numbers = [number for number, entry in enumerate(self.lists[VOLUMES]) if entry.get("name") == name]
        return numbers[0] if numbers else None

    def changeable(self, key: str, number: int | None = None) -> None:
        """Raises `InvalidConfiguration` if a change there would change or break another place."""
        if number is not None:
            place = self.at(key, number)
            inside = _aliased(place.node)
        else:
            place = self.places[key] or self.spec
            inside = place.node if place.node.aliased else None
        if isinstance(place.node, Alias):
            raise place.problem(described(place.node), "its value written out", "another place shares it")
        for node in (inside, *place.above):
            if node is not None and node.aliased:
                raise replace(place, node=node).problem(
                    f"the anchor &{node.anchor}, which another place uses",
                    "none in what is to change",
                    "write its value out there",
                )


def inject(page: Page, workload: Workload, wanted: Wanted) -> Outcome:
    """Puts the ambassador into the pods of a workload, or brings the one that is there up to date.

    Raises:
        InvalidConfiguration: the pod cannot be changed.
    """
    pod = _Pod(workload.spec)
    _no_claim_of_our_names(workload.root)
    there = pod.ambassador(wanted.image)
    present = pod.lists[there[0]][there[1]] if there else None
    if there and there[0] == ORDINARY:
        wanted = replace(wanted, ordinary=True)
    key = ORDINARY if wanted.ordinary else NATIVE
    made = sidecar.container(wanted, present, root=_root(pod))
    changes: list[str] = []
    missing = []
    for name, volume in sidecar.volumes(wanted, made, _own_volumes(pod, present)).items():
        number = pod.volume(name)
        if number is None:
            missing.append(volume)
        elif pod.lists[VOLUMES][number] != volume:
            if name not in sidecar.mounted(present):
                raise pod.at(VOLUMES, number).problem(
                    f"a volume named {name}", _OUR_NAME, "name yours otherwise"
                )
            pod.changeable(VOLUMES, number)
            page.replace(pod.mapping, VOLUMES, number, volume)
            changes.append(f"volume {name}")
    if there and there[0] != key:
        pod.changeable(there[0], there[1])
        page.remove(pod.mapping, there[0], {there[1]})
    if there is None or there[0] != key:
        pod.changeable(key)
        page.prepend(pod.mapping, key, [made], before=ORDINARY)
        changes += [key] if there else []
    elif present is not None and made != present:
        pod.changeable(key, there[1])
        page.replace(pod.mapping, key, there[1], made)
        changes += [each for each in made if made[each] != present.get(each)]
    if missing:
        pod.changeable(VOLUMES)
        page.prepend(pod.mapping, VOLUMES, missing, before=ORDINARY)
        changes += [f"volume {volume['name']}" for volume in missing]
    what = (
        "injected" if there is None else f"updated: {', '.join(changes)}" if changes else "already injected"
    )
    return _outcome(workload, what, _warnings(pod, workload, key, there))


def remove(page: Page, workload: Workload, image: str | None) -> Outcome:
    """Takes the ambassador out, and the volumes that it alone mounts.

    Raises:
        InvalidConfiguration: the pod cannot be changed.
    """
    pod = _Pod(workload.spec)
    there = pod.ambassador(image)
    if there is None:
        return _outcome(workload, "not injected")
    key, own = there
    if key == ORDINARY and len(pod.lists[ORDINARY]) == 1:
        raise pod.at(ORDINARY).problem("the ambassador alone", "an application beside it")
    needed: frozenset[str] = frozenset()
    for entry in (each for kind in (NATIVE, ORDINARY) for each in pod.lists[kind]):
        if entry is not pod.lists[key][own]:
            needed |= sidecar.mounted(entry)
    names = (sidecar.volume_names() & sidecar.mounted(pod.lists[key][own])) - needed
    volumes = {number for name in names if (number := pod.volume(name)) is not None}
    pod.changeable(key, own)
    page.remove(pod.mapping, key, {own})
    if volumes:
        for number in volumes:
            pod.changeable(VOLUMES, number)
        page.remove(pod.mapping, VOLUMES, volumes)
    return _outcome(workload, "removed")


def _outcome(workload: Workload, what: str, warnings: Iterator[str] | tuple[str, ...] = ()) -> Outcome:
    place = workload.spec
    return Outcome(place.file, workload.line, workload.kind, workload.name, what, tuple(warnings))


def _warnings(pod: _Pod, workload: Workload, key: str, there: tuple[str, int] | None) -> Iterator[str]:
    network = pod.spec.child("hostNetwork")
    if network is not None and _data(network) is True:
        yield "hostNetwork: it listens on the node's localhost, for every pod of the node that shares it"
    if key == ORDINARY and workload.kind in RUN_TO_COMPLETION:
        yield "its pods complete only once the application has ended the ambassador: `dbambassador shutdown`"
    if key == ORDINARY and any(entry.get("name") != NAME for entry in pod.lists[NATIVE]):
        yield "its init containers run before the ambassador and cannot use it"
    if key == NATIVE and there is not None and there[1] > 0:
        yield "the init containers before the ambassador cannot use it"


def _no_claim_of_our_names(workload: Place) -> None:
    """A StatefulSet's claim takes the place of the pod's volume of that name."""
    spec = workload.child("spec")
    claims = spec.child("volumeClaimTemplates") if spec and isinstance(spec.node, Mapping) else None
    found = _data(claims) if claims is not None else None
    for claim in found if isinstance(found, list) else []:
        metadata = claim.get("metadata") if isinstance(claim, dict) else None
        name = metadata.get("name") if isinstance(metadata, dict) else None
        if claims is not None and name in sidecar.volume_names():
            raise claims.problem(f"a claim named {name}", _OUR_NAME, "name yours otherwise")


def _root(pod: _Pod) -> bool:
    """Whether the pod makes root the user of containers that name none."""
    context = pod.spec.child("securityContext")
    found = _data(context) if context is not None else None
    return isinstance(found, dict) and found.get("runAsUser") == 0


def _own_volumes(pod: _Pod, present: Any) -> dict[str, Any]:
    names = sidecar.mounted(present)
    return {entry["name"]: entry for entry in pod.lists[VOLUMES] if entry.get("name") in names}


def _entries(place: Place | None) -> list[dict[str, Any]]:
    """The entries of a list of containers or volumes."""
    if place is None or is_null(place.node):
        return []
    found = _data(place)
    if not isinstance(found, list):
        raise place.problem(described(place.node), "a list")
    for number, entry in enumerate(found):
        if not (isinstance(entry, dict) and isinstance(entry.get("name"), str)):
            where = place
            if isinstance(place.node, Sequence):
                where = place.within(f"[{number}]", place.node.items[number])
            raise where.problem(described(where.node), "a mapping with a name")
    return found


def _data(place: Place) -> Any:
    try:
        return data(place.node)
    except Unusable as found:
        raise place.problem(str(found), "what a pod can be made of") from None


def _aliased(node: Node) -> Node | None:
    """A node in it that an alias refers to."""
    pending = [node]
    while pending:
        each = pending.pop()
        if each.aliased:
            return each
        if isinstance(each, Sequence):
            pending += each.items
        elif isinstance(each, Mapping):
            pending += [part for pair in each.pairs for part in pair]
    return None
