"""The service account's files in a pod: its namespace, its token's claims, fingerprints of the cluster's CA.

The volume holds `token`, `ca.crt` (from the ConfigMap kube-root-ca.crt) and `namespace`:
https://kubernetes.io/docs/concepts/storage/projected-volumes/. A pod without it may mount that ConfigMap,
which every namespace has, beside its downward volume's files.
"""

from __future__ import annotations

from collections.abc import Sequence

from dbambassador.reflection import downward, token_claims
from dbambassador.reflection.certificates import NoCertificate, fingerprints
from dbambassador.reflection.findings import Findings, found, found_several, unknown
from dbambassador.reflection.reading import Files, Reading
from dbambassador.values import Confidence, Fact, State

DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN = f"{DIRECTORY}/token"
NAMESPACE = "k8s.namespace.name"
CA_FINGERPRINT = "dbambassador.k8s.ca.sha256"

MAX_CA_BYTES = 256 * 1024
"""Some clusters publish a bundle of a hundred certificates."""


def read(files: Files, trust: Confidence) -> Findings:
    """All of it. `trust`: how far files of a downward volume are trusted."""
    here = namespace(files.read(f"{DIRECTORY}/namespace"))
    authorities = [
        ca_fingerprints(files.read(f"{DIRECTORY}/ca.crt", MAX_CA_BYTES)),
        *(
            ca_fingerprints(files.read(f"{volume}/ca.crt", MAX_CA_BYTES), trust)
            for volume in downward.VOLUMES
        ),
    ]
    token = token_claims.read(files.read(TOKEN, token_claims.MAX_BYTES), here)
    claims = [*([here] if here else []), *one_cluster([claim for claim in authorities if claim is not None])]
    return Findings.joined((Findings(tuple(claims)), token))


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


def ca_fingerprints(reading: Reading, confidence: Confidence = Confidence.STRONG) -> Fact | None:
    """Every authority in the file: while a cluster's CA is rotated, the old and the new one are."""
    if reading.state is State.ABSENT:
        return None
    if not reading.present:
        return unknown(CA_FINGERPRINT, reading.reason, source=reading.path)
    try:
        found_there = fingerprints(reading.data)
    except NoCertificate as error:
        return unknown(CA_FINGERPRINT, f"{reading.path}: {error}", source=reading.path)
    return found_several(CA_FINGERPRINT, found_there, confidence, reading.path)


def one_cluster(claims: Sequence[Fact]) -> list[Fact]:
    """Several files with an authority in common are of one cluster, and one of them is older: their union.

    The kubelet updates each mount in its own time, and one by subPath never. Files without anything in common
    stay as they are: two claims that disagree.
    """
    present = [claim for claim in claims if claim.present]
    if len(present) < 2 or not set[str].intersection(*(set(claim.values) for claim in present)):
        return list(claims)
    values = [value for claim in present for value in claim.values]
    source = ", ".join(claim.source for claim in present)
    return [found_several(CA_FINGERPRINT, values, min(claim.confidence for claim in present), source)]
