"""A Kubernetes API server over real TLS that behaves as a test asks for; one request a connection."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import trio
import trustme

from tests.reflection.places import ACCOUNT, AUTHORITY

Stream = trio.abc.Stream
Behaviour = Callable[[Stream], Awaitable[None]]

NODE = {
    "kind": "Node",
    "metadata": {
        "name": "worker-3",
        "labels": {
            "kubernetes.io/os": "linux",
            "topology.kubernetes.io/region": "eu-west-1",
            "topology.kubernetes.io/zone": "eu-west-1b",
        },
    },
    "spec": {"providerID": "aws:///eu-west-1b/i-0abc"},
    "status": {"images": [{"names": ["x" * 100] * 10}] * 100},
}
NAMESPACE = {"kind": "Namespace", "metadata": {"name": "shop", "labels": {"environment": "production"}}}


@dataclass
class ApiServer:
    port: int
    requests: list[bytes] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        return [request.split()[1].decode() for request in self.requests]

    @property
    def environ(self) -> dict[str, str]:
        return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.port)}


def answered(status: int, body: object, headers: str = "") -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\n{headers}Connection: close\r\n\r\n"
    return head.encode() + content


def answers(status: int, body: object, headers: str = "") -> Behaviour:
    async def behave(stream: Stream) -> None:
        await stream.send_all(answered(status, body, headers))

    return behave


def refuses(status: int, message: str) -> Behaviour:
    return answers(status, {"kind": "Status", "status": "Failure", "code": status, "message": message})


async def hangs(stream: Stream) -> None:
    await trio.sleep_forever()


async def drips(stream: Stream) -> None:
    """A byte every tenth of a second: no single read is slow."""
    for byte in answered(200, NODE):
        await stream.send_all(bytes((byte,)))
        await trio.sleep(0.1)


@asynccontextmanager
async def api_server(
    behaviours: dict[str, Behaviour],
    *,
    authority: trustme.CA = AUTHORITY,
    name: str = "127.0.0.1",
    valid: tuple[datetime | None, datetime | None] = (None, None),
) -> AsyncIterator[ApiServer]:
    """Serves each path by its behaviour, until the block is left."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name, not_before=valid[0], not_after=valid[1]).configure_cert(context)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server = ApiServer(listener.socket.getsockname()[1])

    async def serve(tcp: trio.SocketStream) -> None:
        stream = trio.SSLStream(tcp, context, server_side=True, https_compatible=True)
        try:
            async with stream:
                request = b""
                while b"\r\n\r\n" not in request:
                    piece = await stream.receive_some()
                    if not piece:
                        return
                    request += piece
                server.requests.append(request)
                await behaviours[request.split()[1].decode()](stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client has had enough

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield server
        nursery.cancel_scope.cancel()


def pod_files(root: Path, token: bytes = b"header.payload.signature\n") -> Path:
    """The service account's files, with the CA of the server."""
    directory = root / ACCOUNT
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "token").write_bytes(token)
    (directory / "ca.crt").write_bytes(AUTHORITY.cert_pem.bytes())
    (directory / "namespace").write_text("shop")
    return root
