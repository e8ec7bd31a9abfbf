"""Service account tokens in the form that Kubernetes gives them, signed by nobody."""

from __future__ import annotations

import base64
import json
from typing import Any

SECRET = "c2lnbmF0dXJlLXRoYXQtbXVzdC1zdGF5LXNlY3JldA"
"""The signature: whoever has it has the token."""

SUBJECT = "system:serviceaccount:shop:orders"


def segment(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def jwt(payload: object) -> str:
    header = {"alg": "RS256", "kid": "lF0RWkiJLNhcdKx5ZrQhzsVQ7b8UpZBMXbAUeS1A0aE"}
    return f"{segment(header)}.{segment(payload)}.{SECRET}"


def token(
    issuer: str = "https://kubernetes.default.svc.cluster.local",
    namespace: str = "shop",
    pod: str = "orders-0",
    node: str | None = "worker-3",
) -> str:
    """https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/, bound tokens."""
    bound: dict[str, Any] = {
        "namespace": namespace,
        "pod": {"name": pod, "uid": "5e0bd49b-f040-43b0-99b7-22765a53f7f3"},
        "serviceaccount": {"name": "orders", "uid": "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798"},
    }
    if node is not None:
        bound["node"] = {"name": node, "uid": "646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1"}
    return jwt(
        {
            "aud": ["https://kubernetes.default.svc"],
            "exp": 1763697600,
            "iat": 1763694000,
            "iss": issuer,
            "jti": "ea28ed49-2e11-4280-9ec5-bc3d1d84661a",
            "kubernetes.io": bound,
            "nbf": 1763694000,
            "sub": SUBJECT,
        }
    )
