"""Each source's parser, on golden input."""

from __future__ import annotations

import base64
import hashlib
import ssl
import time
from pathlib import Path

import pytest
import trustme

from dbambassador.reflection import downward, hosts, otel, resolv_conf, service_account
from dbambassador.reflection.certificates import NoCertificate, fingerprints
from dbambassador.reflection.findings import Findings
from dbambassador.reflection.reading import MAX_BYTES, Files, Reading
from dbambassador.values import Confidence, Fact, Facts, State
from tests.reflection.places import AUTHORITY, Place

PEM = AUTHORITY.cert_pem.bytes()


def value(findings: Findings, name: str) -> str:
    (fact,) = [fact for fact in findings.facts if fact.name == name]
    assert fact.present
    return fact.value


def present(data: bytes) -> Reading:
    return Reading("/file", State.PRESENT, data)


# certificates


def test_the_fingerprint_is_that_of_the_der() -> None:
    expected = hashlib.sha256(ssl.PEM_cert_to_DER_cert(PEM.decode())).hexdigest()
    assert fingerprints(PEM) == (expected,)
    assert fingerprints(b"# the cluster's CA\r\n" + PEM.replace(b"\n", b"\r\n")) == (expected,)
    assert fingerprints(PEM + PEM) == (expected,)


def test_several_certificates_in_order() -> None:
    other = trustme.CA().cert_pem.bytes()
    assert fingerprints(PEM + other) == fingerprints(PEM) + fingerprints(other)


def block(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(der) + b"\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\xff" * 50,
        PEM[:-40],
        PEM.replace(b"CERTIFICATE", b"PRIVATE KEY"),
        b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
        block(b"hello"),
        block(b"\x30"),
        block(b"\x30\x85\x00\x00\x00\x00\x00"),
        block(b"\x30\x03\x00\x00"),
        block(b"\x30\x80\x00\x00"),
        PEM + block(b"hello"),
        PEM + PEM[:-40],
    ],
)
def test_what_is_no_certificate_has_no_fingerprint(data: bytes) -> None:
    with pytest.raises(NoCertificate):
        fingerprints(data)


def test_many_blocks_without_an_end_take_no_time() -> None:
    started = time.monotonic()
    with pytest.raises(NoCertificate):
        fingerprints(b"-----BEGIN CERTIFICATE-----\n" * (service_account.MAX_CA_BYTES // 28))
    assert time.monotonic() - started < 1


# service account


def test_namespace_file() -> None:
    fact = service_account.namespace(present(b"shop\n"))
    assert fact == Fact("k8s.namespace.name", State.PRESENT, "shop", Confidence.STRONG, "/file")
    assert service_account.namespace(Reading("/file", State.ABSENT)) is None


@pytest.mark.parametrize("data", [b"", b"\n", b"sh\x00op", b"sh\x1b[31mop", b"\xff\xfe", b"x" * 2000])
def test_a_namespace_that_cannot_be_one_is_unknown(data: bytes) -> None:
    fact = service_account.namespace(present(data))
    assert fact is not None
    assert fact.unknown
    assert fact.reason.isprintable()
    assert fact.reason.startswith("/file: ")


def test_a_bundle_of_several_authorities_is_a_set() -> None:
    other = trustme.CA().cert_pem.bytes()
    fact = service_account.ca_fingerprints(present(PEM + other))
    assert fact is not None
    assert set(fact.values) == {*fingerprints(PEM), *fingerprints(other)}
    assert fact == service_account.ca_fingerprints(present(other + PEM + other))


def test_the_authority_is_the_fingerprint() -> None:
    fact = service_account.ca_fingerprints(present(PEM))
    assert fact is not None
    assert (fact.value, fact.confidence) == (fingerprints(PEM)[0], Confidence.STRONG)
    assert fact.values == fingerprints(PEM)


# downward API


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("POD_NAMESPACE", "k8s.namespace.name"),
        ("K8S_NAMESPACE_NAME", "k8s.namespace.name"),
        ("MY_POD_NAMESPACE", "k8s.namespace.name"),
        ("POD_NAME", "k8s.pod.name"),
        ("MY_POD_NAME", "k8s.pod.name"),
        ("POD_UID", "k8s.pod.uid"),
        ("POD_IP", "k8s.pod.ip"),
        ("NODE_NAME", "k8s.node.name"),
        ("MY_NODE_NAME", "k8s.node.name"),
    ],
)
def test_downward_variables(variable: str, name: str) -> None:
    findings = downward.from_environ({variable: "x", "PATH": "/bin"}, Confidence.STRONG)
    assert findings.facts == (Fact(name, State.PRESENT, "x", Confidence.STRONG, variable),)


def test_an_empty_downward_variable_says_nothing() -> None:
    assert downward.from_environ({"POD_NAMESPACE": ""}, Confidence.STRONG) == Findings()


