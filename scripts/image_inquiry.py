"""A question to a Kubernetes API through the ambassador's own child process, answered by a stub over TLS."""

from __future__ import annotations

import json
import ssl
import subprocess
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from dbambassador.reflection.api_questions import Object, Question
from dbambassador.reflection.ask_api import COMMAND
from dbambassador.reflection.service_account import DIRECTORY
from dbambassador.values import Confidence

ADDRESS = "127.0.0.1"
NODE = {"metadata": {"name": "n", "labels": {"a": "b"}}, "spec": {"providerID": "aws:///z/i"}}


def inquiry() -> str:
    """What the child prints: of a node that is told, and of a namespace that is forbidden."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        account = root / DIRECTORY.lstrip("/")
        account.mkdir(parents=True)
        (account / "token").write_text("token")
        key, certificate = own_certificate()
        (account / "ca.crt").write_bytes(certificate)
        (root / "server.pem").write_bytes(key + certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(root / "server.pem")
        with HTTPServer((ADDRESS, 0), Stub) as server:
            server.socket = context.wrap_socket(server.socket, server_side=True)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            objects = tuple((kind, "n", Confidence.STRONG) for kind in (Object.NODE, Object.NAMESPACE))
            question = Question(ADDRESS, str(server.server_port), name, objects)
            told = subprocess.run(
                COMMAND,
                input=json.dumps(question.document()),
                capture_output=True,
                text=True,
                timeout=60,
                cwd="/",
            )
            server.shutdown()
    outcomes = [answer["outcome"] for answer in json.loads(told.stdout or "{}").values()]
    if outcomes != ["ok", "status"]:
        raise RuntimeError(f"no answer of the Kubernetes API's stub: {told.stdout}{told.stderr}")
    return told.stdout


class Stub(BaseHTTPRequestHandler):
    """Tells of any node, and of nothing else."""

    def do_GET(self) -> None:
        found = "/nodes/" in self.path and self.headers["Authorization"] == "Bearer token"
        body = json.dumps(NODE if found else {"message": "forbidden"}).encode()
        self.send_response(200 if found else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def own_certificate() -> tuple[bytes, bytes]:
    """A key, and a certificate for this machine's loopback that it signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stub")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(ADDRESS))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, certificate.public_bytes(serialization.Encoding.PEM)
