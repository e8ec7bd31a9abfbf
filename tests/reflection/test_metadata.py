"""Metadata services over real HTTP; the answers are those of the documentation that each adapter names."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping

import pytest
import trio

from dbambassador.reflection import ask_metadata
from dbambassador.reflection.ask_metadata import MetadataServices
from dbambassador.reflection.metadata_services import ECS_VARIABLE, Service, suggested
from dbambassador.values import Confidence, Fact, Facts, State
from tests.reflection import metadata_stub as stubs
from tests.reflection.metadata_stub import Answer, always, documented, metadata, plain

ECS_ENVIRON = {ECS_VARIABLE: "http://169.254.170.2/v4/abc-123"}
EVERY = (*stubs.NAMES,)
WRONG = "X-Of: another\r\n"
DEADLINE = ask_metadata.REQUEST_SECONDS


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is answered is waited for, also where the machine has other things to do for a moment."""
    monkeypatch.setattr(ask_metadata, "REQUEST_SECONDS", 30.0)


@pytest.fixture
def in_earnest(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the deadline that it has."""
    monkeypatch.setattr(ask_metadata, "REQUEST_SECONDS", DEADLINE)


def hinting(provider: str, platform: str = "") -> Facts:
    facts = [Fact("cloud.provider", State.PRESENT, provider, Confidence.HINT, "DMI")]
    if platform:
        facts.append(Fact("cloud.platform", State.PRESENT, platform))
    return Facts.of(facts)


def service(provider: str) -> Service:
    found = suggested(Facts(), ECS_ENVIRON) if provider == "ecs" else suggested(hinting(provider), {})
    assert found is not None
    assert found.name == stubs.NAMES[provider]
    return found


async def told(provider: str, answer: Answer) -> tuple[Facts, list[str]]:
    """The facts, and the heads of the requests."""
    async with metadata(answer) as stub:
        findings = await stub.services.ask(service(provider))
    return Facts.of(findings.facts), stub.requests


async def reason(provider: str, answer: Answer) -> tuple[str, bool]:
    """Why the facts are unknown, and whether another attempt may tell."""
    facts, _ = await told(provider, answer)
    expected = service(provider).facts
    assert {fact.name for fact in facts} == expected
    assert all(fact.unknown for fact in facts)
    (said,) = {(fact.reason, fact.retryable) for fact in facts}
    assert said[0].isprintable()
    return said


@pytest.mark.parametrize(
    ("provider", "answers", "expected"),
    [
        ("aws", stubs.AWS, ("aws", "eu-west-1", "eu-west-1b", "111122223333")),
        ("gcp", stubs.GCP, ("gcp", "europe-west1", "europe-west1-b", "shop-production")),
        ("azure", stubs.AZURE, ("azure", "westeurope", "westeurope-2", stubs.SUBSCRIPTION)),
        ("oracle_cloud", stubs.ORACLE, ("oracle_cloud", "us-phoenix-1", "PHX-AD-1", stubs.TENANCY)),
        ("digitalocean", stubs.DIGITALOCEAN, ("digitalocean", "nyc3", "", "")),
        ("hetzner", stubs.HETZNER, ("hetzner", "fsn1", "fsn1-dc14", "")),
        ("openstack", stubs.OPENSTACK, ("", "", "nova", "")),
        ("ecs", stubs.ECS, ("aws", "us-west-2", "us-west-2d", "111122223333")),
    ],
)
async def test_what_each_tells(provider: str, answers: Mapping[str, str], expected: tuple[str, ...]) -> None:
    facts, requests = await told(provider, documented(answers))
    names = ("cloud.provider", "cloud.region", "cloud.availability_zone", "cloud.account.id")
    assert tuple(facts.get(name).value for name in names) == expected
    assert [request.split()[1] for request in requests] == list(answers)
    trust = Confidence.HINT if provider == "openstack" else Confidence.STRONG
    assert {(fact.confidence, fact.source) for fact in facts} == {(trust, stubs.NAMES[provider])}
    assert {fact.name for fact in facts} <= service(provider).facts


async def test_a_task_of_ecs() -> None:
    facts, _ = await told("ecs", documented(stubs.ECS))
    assert facts.get("cloud.platform").value == "aws_ecs"
    assert facts.get("aws.ecs.task.arn").value == stubs.TASK
    assert facts.get("aws.ecs.cluster.arn").value == "arn:aws:ecs:us-west-2:111122223333:cluster/default"
    assert facts.get("aws.ecs.task.family").value == "orders"
    assert facts.get("aws.ecs.launchtype").value == "fargate"


async def test_a_machine_of_azure_that_is_in_no_zone() -> None:
    compute = {"location": "westeurope", "zone": "", "subscriptionId": stubs.SUBSCRIPTION}
    facts, _ = await told("azure", always(plain(json.dumps(compute))))
    assert facts.get("cloud.region").value == "westeurope"
    assert "cloud.availability_zone" not in facts.exact


async def test_what_each_is_sent() -> None:
    async def headers(provider: str, answers: Mapping[str, str]) -> list[str]:
        _, requests = await told(provider, documented(answers))
        return [request.lower() for request in requests]

    token, *others = await headers("aws", stubs.AWS)
    assert token.startswith("put ")
    assert "\r\nx-aws-ec2-metadata-token-ttl-seconds: 60\r\n" in token
    assert all("\r\nx-aws-ec2-metadata-token: aqaeaj_session==\r\n" in other for other in others)
    assert all("\r\nmetadata-flavor: google\r\n" in head for head in await headers("gcp", stubs.GCP))
    assert all("\r\nmetadata: true\r\n" in head for head in await headers("azure", stubs.AZURE))
    assert all("bearer oracle\r\n" in head for head in await headers("oracle_cloud", stubs.ORACLE))


@pytest.mark.parametrize("provider", EVERY)
async def test_none_goes_near_what_is_secret(provider: str) -> None:
    answers = {"openstack": stubs.OPENSTACK, "ecs": stubs.ECS}.get(provider) or getattr(
        stubs, {"oracle_cloud": "ORACLE"}.get(provider, provider.upper())
    )
    _, requests = await told(provider, documented(answers))
    assert requests
    for path in [request.split()[1] for request in requests]:
        for secret in ("iam", "credential", "identity", "user-data", "service-account", "keys", "attested"):
            assert secret not in path.lower()
        assert "token" not in path or path == "/latest/api/token"


async def test_an_answer_cannot_lead_to_another_path() -> None:
    answers = {**stubs.AWS, "/latest/meta-data/mac": "../../../iam/security-credentials"}
    facts, requests = await told("aws", documented(answers))
    assert "no MAC address" in facts.get("cloud.region").reason
    assert not any("iam" in request for request in requests)


# What may go wrong.


async def waits(stream: trio.SocketStream, head: str) -> None:
    await trio.sleep_forever()


async def drips(stream: trio.SocketStream, head: str) -> None:
    for byte in plain("eu-west-1"):
        await stream.send_all(bytes((byte,)))
        await trio.sleep(0.02)


async def leaves(stream: trio.SocketStream, head: str) -> None:
    """Without a word."""
    await stream.aclose()


async def cuts(stream: trio.SocketStream, head: str) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\neu-")
    await stream.aclose()


@pytest.mark.usefixtures("in_earnest")
@pytest.mark.parametrize("provider", EVERY)
@pytest.mark.parametrize("answer", [waits, drips, leaves, cuts])
async def test_what_does_not_answer_may_do_so_later(provider: str, answer: Answer) -> None:
    started = trio.current_time()
    said, retryable = await reason(provider, answer)
    assert said.startswith(stubs.NAMES[provider])
    assert retryable
    assert trio.current_time() - started < 2


@pytest.mark.usefixtures("in_earnest")
async def test_it_is_not_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    started = trio.current_time()
    async with metadata(waits) as stub:
        await stub.services.ask(service("aws"))
    assert trio.current_time() - started == pytest.approx(DEADLINE)


@pytest.mark.parametrize("provider", EVERY)
async def test_a_refused_connection(provider: str) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        asked = MetadataServices({stubs.NAMES[provider]: ("127.0.0.1", reserved.getsockname()[1])})
        findings = await asked.ask(service(provider))
    assert all("connection refused" in fact.reason and fact.retryable for fact in findings.facts)


@pytest.mark.parametrize("provider", EVERY)
@pytest.mark.parametrize(
    "answer",
    [
        plain(b""),
        plain(b"\xff\x00\x1b[2J"),
        plain("<html>sign in to the network</html>"),
        plain("x" * 60_000),
        plain("[" * 60_000),
        plain("x" * 100_000),
        b"\x00\xff" * 2000 + b"\r\n\r\n",
        plain("{}"),
        plain("(none)"),
        plain('{"TaskARN": 1, "location": [], "subscriptionId": null}'),
    ],
)
async def test_garbage(provider: str, answer: bytes) -> None:
    said, retryable = await reason(provider, always(answer))
    assert not retryable
    assert "\x1b" not in said
    assert len(said) < 500


async def test_fifty_megabytes_are_not_read() -> None:
    sent = 0

    async def floods(stream: trio.SocketStream, head: str) -> None:
        nonlocal sent
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 52428800\r\n\r\n")
        for _ in range(800):
            await stream.send_all(b"x" * 65536)
            sent += 65536

    said, retryable = await reason("digitalocean", floods)
    assert "larger than 65536 bytes" in said
    assert not retryable
    assert sent < 20_000_000  # what socket buffers hold


@pytest.mark.parametrize(
    ("status", "words", "retryable"),
    [
        (401, "status 401", False),
        (403, "status 403, it is switched off for this machine", False),
        (404, "status 404", False),
        (429, "status 429", True),
        (500, "status 500", True),
        (503, "status 503", True),
    ],
)
@pytest.mark.parametrize("provider", EVERY)
async def test_refusals(provider: str, status: int, words: str, retryable: bool) -> None:
    said, again = await reason(provider, always(plain("no", status)))
    assert words in said
    assert again is retryable


async def test_a_redirect_is_not_followed() -> None:
    async with metadata(always(plain("eu"))) as other:
        location = f"Location: http://127.0.0.1:{other.port}/\r\n"
        said, retryable = await reason("digitalocean", always(plain("", 302, location)))
    assert "a redirect, which is not followed" in said
    assert not retryable
    assert other.requests == []


@pytest.mark.parametrize("headers", ["", WRONG, "Metadata-Flavor: Other\r\n"])
async def test_google_marks_its_answers(headers: str) -> None:
    said, retryable = await reason("gcp", always(plain("projects/1/zones/europe-west1-b", 200, headers)))
    assert "without Metadata-Flavor: Google" in said
    assert not retryable


async def test_proxies_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    facts, _ = await told("hetzner", documented(stubs.HETZNER))
    assert facts.get("cloud.region").value == "fsn1"


# Which one.


def test_only_the_one_that_is_suggested() -> None:
    assert suggested(Facts(), {}) is None
    assert suggested(hinting("vultr"), {}) is None
    unknown = Facts.of([Fact("cloud.provider", State.UNKNOWN)])
    assert suggested(unknown, {}) is None
    for provider in ("aws", "gcp", "azure", "oracle_cloud", "digitalocean", "hetzner", "openstack"):
        found = suggested(hinting(provider), {})
        assert found is not None
        assert (found.host, found.port) == ("169.254.169.254", 80)


@pytest.mark.parametrize("platform", ["aws_ecs", "aws_lambda", "azure.container_apps", "azure.app_service"])
def test_platforms_that_do_not_reach_one(platform: str) -> None:
    assert suggested(hinting(platform.partition("_")[0], platform), {}) is None


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "http://169.254.170.2/v3/abc",
        "https://169.254.170.2/v4/abc",
        "http://169.254.170.2.evil.test/v4/abc",
        "http://169.254.170.2@evil.test/v4/abc",
        "http://10.0.0.1/v4/abc",
        "http://169.254.170.2/v4/../v2/credentials",
        "http://169.254.170.2/v4/abc?x",
    ],
)
def test_no_other_address_for_ecs(uri: str) -> None:
    assert suggested(Facts(), {ECS_VARIABLE: uri}) is None


def test_the_agent_of_ecs_comes_before_the_machine() -> None:
    found = suggested(hinting("aws", "aws_ecs"), ECS_ENVIRON)
    assert found is not None
    assert (found.name, found.host) == ("ECS task metadata", "169.254.170.2")