def test_a_variable_with_control_characters_is_unknown() -> None:
    (fact,) = downward.from_environ({"POD_NAME": "a\nb"}, Confidence.STRONG).facts
    assert fact.unknown
    assert fact.reason == "POD_NAME: a value with control or other unprintable characters"


def test_a_labels_file_tells_all_labels() -> None:
    reading = present(b'bad="a\\nb"\nempty=""\nteam="payments"')
    facts = downward.whole_map("k8s.pod.label.", reading, Confidence.STRONG)
    states = {fact.name.removeprefix("k8s.pod.label."): fact.state for fact in facts.facts}
    assert states == {"bad": State.UNKNOWN, "empty": State.ABSENT, "team": State.PRESENT}
    (family,) = facts.families
    assert (family.name, family.state, family.source) == ("k8s.pod.label.", State.ABSENT, "/file")


def test_a_malformed_labels_file_tells_none() -> None:
    findings = downward.whole_map("k8s.pod.label.", present(b'team="payments"\njunk'), Confidence.STRONG)
    assert findings.facts == ()
    (family,) = findings.families
    assert family.unknown
    assert "line 2" in family.reason


def test_a_volume_with_one_file_for_each_key(tmp_path: Path) -> None:
    place = Place(
        files={
            "etc/podinfo/labels/team": "payments",
            "etc/podinfo/labels/app.kubernetes.io/name": "orders\n",
            "etc/podinfo/labels/none": "",
            "etc/podinfo/name": "orders-0",
            "etc/podinfo/namespace": "",
        }
    )
    findings = downward.from_volume(Files(place.build(tmp_path)), Confidence.STRONG)
    facts = Facts.of(findings.facts, findings.families)
    assert facts.get("k8s.pod.label.team").value == "payments"
    assert facts.get("k8s.pod.label.app.kubernetes.io/name").value == "orders"
    assert facts.get("k8s.pod.label.none").state is State.ABSENT
    assert facts.get("k8s.pod.label.other").unknown
    assert facts.get("k8s.pod.name").value == "orders-0"
    assert "k8s.namespace.name" not in facts.exact


# resolv.conf


def test_the_search_list_of_a_pod() -> None:
    parsed = resolv_conf.parse(
        b"nameserver 10.96.0.10\n# search other.svc.x svc.x\n"
        b"search shop.svc.cluster.local svc.cluster.local cluster.local example.com\noptions ndots:5\n"
    )
    assert parsed.service_zone == ("shop", "cluster.local")
    assert parsed.nameservers == ("10.96.0.10",)


@pytest.mark.parametrize(
    "line",
    [
        b"search example.com",
        b"search shop.svc.cluster.local cluster.local",
        b"search a.b.svc.cluster.local svc.cluster.local",
        b"search shop.svc.cluster.local svc.cluster.local\nsearch example.com",
        b"domain shop.svc.cluster.local",
        b"search",
        b"\xff\xfe\x00",
        b"",
    ],
)
def test_other_search_lists_tell_no_namespace(line: bytes) -> None:
    assert resolv_conf.parse(line).service_zone is None


def test_a_search_list_of_thousands_of_namespaces_is_read_at_once() -> None:
    names = [f"{number:x}.svc.b" for number in range(MAX_BYTES // 11)]
    started = time.process_time()
    assert resolv_conf.parse(f"search {' '.join(names)}".encode()).service_zone is None
    assert time.process_time() - started < 0.5


# OTEL_RESOURCE_ATTRIBUTES


def test_resource_attributes_are_hints() -> None:
    findings = otel.hints("service.name=orders, deployment.environment.name=pro%64uction ,empty=,")
    assert [(fact.name, fact.value, fact.confidence) for fact in findings.facts] == [
        ("service.name", "orders", Confidence.HINT),
        ("deployment.environment.name", "production", Confidence.HINT),
    ]


@pytest.mark.parametrize("text", ["a=1,junk", "a=1,=2", "a b=1", "a=1" * 40_000, "%00=1"])
def test_malformed_resource_attributes_are_discarded_whole(text: str) -> None:
    assert otel.hints(text) == Findings()


# the machine


def test_architectures_are_named_as_opentelemetry_does() -> None:
    assert value(hosts.machine("Linux", "x86_64"), "host.arch") == "amd64"
    assert value(hosts.machine("Linux", "aarch64"), "host.arch") == "arm64"
    assert value(hosts.machine("Linux", "riscv64"), "host.arch") == "riscv64"
    assert value(hosts.machine("Linux", ""), "os.type") == "linux"


def test_the_host_name_is_a_hint() -> None:
    (fact,) = hosts.name(present(b"box\n"), "other").facts
    assert (fact.value, fact.confidence) == ("box", Confidence.HINT)
    assert value(hosts.name(Reading("/f", State.ABSENT), "other"), "host.name") == "other"
    assert hosts.name(Reading("/f", State.ABSENT), "") == Findings()
