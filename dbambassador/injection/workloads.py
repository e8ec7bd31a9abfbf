"""Which objects of a document have pods, and where their spec is. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dbambassador.errors import InvalidConfiguration, Problem
from dbambassador.injection.tree import (
    MERGE,
    Alias,
    Mapping,
    Node,
    Scalar,
    Sequence,
    described,
    is_null,
    resolved,
    text_of,
)

_TEMPLATE = ("spec", "template", "spec")
_WORKLOAD_GROUPS = ("apps", "extensions")
"""`extensions/v1beta1` held them until Kubernetes 1.16."""
POD_SPECS: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "Pod"): ("spec",),
    ("", "PodTemplate"): ("template", "spec"),
    ("", "ReplicationController"): _TEMPLATE,
    **{
        (group, kind): _TEMPLATE
        for group in _WORKLOAD_GROUPS
        for kind in ("Deployment", "DaemonSet", "ReplicaSet")
    },
    ("apps", "StatefulSet"): _TEMPLATE,
    ("batch", "Job"): _TEMPLATE,
    ("batch", "CronJob"): ("spec", "jobTemplate", *_TEMPLATE),
}
"""By API group and kind."""

RUN_TO_COMPLETION = {"Job", "CronJob"}


@dataclass(frozen=True, slots=True)
class Place:
    """A node, and how a message names it."""

    file: str
    path: str
    node: Node
    above: tuple[Node, ...] = ()
    """The nodes that it is in, outermost first."""

    def problem(self, found: str, expected: str, hint: str = "") -> InvalidConfiguration:
        return InvalidConfiguration((Problem(self.file, self.path, found, expected, self.node.line, hint),))

    def within(self, key: str, node: Node) -> Place:
        path = f"{self.path}{key}" if key.startswith("[") else f"{self.path}.{key}" if self.path else key
        return Place(self.file, path, node, (*self.above, self.node))

    def child(self, key: str) -> Place | None:
        """What stands under a key of this mapping.

        Raises:
            InvalidConfiguration: the key is there twice, or comes from elsewhere by a merge key.
        """
        assert isinstance(self.node, Mapping)
        found = [value for name, value in self.node.pairs if text_of(name) == key]
        if len(found) > 1:
            raise self.within(key, found[1]).problem("the key again", "each key once")
        if not found and _merged(self.node, key):
            raise self.problem(f"{key} by a merge key (<<)", f"{key} written out", "another place shares it")
        return self.within(key, found[0]) if found else None


def _merged(mapping: Mapping, key: str) -> bool:
    """Whether a merge key brings this key from elsewhere."""
    pending: list[Node] = [mapping]
    seen: set[int] = set()
    while pending:
        node = resolved(pending.pop())
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, Sequence):
            pending += node.items
        elif isinstance(node, Mapping):
            if node is not mapping and any(text_of(name) == key for name, _ in node.pairs):
                return True
            pending += [value for name, value in node.pairs if isinstance(name, Scalar) and name.tag == MERGE]
    return False


@dataclass(frozen=True, slots=True)
class Workload:
    """An object with pods."""

    kind: str
    name: str
    root: Place
    spec: Place
    """Of its pods."""

    @property
    def line(self) -> int:
        return self.root.node.line


@dataclass(frozen=True, slots=True)
class Other:
    """An object that stays as it is."""

    kind: str
    name: str
    line: int
    why: str


def objects(file: str, root: Node) -> Iterator[Workload | Other]:
    """The objects of one document; those of a List one by one.

    Raises:
        InvalidConfiguration: this is no Kubernetes object, or one whose pods cannot be found.
    """
    if not is_null(root):
        yield from _objects(Place(file, "", root), "")


def _objects(place: Place, default: str) -> Iterator[Workload | Other]:
    if not isinstance(place.node, Mapping):
        raise place.problem(described(place.node), "a Kubernetes object with apiVersion and kind")
    kind_place, version = place.child("kind"), place.child("apiVersion")
    kind = text_of(kind_place.node) if kind_place else default
    if not kind:
        found = described(kind_place.node) if kind_place else "nothing"
        raise place.within("kind", (kind_place or place).node).problem(
            found, "the kind of a Kubernetes object, as Deployment"
        )
    items = place.child("items") if kind.endswith("List") else None
    if items is not None:
        yield from _listed(items, kind.removesuffix("List"))
        return
    name = _name(place)
    if version is None and not default:
        raise place.within("apiVersion", place.node).problem("nothing", "the API version, as apps/v1")
    group = (text_of(version.node) or "" if version else "").rpartition("/")[0]
    if version is None:
        group = next((group for group, known in POD_SPECS if known == kind), "")
    path = POD_SPECS.get((group, kind))
    if path is None:
        yield Other(kind, name, place.node.line, _why(place, group))
    else:
        yield Workload(kind, name, place, _pod_spec(place, path))


def _listed(items: Place, kind: str) -> Iterator[Workload | Other]:
    if is_null(items.node):
        return
    if not isinstance(items.node, Sequence):
        raise items.problem(described(items.node), "a list of Kubernetes objects")
    for number, item in enumerate(items.node.items):
        yield from _objects(items.within(f"[{number}]", item), kind)


def _name(place: Place) -> str:
    metadata = place.child("metadata")
    if metadata is None or not isinstance(metadata.node, Mapping):
        return ""
    for key in ("name", "generateName"):
        found = [text_of(value) for name, value in metadata.node.pairs if text_of(name) == key]
        if found and found[0]:
            return found[0]
    return ""


def _pod_spec(place: Place, path: tuple[str, ...]) -> Place:
    for key in path:
        child = place.child(key)
        if child is None:
            raise place.within(key, place.node).problem(
                "nothing", "the pod's specification, under " + ".".join(path)
            )
        place = child
        if isinstance(place.node, Alias):
            raise place.problem(
                described(place.node), "the pod itself", "a change here would change another place"
            )
        if not isinstance(place.node, Mapping):
            raise place.problem(described(place.node), "a mapping")
    return place


def _why(place: Place, group: str) -> str:
    if "." not in group or group.endswith(".k8s.io"):
        return "has no pods"
    node: Node | None = place.node
    for key in (*_TEMPLATE, "containers"):
        if not isinstance(node, Mapping):
            return "a custom resource"
        node = next((resolved(value) for name, value in node.pairs if text_of(name) == key), None)
    if node is None:
        return "a custom resource"
    return "a custom resource with a pod template: add the sidecar by hand"
