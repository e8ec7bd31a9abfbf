"""The downward API: what a pod's author had Kubernetes put into variables and into a volume.

https://kubernetes.io/docs/concepts/workloads/pods/downward-api/. A variable's name is the author's choice;
known here are OpenTelemetry's `K8S_…`, the `POD_…` of common use and the `MY_…` of the Kubernetes tutorials.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from dbambassador.reflection import go_quoting
from dbambassador.reflection.findings import Findings, absent, found, name_fault, unknown
from dbambassador.reflection.reading import Files, Reading
from dbambassador.values import Confidence, Fact, State

VOLUME = "/etc/podinfo"
VOLUMES = (VOLUME, "/podinfo")
"""Where one is looked for: the place of Kubernetes' documentation, and the other one in common use."""

VARIABLES: Mapping[str, tuple[str, ...]] = {
    "k8s.namespace.name": ("K8S_NAMESPACE_NAME", "POD_NAMESPACE", "MY_POD_NAMESPACE"),
    "k8s.pod.name": ("K8S_POD_NAME", "POD_NAME", "MY_POD_NAME"),
    "k8s.pod.uid": ("K8S_POD_UID", "POD_UID", "MY_POD_UID"),
    "k8s.pod.ip": ("K8S_POD_IP", "POD_IP", "MY_POD_IP"),
    "k8s.node.name": ("K8S_NODE_NAME", "NODE_NAME", "MY_NODE_NAME"),
}

FILES: Mapping[str, str] = {
    "k8s.namespace.name": "namespace",
    "k8s.pod.name": "name",
    "k8s.pod.uid": "uid",
}

LABELS = "k8s.pod.label."
ANNOTATIONS = "k8s.pod.annotation."


def from_environ(environ: Mapping[str, str], confidence: Confidence) -> Findings:
    """An empty variable says nothing: Kubernetes sets one for a field that is not there."""
    return Findings(
        tuple(
            found(name, value, confidence, variable)
            for name, variables in VARIABLES.items()
            for variable in variables
            if (value := environ.get(variable, ""))
        )
    )


def from_volume(files: Files, confidence: Confidence) -> Findings:
    """The volumes that are mounted, nearly always one. Where two of them disagree, both claims are given."""
    volumes = [_volume(files, volume, confidence) for volume in VOLUMES]
    return Findings.joined((*volumes, _missed(volumes)))


def _volume(files: Files, volume: str, confidence: Confidence) -> Findings:
    if files.look(volume).state is State.ABSENT:
        return Findings()
    claims = [one_value(name, files.read(f"{volume}/{file}"), confidence) for name, file in FILES.items()]
    single = Findings(tuple(claim for claim in claims if claim is not None and not _says_nothing(claim)))
    return Findings.joined(
        (
            single,
            _family(LABELS, files, f"{volume}/labels", confidence),
            _family(ANNOTATIONS, files, f"{volume}/annotations", confidence),
        )
    )


def _missed(volumes: Iterable[Findings]) -> Findings:
    """What one volume gives and another, which lists all there is, does not: it says that there is none."""
    volumes = tuple(volumes)
    missed: list[Fact] = []
    for one in volumes:
        names = {fact.name for fact in one.facts}
        others = [fact for other in volumes if other is not one for fact in other.facts if fact.present]
        for family in one.families:
            if family.state is State.ABSENT:
                missed += [
                    replace(family, name=fact.name)
                    for fact in others
                    if fact.name.startswith(family.name) and fact.name not in names
                ]
    return Findings(tuple(missed))


def one_value(name: str, reading: Reading, confidence: Confidence) -> Fact | None:
    """A file with one raw value. An empty one is absent: so the kubelet writes a key that the pod has not."""
    if reading.state is State.ABSENT:
        return None
    if not reading.present:
        return unknown(name, reading.reason, source=reading.path)
    value = reading.data.decode("utf-8", "surrogateescape").removesuffix("\n")
    return found(name, value, confidence, reading.path) if value else absent(name, reading.path, confidence)


def whole_map(prefix: str, reading: Reading, confidence: Confidence) -> Findings:
    """A file with all labels or all annotations: what it does not name is absent."""
    if reading.state is State.ABSENT:
        return Findings()
    if not reading.present:
        return Findings(families=(unknown(prefix, reading.reason, source=reading.path),))
    try:
        values = go_quoting.parse_map(reading.data)
    except go_quoting.Malformed as error:
        return Findings(families=(unknown(prefix, f"{reading.path}: {error}", source=reading.path),))
    return looked(prefix, values, confidence, reading.path)


def looked(prefix: str, values: Mapping[str, str], confidence: Confidence, source: str) -> Findings:
    """All there is of a family; a label without a value is absent, as facts have no empty values."""
    facts = []
    for key, value in values.items():
        name = prefix + key
        if name_fault(name):
            continue
        facts.append(found(name, value, confidence, source) if value else absent(name, source, confidence))
    return Findings(tuple(facts), (Fact(prefix, State.ABSENT, "", confidence, source),))


def _family(prefix: str, files: Files, path: str, confidence: Confidence) -> Findings:
    reading = files.read(path)
    if not reading.directory:
        return whole_map(prefix, reading, confidence)
    claims = []
    for key in files.names(path):
        claim = one_value(prefix + key, files.read(f"{path}/{key}"), confidence)
        if claim is not None and not name_fault(claim.name):
            claims.append(claim)
    reason = f"{path} holds one file for each of some keys, and this is none of them"
    return Findings(tuple(claims), (unknown(prefix, reason, source=path),))


def _says_nothing(claim: Fact) -> bool:
    """Every pod has a name, a namespace and a uid: an empty file is no evidence that this one has none."""
    return claim.state is State.ABSENT
