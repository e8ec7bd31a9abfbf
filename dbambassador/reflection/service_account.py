"""The service account's files in a pod: its namespace, and the fingerprint of the cluster's CA.

The volume holds `token`, `ca.crt` (from the ConfigMap kube-root-ca.crt) and `namespace`:
https://kubernetes.io/docs/concepts/storage/projected-volumes/. The token is not read here.
"""

from __future__ import annotations

from dbambassador.reflection.certificates import NoCertificate, fingerprints
from dbambassador.reflection.findings import Findings, found, unknown
from dbambassador.reflection.reading import Files, Reading
from dbambassador.values import Confidence, Fact, State

DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount"
NAMESPACE = "k8s.namespace.name"
CA_FINGERPRINT = "dbambassador.k8s.ca.sha256"

MAX_CA_BYTES = 256 * 1024
"""Some clusters publish a bundle of a hundred certificates."""


def read(files: Files) -> Findings:
    claims = (
        namespace(files.read(f"{DIRECTORY}/namespace")),
        ca_fingerprint(files.read(f"{DIRECTORY}/ca.crt", MAX_CA_BYTES)),
    )
    return Findings(tuple(claim for claim in claims if claim is not None))


def namespace(reading: Reading) -> Fact | None:
    """None: the file is not there, which says nothing of the namespace."""
    if reading.state is State.ABSENT:
        return None
    if not reading.present:
        return unknown(NAMESPACE, reading.reason, source=reading.path)
    value = reading.data.decode("utf-8", "surrogateescape").strip()
    if not value:
        return unknown(NAMESPACE, f"{reading.path}: empty", source=reading.path)
    return found(NAMESPACE, value, Confidence.STRONG, reading.path)


def ca_fingerprint(reading: Reading) -> Fact | None:
    """One certificate tells the cluster; of several it cannot be said which one does, so none is taken.

    The first of several may be a company's CA that all its clusters share.
    """
    if reading.state is State.ABSENT:
        return None
    if not reading.present:
        return unknown(CA_FINGERPRINT, reading.reason, source=reading.path)
    try:
        found_there = fingerprints(reading.data)
    except NoCertificate as error:
        return unknown(CA_FINGERPRINT, f"{reading.path}: {error}", source=reading.path)
    if len(found_there) > 1:
        few = ", ".join(found_there[:3]) + (", …" if len(found_there) > 3 else "")
        count = f"{len(found_there)} certificates"
        reason = f"{reading.path}: {count} ({few}), none of which alone tells the cluster"
        return unknown(CA_FINGERPRINT, reason, source=reading.path)
    return found(CA_FINGERPRINT, found_there[0], Confidence.STRONG, reading.path)
