"""Metadata services on loopback, over real HTTP: what each documents, and what one may do wrong."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from dbambassador.reflection.ask_metadata import MetadataServices

SUBSCRIPTION = "8a3c1f7e-0000-4000-8000-0123456789ab"
TENANCY = "ocid1.tenancy.oc1..aaaaexample"
TASK = "arn:aws:ecs:us-west-2:111122223333:task/default/158d1c8083dd49d6b527399fd6414f5c"

AWS = {
    "/latest/api/token": "AQAEAJ_session==",
    "/latest/meta-data/placement/region": "eu-west-1",
    "/latest/meta-data/placement/availability-zone": "eu-west-1b",
    "/latest/meta-data/mac": "06:5e:9f:aa:01:02",
    "/latest/meta-data/network/interfaces/macs/06:5e:9f:aa:01:02/owner-id": "111122223333",
}
GCP = {
    "/computeMetadata/v1/instance/zone": "projects/123456789/zones/europe-west1-b",
    "/computeMetadata/v1/project/project-id": "shop-production",
}
AZURE = {
    "/metadata/instance/compute?api-version=2021-02-01": json.dumps(
        {"location": "westeurope", "zone": "2", "subscriptionId": SUBSCRIPTION, "vmSize": "Standard_D2s_v5"}
    )
}
ORACLE = {
    "/opc/v2/instance/canonicalRegionName": "us-phoenix-1",
    "/opc/v2/instance/availabilityDomain": "EMIr:PHX-AD-1",
    "/opc/v2/instance/tenantId": TENANCY,
}
DIGITALOCEAN = {"/metadata/v1/region": "nyc3"}
HETZNER = {"/hetzner/v1/metadata/availability-zone": "fsn1-dc14\n"}
OPENSTACK = {"/latest/meta-data/placement/availability-zone": "nova"}
ECS = {
    "/v4/abc-123/task": json.dumps(
        {
            "Cluster": "default",
            "TaskARN": TASK,
            "Family": "orders",
            "AvailabilityZone": "us-west-2d",
            "LaunchType": "FARGATE",
        }
    )
}

NAMES = {
    "aws": "AWS instance metadata",
    "gcp": "Google Cloud metadata",
    "azure": "Azure instance metadata",
    "oracle_cloud": "Oracle Cloud instance metadata",
    "digitalocean": "DigitalOcean metadata",
    "hetzner": "Hetzner metadata",
    "openstack": "OpenStack metadata",
    "ecs": "ECS task metadata",
}
"""Of the services, by provider."""


@dataclass
class Stub:
    port: int
    requests: list[str] = field(default_factory=list)
    """Heads, as they came."""

    @property
    def paths(self) -> list[str]:
        return [request.split()[1] for request in self.requests]

    @property
    def services(self) -> MetadataServices:
        """Leave to ask, with every service found here."""
        return MetadataServices(dict.fromkeys(NAMES.values(), ("127.0.0.1", self.port)))


Answer = Callable[[trio.SocketStream, str], Awaitable[None]]


def plain(body: str | bytes, status: int = 200, headers: str = "Metadata-Flavor: Google\r\n") -> bytes:
    content = body.encode() if isinstance(body, str) else body
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\n{headers}Connection: close\r\n\r\n"
    return head.encode() + content


def documented(answers: Mapping[str, str]) -> Answer:
    """The answers by path, and 404 for every other."""

    async def answer(stream: trio.SocketStream, head: str) -> None:
        body = answers.get(head.split()[1])
        await stream.send_all(plain("not found", 404) if body is None else plain(body))

    return answer


def always(answer: bytes) -> Answer:
    async def send(stream: trio.SocketStream, head: str) -> None:
        await stream.send_all(answer)

    return send


@asynccontextmanager
async def metadata(answer: Answer) -> AsyncIterator[Stub]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    stub = Stub(listener.socket.getsockname()[1])

    async def serve(stream: trio.SocketStream) -> None:
        head = b""
        try:
            while b"\r\n\r\n" not in head:
                piece = await stream.receive_some()
                if not piece:
                    return
                head += piece
            stub.requests.append(head.decode())
            await answer(stream, head.decode())
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client has had enough

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield stub
        nursery.cancel_scope.cancel()
