"""The downward API: what a pod's author had Kubernetes put into variables and into a volume.

https://kubernetes.io/docs/concepts/workloads/pods/downward-api/. A variable's name is the author's choice;
known here are OpenTelemetry's `K8S_…`, the `POD_…` of common use and the `MY_…` of the Kubernetes tutorials.
"""

from __future__ import annotations

from collections.abc import Mapping

from dbambassador.reflection import go_quoting
from dbambassador.reflection.findings import Findings, absent, found, name_fault, unknown
from dbambassador.reflection.reading import Files, Reading
from dbambassador.values import Confidence, Fact, State

VOLUME = "/etc/podinfo"

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
    """The volume, if one is mounted."""
    if files.look(VOLUME).state is State.ABSENT:
        return Findings()
    claims = [one_value(name, files.read(f"{VOLUME}/{file}"), confidence) for name, file in FILES.items()]
    single = Findings(tuple(claim for claim in claims if claim is not None and not _says_nothing(claim)))
    return Findings.joined(
        (
            single,
            _family(LABELS, files, f"{VOLUME}/labels", confidence),
            _family(ANNOTATIONS, files, f"{VOLUME}/annotations", confidence),
        )
    )


def one_value(name: str, reading: Reading, confidence: Confidence) -> Fact | None:
    """A file with one raw value. An empty one is absent: so the kubelet writes a key that the pod has not."""
    if reading.state is State.ABSENT:
        return None
    if not reading.present:
        return unknown(name, reading.reason, source=reading.path)
    value = reading.data.decode("utf-8", "surrogateescape").removesuffix("\n")
    return found(name, value, confidence, reading.path) if value else absent(name, reading.path)


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
        facts.append(found(name, value, confidence, source) if value else absent(name, source))
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
