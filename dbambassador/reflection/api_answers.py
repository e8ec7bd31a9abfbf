"""The child's answer about the Kubernetes API becomes facts; each failure, the reason why. Pure."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from http import HTTPStatus

from dbambassador.reflection import cloud, distributions, provider_id
from dbambassador.reflection.api_questions import CLUSTER_UID, FACTS, Object, Question
from dbambassador.reflection.downward import looked
from dbambassador.reflection.findings import Findings, fault, found, unknown
from dbambassador.values import Confidence, Fact, Facts

_ACCOUNT = re.compile(r'"system:serviceaccount:([a-z0-9.-]{1,253}):([a-z0-9.-]{1,253})"')

NO_ANSWER = "the process that asks the Kubernetes API gave no answer that makes sense"

_UNANSWERED = {
    "timeout": "no answer in time",
    "refused": "no connection",
    "cut-off": "the answer was cut off",
}
"""Outcomes that another attempt may change."""

_REFUSED = {
    "tls": "the server's certificate was not accepted",
    "garbage": "the answer is not one of a Kubernetes API",
    "too-large": "the answer is too large",
    "no-token": "no usable service account token",
    "no-ca": "no usable CA certificate of the cluster",
    "no-client": "the Kubernetes client cannot be loaded",
}


def learned(answer: bytes, question: Question) -> Findings:
    """Findings about every object of the question, whatever the answer is."""
    try:
        document = json.loads(answer)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return nothing_learned(question, NO_ANSWER, retryable=False)
    return Findings.joined(
        _told(kind, name, confidence, document.get(kind.value)) for kind, name, confidence in question.objects
    )


def nothing_learned(question: Question, reason: str, *, retryable: bool) -> Findings:
    return Findings.joined(_unknown(kind, reason, retryable) for kind, _, _ in question.objects)


def _told(kind: Object, name: str, confidence: Confidence, outcome: object) -> Findings:
    source = f"Kubernetes API, GET {kind.path(name)}"
    if not isinstance(outcome, dict):
        return _unknown(kind, NO_ANSWER, False)
    if outcome.get("outcome") == "ok" and (told := _content(kind, outcome, confidence, source)) is not None:
        return told
    reason, retryable = _failure(kind, name, outcome)
    return _unknown(kind, f"{source}: {reason}", retryable)


def _content(
    kind: Object, outcome: Mapping[str, object], confidence: Confidence, source: str
) -> Findings | None:
    """None: it lacks what such an object has."""
    if kind is Object.VERSION:
        version = _text(outcome, "version")
        return distributions.from_version(version, source) if version else None
    if kind is Object.CLUSTER:
        uid = _text(outcome, "uid")
        return Findings((found(CLUSTER_UID, uid, confidence, f"{source}, metadata.uid"),)) if uid else None
    labels = _text_map(outcome.get("labels"))
    if labels is None:
        return None
    listed = looked(kind.mark, labels, confidence, source)
    if kind is Object.NAMESPACE:
        return listed
    provider = provider_id.read(_text(outcome, "provider_id"), confidence, source)
    scheme = Facts.of(provider.facts).get(cloud.PROVIDER_SCHEME).value
    image = _text(outcome, "os_image")
    distribution = distributions.from_node(labels, scheme, image, confidence, source)
    return Findings.joined((listed, provider, _topology(labels, confidence, source), distribution))


def _topology(labels: Mapping[str, str], confidence: Confidence, source: str) -> Findings:
    """Region and zone; a node without the label may be in a region all the same."""
    claims: list[Fact] = []
    for name, label in cloud.TOPOLOGY.items():
        if not labels.get(label.removeprefix(cloud.NODE_LABELS)):
            claims.append(unknown(name, f"{source}: no label {label.removeprefix(cloud.NODE_LABELS)}"))
    node = looked(cloud.NODE_LABELS, labels, confidence, source)
    return Findings.joined((Findings(tuple(claims)), cloud.topology(Facts.of(node.facts, node.families))))


def _failure(kind: Object, name: str, outcome: Mapping[str, object]) -> tuple[str, bool]:
    what, detail = outcome.get("outcome"), outcome.get("detail")
    shown = detail if isinstance(detail, str) and detail and not fault(detail) else ""
    if what == "status" and isinstance(status := outcome.get("status"), int):
        return _status(kind, name, status, shown)
    if isinstance(what, str) and what in _UNANSWERED:
        return _with(_UNANSWERED[what], shown), True
    if isinstance(what, str) and what in _REFUSED:
        return _with(_REFUSED[what], shown), False
    return NO_ANSWER, False


def _status(kind: Object, name: str, status: int, message: str) -> tuple[str, bool]:
    try:
        shown = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        shown = str(status)
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return (
                f"{shown}: the service account's token is expired, or for another audience",
                False,
            )
        case HTTPStatus.FORBIDDEN:
            return f"{shown}; to allow it: {permission(kind, name, message)}", False
        case HTTPStatus.NOT_FOUND:
            wrong = f"no such {kind.value}; {kind.named_by} may be wrong" if kind.named_by else "not there"
            return f"{shown}: {wrong}", False
    retryable = status == HTTPStatus.TOO_MANY_REQUESTS or 500 <= status <= 599
    return _with(shown, message), retryable


def permission(kind: Object, name: str, message: str) -> str:
    """The commands that permit the request, exactly: a ClusterRole for nodes, a Role in a namespace for that
    namespace, and for the version the role that clusters have for it.

    Nodes have no namespace, so a ClusterRole is needed; a Role in a namespace reaches that namespace itself:
    https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-resources
    """
    account = _ACCOUNT.search(message)
    bound_to = f"{account[1]}:{account[2]}" if account else "<namespace>:<service account>"
    if kind is Object.NODE:
        role = "dbambassador-node-reader"
        return (
            f"kubectl create clusterrole {role} --verb=get --resource=nodes && "
            f"kubectl create clusterrolebinding {role}-{bound_to.replace(':', '-')} "
            f"--clusterrole={role} --serviceaccount={bound_to}"
        )
    if kind is Object.VERSION:
        return (
            f"kubectl create clusterrolebinding dbambassador-version-reader-{bound_to.replace(':', '-')} "
            f"--clusterrole=system:public-info-viewer --serviceaccount={bound_to}"
        )
    role, name = "dbambassador-namespace-reader", shlex.quote(name)  # a variable of the pod may have told it
    return (
        f"kubectl -n {name} create role {role} --verb=get --resource=namespaces --resource-name={name} && "
        f"kubectl -n {name} create rolebinding {role} --role={role} --serviceaccount={bound_to}"
    )


def _unknown(kind: Object, reason: str, retryable: bool) -> Findings:
    names = tuple(unknown(name, reason, retryable=retryable) for name in sorted(FACTS[kind]))
    labelled = kind in (Object.NODE, Object.NAMESPACE)
    return Findings(names, (unknown(kind.mark, reason, retryable=retryable),) if labelled else ())


def _with(reason: str, detail: str) -> str:
    return f"{reason} ({detail})" if detail else reason


def _text(outcome: Mapping[str, object], key: str) -> str:
    value = outcome.get(key)
    return value if isinstance(value, str) else ""


def _text_map(value: object) -> dict[str, str] | None:
    if not isinstance(value, dict):
        return None
    texts = {key: text for key, text in value.items() if isinstance(key, str) and isinstance(text, str)}
    return texts if len(texts) == len(value) else None
