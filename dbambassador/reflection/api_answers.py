"""The child's answer about the Kubernetes API becomes facts; each failure, the reason why. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus

from dbambassador.reflection import cloud
from dbambassador.reflection.api_questions import NODE_FACTS, Object, Question
from dbambassador.reflection.downward import looked
from dbambassador.reflection.findings import Findings, fault, unknown
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
    labels = _text_map(outcome.get("labels"))
    if outcome.get("outcome") == "ok" and labels is not None:
        parts = [looked(kind.family, labels, confidence, source)]
        if kind is Object.NODE:
            provider_id = outcome.get("provider_id")
            parts.append(
                cloud.provider(provider_id if isinstance(provider_id, str) else "", confidence, source)
            )
            parts.append(_topology(labels, confidence, source))
        return Findings.joined(parts)
    reason, retryable = _failure(kind, name, outcome)
    return _unknown(kind, f"{source}: {reason}", retryable)


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
            return f"{shown}: no such {kind.value}; {kind.named_by} may be wrong", False
    retryable = status == HTTPStatus.TOO_MANY_REQUESTS or 500 <= status <= 599
    return _with(shown, message), retryable


def permission(kind: Object, name: str, message: str) -> str:
    """The commands that permit the request, exactly: a ClusterRole for nodes, else a Role in the namespace.

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
    role = "dbambassador-namespace-reader"
    return (
        f"kubectl -n {name} create role {role} --verb=get --resource=namespaces --resource-name={name} && "
        f"kubectl -n {name} create rolebinding {role} --role={role} --serviceaccount={bound_to}"
    )


def _unknown(kind: Object, reason: str, retryable: bool) -> Findings:
    names = sorted(NODE_FACTS) if kind is Object.NODE else []
    return Findings(
        tuple(unknown(name, reason, retryable=retryable) for name in names),
        (unknown(kind.family, reason, retryable=retryable),),
    )


def _with(reason: str, detail: str) -> str:
    return f"{reason} ({detail})" if detail else reason


def _text_map(value: object) -> dict[str, str] | None:
    if not isinstance(value, dict):
        return None
    texts = {key: text for key, text in value.items() if isinstance(key, str) and isinstance(text, str)}
    return texts if len(texts) == len(value) else None
