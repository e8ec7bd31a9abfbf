"""Claims of the service account's token: JSON that is read and not verified. Pure.

A token that the kubelet projects is bound to its pod, and says whose it is
(https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/, bound tokens): namespace and
pod always, the node since Kubernetes 1.30. The kubelet puts it into our own file system exactly as it does
with the file `namespace`, so these claims are as good as that file: strong, unless the two disagree; then it
is no token of this pod, and its other claims are mere hints. The issuer's address is what an administrator
chose, and a hint.

Nothing of the token but these claims gets into a fact, and nothing at all into a reason.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping

from dbambassador.reflection import issuers
from dbambassador.reflection.findings import Findings, found, unknown
from dbambassador.reflection.reading import Reading
from dbambassador.values import Confidence, Fact, State

MAX_BYTES = 16 * 1024
"""Tokens of Kubernetes have about 1 KiB; what is longer is none of them."""

_BASE64URL = re.compile(rb"[A-Za-z0-9_-]+")

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)
"""RFC 1123, as Kubernetes names objects."""

_UID = re.compile(r"[A-Za-z0-9-]{1,128}", re.ASCII)
"""A UUID; pods of the node's own files have a hash."""

_CLAIMS: tuple[tuple[str, tuple[str, ...], re.Pattern[str]], ...] = (
    ("k8s.namespace.name", ("namespace",), _NAME),
    ("k8s.pod.name", ("pod", "name"), _NAME),
    ("k8s.pod.uid", ("pod", "uid"), _UID),
    ("k8s.node.name", ("node", "name"), _NAME),
    ("k8s.node.uid", ("node", "uid"), _UID),
)
"""Fact, where it stands below the claim `kubernetes.io`, and its form."""

NAMES = tuple(name for name, _, _ in _CLAIMS)


class NoToken(ValueError):
    """The file holds something else; the message says what, in words of ours alone."""


def read(reading: Reading, namespace: Fact | None) -> Findings:
    """What the token in a file tells.

    Args:
        namespace: what the file beside it says; None where there is none.
    """
    if reading.state is State.ABSENT:
        return Findings()
    try:
        if not reading.present:
            raise NoToken(reading.reason.removeprefix(f"{reading.path}: "))
        return _told(claims(reading.data), f"claims of {reading.path}", namespace)
    except NoToken as error:
        return Findings(
            tuple(unknown(name, f"{reading.path}: {error}", source=reading.path) for name in NAMES)
        )


def claims(data: bytes) -> Mapping[str, object]:
    """The claims of a JSON Web Token (RFC 7519) in its compact form. Raises `NoToken`."""
    parts = data.strip().split(b".")
    if len(parts) != 3 or not all(map(_BASE64URL.fullmatch, parts)):
        raise NoToken("not a JSON Web Token")
    payload = parts[1]
    try:
        document = json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        # None of these errors may be shown or chained: they quote what they could not read.
        document = None
    if not isinstance(document, dict):
        raise NoToken("a token without claims that can be read")
    return document


def _told(document: Mapping[str, object], source: str, namespace: Fact | None) -> Findings:
    bound = document.get("kubernetes.io")
    told: list[Fact] = []
    if isinstance(bound, dict):
        ours = namespace is None or not namespace.present or namespace.value == bound.get("namespace")
        for name, path, form in _CLAIMS:
            # The namespace stays strong: where it is not the file's, neither of the two may be believed.
            strong = ours or name == "k8s.namespace.name"
            value = _at(bound, path)
            if value is None:
                continue
            if isinstance(value, str) and form.fullmatch(value):
                told.append(found(name, value, Confidence.STRONG if strong else Confidence.HINT, source))
            else:
                told.append(unknown(name, f"{source}: {'.'.join(path)} is not one", source=source))
    issuer = document.get("iss")
    tells = issuers.read(issuer, f"issuer in the {source}") if isinstance(issuer, str) else Findings()
    return Findings.joined((Findings(tuple(told)), tells))


def _at(claims: Mapping[str, object], path: tuple[str, ...]) -> object:
    """None where the token does not speak of it."""
    value: object = claims
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value
