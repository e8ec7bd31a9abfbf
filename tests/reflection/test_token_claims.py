"""Claims of the service account's token, and that nothing else of it is ever shown."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbambassador.reflection import issuers, token_claims
from dbambassador.reflection.findings import Findings
from dbambassador.reflection.reading import Reading
from dbambassador.values import Confidence, Fact, State
from tests.reflection.tokens import SECRET, SUBJECT, jwt, segment, token

HINT, STRONG = Confidence.HINT, Confidence.STRONG
PATH = "/var/run/secrets/kubernetes.io/serviceaccount/token"


def read(text: str | bytes, namespace: str | None = "shop") -> Findings:
    data = text if isinstance(text, bytes) else text.encode()
    beside = None if namespace is None else Fact("k8s.namespace.name", State.PRESENT, namespace)
    return token_claims.read(Reading(PATH, State.PRESENT, data), beside)


def told(findings: Findings) -> dict[str, tuple[str, Confidence]]:
    return {fact.name: (fact.value, fact.confidence) for fact in findings.facts if fact.present}


BOUND = {
    "k8s.namespace.name": ("shop", STRONG),
    "k8s.pod.name": ("orders-0", STRONG),
    "k8s.pod.uid": ("5e0bd49b-f040-43b0-99b7-22765a53f7f3", STRONG),
    "k8s.node.name": ("worker-3", STRONG),
    "k8s.node.uid": ("646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1", STRONG),
}


def test_a_bound_token_tells_whose_it_is() -> None:
    domain = {"dbambassador.k8s.cluster.domain": ("cluster.local", HINT)}
    assert told(read(token())) == BOUND | domain
    assert told(read(token() + "\n", namespace=None)) == BOUND | domain


def test_before_1_30_it_names_no_node() -> None:
    names = told(read(token(node=None))).keys()
    assert "k8s.pod.name" in names
    assert "k8s.node.name" not in names
    assert not any(fact.unknown for fact in read(token(node=None)).facts)


def test_a_token_of_another_namespace_is_believed_in_nothing() -> None:
    found = told(read(token(namespace="elsewhere")))
    # Two strong claims that disagree make the namespace unknown.
    assert found["k8s.namespace.name"] == ("elsewhere", STRONG)
    others = {name: confidence for name, (_, confidence) in found.items() if name != "k8s.namespace.name"}
    assert set(others.values()) == {HINT}
    assert {"k8s.pod.name", "k8s.node.name"} <= others.keys()


@pytest.mark.parametrize("issued", [0, 10**12, -1, "yesterday", None])
def test_the_clock_has_no_say(issued: object) -> None:
    payload = {"exp": issued, "nbf": issued, "kubernetes.io": {"namespace": "shop"}}
    assert told(read(jwt(payload))) == {"k8s.namespace.name": ("shop", STRONG)}


NO_TOKENS: list[str | bytes] = [
    "",
    "\n",
    "header.payload.signature.more",
    f"{segment({})}.{segment({'a': 1})}",
    "a b.c d.e f",
    f"{segment({})}.{segment([SECRET])}.{SECRET}",
    f"{segment({})}.{segment(SECRET)}.{SECRET}",
    f"{segment({})}.AAAAA.{SECRET}",
    f"{segment({})}.{base64.urlsafe_b64encode(b'{' * 9000).rstrip(b'=').decode()}.{SECRET}",
    f"{segment({})}.{base64.urlsafe_b64encode(b'[' * 9000).rstrip(b'=').decode()}.{SECRET}",
    f"{segment({})}.{base64.urlsafe_b64encode(b'1' * 9000).rstrip(b'=').decode()}.{SECRET}",
    f"{segment({})}.{base64.urlsafe_b64encode(SECRET.encode()).rstrip(b'=').decode()}.{SECRET}",
    bytes(range(256)) * 8,
    SECRET.encode() + b"\xff",
]


@pytest.mark.parametrize("data", NO_TOKENS)
def test_what_is_no_token_makes_its_facts_unknown_and_is_not_quoted(data: str | bytes) -> None:
    findings = read(data)
    assert {fact.name for fact in findings.facts} == set(token_claims.NAMES)
    for fact in findings.facts:
        assert fact.unknown
        assert fact.reason in (
            f"{PATH}: not a JSON Web Token",
            f"{PATH}: a token without claims that can be read",
        )


def test_an_error_carries_nothing_of_the_token() -> None:
    """A traceback would show the chained error, and that one the text that could not be read."""
    junk = base64.urlsafe_b64encode(SECRET.encode()).rstrip(b"=")
    with pytest.raises(token_claims.NoToken) as error:
        token_claims.claims(b"e30." + junk + b"." + SECRET.encode())
    assert error.value.__cause__ is None
    assert error.value.__context__ is None


def test_a_token_that_cannot_be_read_says_why() -> None:
    reading = Reading(PATH, State.UNKNOWN, reason=f"{PATH}: Permission denied")
    findings = token_claims.read(reading, None)
    assert {fact.reason for fact in findings.facts} == {f"{PATH}: Permission denied"}
    assert token_claims.read(Reading(PATH, State.ABSENT), None) == Findings()


@pytest.mark.parametrize(
    "wrong", [7, True, [], {}, "", "a b", "Shop", "sh\x00op", "x" * 300, "sh\nop", "../shop", "shöp"]
)
def test_a_claim_of_a_wrong_type_or_form_is_unknown(wrong: object) -> None:
    payload = {"kubernetes.io": {"namespace": wrong, "pod": {"name": wrong}, "node": wrong}}
    findings = read(jwt(payload), namespace=None)
    assert told(findings) == {}
    by_name = {fact.name: fact for fact in findings.facts}
    assert by_name["k8s.namespace.name"].reason == f"claims of {PATH}: namespace is not one"
    assert by_name["k8s.pod.name"].unknown


@pytest.mark.parametrize("bound", [None, 3, [], "shop", {"pod": "orders-0"}, {"pod": None}])
def test_a_token_that_is_bound_to_nothing_tells_nothing(bound: object) -> None:
    assert read(jwt({"kubernetes.io": bound, "iss": 7})) == Findings()


json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just(SECRET),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["kubernetes.io", "namespace", "pod", "node", "name", "uid", "iss"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["kubernetes.io", "iss", "aud"]), json_values))
def test_whatever_the_claims_are_facts_are_fit_to_be_shown(payload: object) -> None:
    for fact in read(jwt(payload)).facts:
        assert fact.name in {*token_claims.NAMES, issuers.CLUSTER_DOMAIN}
        assert fact.value.isprintable()
        assert fact.reason.isprintable()
        assert SECRET not in fact.reason
        assert fact.unknown == bool(fact.reason)


@given(st.binary(max_size=300))
def test_any_bytes_are_answered(data: bytes) -> None:
    assert all(fact.unknown for fact in read(data).facts)


def test_neither_signature_nor_subject_nor_audience_is_in_any_fact() -> None:
    text = repr(read(token()))
    for secret in (SECRET, SUBJECT, "ea28ed49", "RS256", token().split(".")[1]):
        assert secret not in text


# issuers


@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        (
            "https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE",
            {"cloud.provider": "aws", "cloud.platform": "aws_eks", "cloud.region": "eu-west-1"},
        ),
        (
            "https://oidc.eks.cn-north-1.amazonaws.com.cn/id/EXAMPLED539D4633E53DE1B71EXAMPLE",
            {"cloud.provider": "aws", "cloud.platform": "aws_eks", "cloud.region": "cn-north-1"},
        ),
        (
            "https://oidc.eks.us-gov-west-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE",
            {"cloud.provider": "aws", "cloud.platform": "aws_eks", "cloud.region": "us-gov-west-1"},
        ),
        (
            "https://container.googleapis.com/v1/projects/shop-prod/locations/europe-west1/clusters/main",
            {
                "cloud.provider": "gcp",
                "cloud.platform": "gcp_kubernetes_engine",
                "cloud.account.id": "shop-prod",
                "cloud.region": "europe-west1",
                "k8s.cluster.name": "main",
            },
        ),
        (
            "https://container.googleapis.com/v1/projects/p/locations/northamerica-northeast1-a/clusters/c-1",
            {
                "cloud.provider": "gcp",
                "cloud.platform": "gcp_kubernetes_engine",
                "cloud.account.id": "p",
                "cloud.region": "northamerica-northeast1",
                "k8s.cluster.name": "c-1",
            },
        ),
        (
            "https://westeurope.oic.prod-aks.azure.com/00000000-0000-0000-0000-000000000000"
            "/11111111-1111-1111-1111-111111111111/",
            {"cloud.provider": "azure", "cloud.platform": "azure.aks", "cloud.region": "westeurope"},
        ),
        (
            "https://kubernetes.default.svc.prod.example.com",
            {"dbambassador.k8s.cluster.domain": "prod.example.com"},
        ),
        ("https://kubernetes.default.svc", {}),
        ("https://oidc.eks.eu-west-1.amazonaws.com.example.com/id/A", {}),
        ("https://example.com/oidc.eks.eu-west-1.amazonaws.com/id/A", {}),
        ("http://oidc.eks.eu-west-1.amazonaws.com/id/A", {}),
        ("https://oidc.eks.eu-west-1.amazonaws.com/id/A\n", {}),
        ("", {}),
    ],
)
def test_issuers_are_hints(issuer: str, expected: dict[str, str]) -> None:
    findings = issuers.read(issuer, "issuer")
    assert told(findings) == {name: (value, HINT) for name, value in expected.items()}
    assert json.dumps([fact.reason for fact in findings.facts]).count("issuer") == 0
