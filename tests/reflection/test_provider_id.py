"""`spec.providerID` in the forms of the cloud controller managers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbambassador.reflection import provider_id
from dbambassador.values import Confidence, Facts, State

SUBSCRIPTION = "8A3c1f7e-0000-4000-8000-0123456789ab"
NAMES = ("cloud.region", "cloud.availability_zone", "cloud.account.id")


def read(text: str, confidence: Confidence = Confidence.STRONG) -> Facts:
    return Facts.of(provider_id.read(text, confidence, "the API").facts)


@pytest.mark.parametrize(
    ("text", "scheme", "provider"),
    [
        ("aws:///eu-west-1a/i-0abc", "aws", "aws"),
        ("aws://i-0abc", "aws", "aws"),
        ("gce://project/europe-west1-b/node", "gce", "gcp"),
        ("azure:///subscriptions/0/resourceGroups/x", "azure", "azure"),
        ("hcloud://123", "hcloud", "hetzner"),
        ("hrobot://123", "hrobot", "hetzner"),
        ("digitalocean://3164444", "digitalocean", "digitalocean"),
        ("linode://1", "linode", "akamai_cloud"),
        ("kind://docker/kind/kind-control-plane", "kind", None),
        ("k3s://node", "k3s", None),
        ("vsphere://4230", "vsphere", None),
        ("openstack:///8a3c", "openstack", None),
        ("ocid1.instance.oc1.phx.abyhqljr", None, "oracle_cloud"),
        ("cn-hangzhou.i-bp1example", None, "alibaba_cloud"),
        ("ocid1.vnic.oc1", None, None),
        ("", None, None),
        ("://x", None, None),
    ],
)
def test_provider_and_scheme(text: str, scheme: str | None, provider: str | None) -> None:
    found = read(text)
    assert (found.get("dbambassador.node.provider_id_scheme").value or None) == scheme
    fact = found.get("cloud.provider")
    assert (fact.value or None) == provider
    assert fact.present or fact.unknown


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("aws:///eu-west-1a/i-0abc", (None, "eu-west-1a", None)),
        ("aws:///us-west-2-lax-1a/i-0abc", (None, "us-west-2-lax-1a", None)),
        ("aws://i-0abc", (None, None, None)),
        ("gce://shop-1/europe-west1-b/gke-node", (None, "europe-west1-b", "shop-1")),
        ("gce://example.com:shop/europe-west1-b/n", (None, "europe-west1-b", "example.com:shop")),
        (
            f"azure:///subscriptions/{SUBSCRIPTION}/resourceGroups/x/providers/y",
            (None, None, SUBSCRIPTION.lower()),
        ),
        ("openstack://RegionOne/8a3c", ("RegionOne", None, None)),
        ("openstack:///8a3c", (None, None, None)),
        ("cn-hangzhou.i-bp1example", ("cn-hangzhou", None, None)),
        ("hcloud://123", (None, None, None)),
    ],
)
def test_place_and_account(text: str, told: tuple[str | None, ...]) -> None:
    found = read(text)
    assert tuple(found.get(name).value or None for name in NAMES) == told
    # That it is not in there is no evidence of there being none.
    assert found.get("cloud.account.id").state is not State.ABSENT


def test_it_is_trusted_as_its_node_is() -> None:
    found = read("gce://shop-1/europe-west1-b/n", Confidence.HINT)
    assert {fact.confidence for fact in found if fact.present} == {Confidence.HINT}


@given(st.text())
def test_whatever_it_is(text: str) -> None:
    for fact in read(text):
        assert fact.present == bool(fact.value)
        assert fact.value.isprintable()
