"""TLS on memory, and as a socket: whatever the sizes, however full the kernel's buffers."""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from dbambassador.settings.schema import SslMode, Tls
from dbambassador.transport import tls_files
from dbambassador.transport.encrypted_socket import EncryptedSocket
from dbambassador.transport.tls import TlsEnd
from dbambassador.transport.tls_failures import TlsFailed
from dbambassador.transport.tls_files import Encryption, Unusable
from tests.testbed.requirements import require
from tests.transport.tls_peer import (
    CA,
    CLIENT,
    HOST,
    OLD_SERVER,
    OTHER_CA,
    SERVER,
    Server,
    client_context,
    server_context,
    shaken,
)


@pytest.mark.parametrize("context", [SERVER, OLD_SERVER], ids=["1.3", "1.2"])
@given(pieces=st.lists(st.binary(min_size=1, max_size=40_000), max_size=5), size=st.integers(1, 20_000))
def test_what_one_end_writes_the_other_reads_however_it_is_cut(
    context: ssl.SSLContext, pieces: list[bytes], size: int
) -> None:
    client, server = TlsEnd(CLIENT, HOST), Server(context)
    shaken(client, server)
    said, heard = b"", b""
    for piece in pieces:
        server.incoming.write(client.encrypt(piece))
        said += server.read()
        server.tls.write(piece)
        cipher = server.outgoing.read()
        for begin in range(0, len(cipher), size):
            heard += client.decrypt(cipher[begin : begin + size])

    assert said == heard == b"".join(pieces)


@pytest.mark.parametrize(
    ("client", "server", "host", "why"),
    [
        (CLIENT, SERVER, "other.test", f"its certificate is not for other.test, but for {HOST}"),
        (CLIENT, SERVER, "10.0.0.1", "its certificate is not for 10.0.0.1"),
        (client_context(OTHER_CA), SERVER, HOST, "an authority that is not in sslrootcert"),
        (
            CLIENT,
            server_context(
                CA.issue_cert(HOST, not_before=datetime(2020, 1, 1), not_after=datetime(2021, 1, 1))
            ),
            HOST,
            "its certificate has expired",
        ),
        (
            CLIENT,
            server_context(
                CA.issue_cert(HOST, not_before=datetime(2120, 1, 1), not_after=datetime(2121, 1, 1))
            ),
            HOST,
            "its certificate is not valid yet",
        ),
    ],
)
def test_a_server_that_is_not_to_be_trusted_is_told_of_in_words(
    client: ssl.SSLContext, server: ssl.SSLContext, host: str, why: str
) -> None:
    with pytest.raises(TlsFailed, match=why):
        shaken(TlsEnd(client, host), Server(server))


def test_a_server_without_tls_is_told_of_in_words() -> None:
    client = TlsEnd(CLIENT, HOST)
    client.shake_hands()

    with pytest.raises(TlsFailed, match="what it says is no TLS"):
        client.shake_hands(b"E\0\0\0\x50SFATAL\0")


def test_a_name_that_no_certificate_can_have_is_told_of() -> None:
    with pytest.raises(TlsFailed, match="no server can be called"):
        TlsEnd(CLIENT, "a" * 64 + ".test")


@pytest.mark.parametrize("given_one", [True, False])
def test_a_server_that_refuses_our_certificate_is_told_of_in_words(given_one: bool) -> None:
    demanding = server_context(verify_mode=ssl.CERT_REQUIRED)
    OTHER_CA.configure_trust(demanding)
    context = client_context()
    if given_one:
        CA.issue_cert("app@test").configure_cert(context)
    why = "does not trust the authority of our sslcert" if given_one else "asks for a client certificate"

    with pytest.raises(TlsFailed, match=why):
        shaken(TlsEnd(context, HOST), Server(demanding))


@pytest.mark.parametrize("context", [SERVER, OLD_SERVER], ids=["1.3", "1.2"])
def test_a_goodbye_behind_other_bytes_is_seen(context: ssl.SSLContext) -> None:
    client, server = TlsEnd(CLIENT, HOST), Server(context)
    shaken(client, server)
    server.tls.write(b"last words")
    with pytest.raises(ssl.SSLWantReadError):
        server.tls.unwrap()

    assert client.decrypt(server.outgoing.read()) == b"last words"
    assert client.ended


def test_forged_bytes_are_never_taken_for_the_servers() -> None:
    client, server = TlsEnd(CLIENT, HOST), Server(SERVER)
    shaken(client, server)
    server.tls.write(b"secret")
    cipher = bytearray(server.outgoing.read())
    cipher[-1] ^= 1

    with pytest.raises(TlsFailed):
        client.decrypt(bytes(cipher))


# As a socket


def encrypted_pair() -> tuple[ssl.SSLSocket, EncryptedSocket]:
    """A server's end that blocks, and ours, which says the handshake's last words by itself."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    theirs.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    box: list[ssl.SSLSocket] = []
    thread = threading.Thread(target=lambda: box.append(SERVER.wrap_socket(theirs, server_side=True)))
    thread.start()
    tls, heard = TlsEnd(CLIENT, HOST), b""
    while not tls.shake_hands(heard):
        ours.sendall(tls.outgoing())
        heard = ours.recv(65536)
    encrypted = EncryptedSocket(ours, tls)
    thread.join(10)
    assert box, "the server still waits for the end of the handshake"
    return box[0], encrypted


@pytest.fixture
def pair() -> Iterator[tuple[ssl.SSLSocket, EncryptedSocket]]:
    with ExitStack() as stack:
        theirs, ours = encrypted_pair()
        stack.enter_context(theirs)
        stack.enter_context(ours)
        theirs.settimeout(10)
        yield theirs, ours


Pair = tuple[ssl.SSLSocket, EncryptedSocket]


def read_until_blocked(ours: EncryptedSocket, room: int) -> tuple[bytes, bool]:
    """What there is, by the law that a short read has emptied the socket; true at its end."""
    buffer = memoryview(bytearray(room))
    text = b""
    while True:
        try:
            count = ours.recv_into(buffer)
        except BlockingIOError:
            return text, False
        text += bytes(buffer[:count])
        if not count:
            return text, True
        if count < room:
            return text, False


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("room", [1, 100, 16 * 1024, 32 * 1024, 100_000])
def test_a_short_read_has_emptied_it(pair: Pair, room: int) -> None:
    theirs, ours = pair
    sent = os.urandom(50_000 if room > 1 else 500)
    theirs.sendall(sent)
    seen = b""

    def read() -> bool:
        nonlocal seen
        seen += read_until_blocked(ours, room)[0]
        return len(seen) == len(sent)

    until(read)
    assert seen == sent
    with pytest.raises(BlockingIOError):
        ours.recv_into(memoryview(bytearray(10)))


def test_what_is_not_sent_is_offered_again_and_arrives_once(pair: Pair) -> None:
    theirs, ours = pair
    block, blocked, sent = os.urandom(32 * 1024), 0, b""
    for _ in range(1000):
        try:
            assert ours.send(block) == len(block)
            sent += block
        except BlockingIOError:
            blocked += 1
            break
    assert blocked
    heard = b""
    while len(heard) < len(sent) + len(block):
        heard += theirs.recv(65536)
        if blocked:
            try:
                assert ours.send(block) == len(block)
                blocked = 0
            except BlockingIOError:
                pass
    assert heard == sent + block


def test_the_servers_goodbye_is_the_end_even_behind_other_bytes_and_without_a_fin(pair: Pair) -> None:
    theirs, ours = pair
    theirs.sendall(b"last words")
    theirs.settimeout(0.0)
    with pytest.raises(ssl.SSLWantReadError):
        theirs.unwrap()  # says goodbye, and the connection stays
    events = select.epoll()
    with events:
        events.register(ours.fileno(), select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)
        text, ended = b"", False
        while not ended:
            assert events.poll(10)
            more, ended = read_until_blocked(ours, 100)
            text += more
    assert text == b"last words"


def test_an_end_without_goodbye_is_an_end(pair: Pair) -> None:
    theirs, ours = pair
    theirs.sendall(b"last words")
    socket.socket.shutdown(theirs, socket.SHUT_WR)
    seen, ended = b"", False

    def read() -> bool:
        nonlocal seen, ended
        text, ended = read_until_blocked(ours, 4)
        seen += text
        return ended

    until(read)
    assert seen == b"last words"


def test_after_our_goodbye_the_server_can_still_answer(pair: Pair) -> None:
    theirs, ours = pair
    ours.send(b"question")
    ours.shutdown(socket.SHUT_WR)
    assert theirs.recv(100) == b"question"
    assert theirs.recv(100) == b""
    theirs.sendall(b"answer")
    seen = b""

    def read() -> bool:
        nonlocal seen
        seen += read_until_blocked(ours, 100)[0]
        return seen == b"answer"

    until(read)


def test_bytes_that_are_not_the_servers_are_an_error(pair: Pair) -> None:
    theirs, ours = pair
    socket.socket.send(theirs, b"\x17\x03\x03\x00\x20" + bytes(32))

    def failed() -> bool:
        try:
            ours.recv_into(memoryview(bytearray(100)))
        except BlockingIOError:
            return False
        except OSError:
            return True
        return False

    until(failed)


def test_bytes_that_are_not_the_servers_are_an_error_behind_others_as_well(pair: Pair) -> None:
    """And no end, as if the server had said all."""
    theirs, ours = pair
    theirs.sendall(b"said")
    socket.socket.send(theirs, b"\x17\x03\x03\x00\x20" + bytes(32))
    until(lambda: len(socket.socket.recv(ours, 1000, socket.MSG_PEEK)) > len(b"said") + 37)
    buffer = memoryview(bytearray(100))
    assert bytes(buffer[: ours.recv_into(buffer)]) == b"said"
    for _ in range(2):
        with pytest.raises(ssl.SSLError):
            ours.recv_into(buffer)


@dataclass
class Rekeying:
    """A real server that asks for other keys at every `K` that it reads."""

    process: subprocess.Popen[bytes]
    ours: EncryptedSocket

    def ask_for_keys(self) -> None:
        """Returns when the wish has arrived."""
        before = self._arrived()
        assert self.process.stdin is not None
        self.process.stdin.write(b"K\n")
        self.process.stdin.flush()
        until(lambda: self._arrived() > before)

    def _arrived(self) -> int:
        """Bytes that wait to be read."""
        try:
            return len(socket.socket.recv(self.ours, 65536, socket.MSG_PEEK))
        except BlockingIOError:
            return 0


@pytest.fixture
def rekeying(tmp_path: Path) -> Iterator[Rekeying]:
    leaf = str(tmp_path / "leaf.pem")
    CA.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(leaf)
    openssl = str(require("openssl", package="openssl"))
    command = [openssl, "s_server", "-accept", "127.0.0.1:0", "-cert", leaf, "-tls1_3", "-num_tickets", "0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            place = next(line for line in process.stdout if line.startswith(b"ACCEPT ")).split(b":")[-1]
            connection = socket.create_connection(("127.0.0.1", int(place)))
            tls, heard = TlsEnd(CLIENT, HOST), b""
            while not tls.shake_hands(heard):
                connection.sendall(tls.outgoing())
                heard = connection.recv(65536)
            with EncryptedSocket(connection, tls) as ours:
                yield Rekeying(process, ours)
        finally:
            process.kill()


MORE_THAN_KERNELS_TAKE = 32 * 1024 * 1024
"""Bytes; tcp_wmem and tcp_rmem end at 4 and 6 MiB, and `MOST_UNSENT` is hardly more."""


def test_a_server_that_asks_for_other_keys_gets_its_answer_at_once(rekeying: Rekeying) -> None:
    """Nothing of it is kept: a client may listen for a day. OpenSSL has the answer when it reads on."""
    for _ in range(3):
        rekeying.ask_for_keys()
        rekeying.ask_for_keys()
        assert read_until_blocked(rekeying.ours, 100) == (b"", False)
        assert not rekeying.ours._said.pending
        assert not rekeying.ours._unsent
    rekeying.ours.send(b"with other keys\n")
    assert rekeying.process.stdout is not None
    assert b"with other keys\n" in rekeying.process.stdout


def test_a_server_that_does_not_hear_what_it_asks_for_is_left(rekeying: Rekeying) -> None:
    rekeying.ask_for_keys()
    rekeying.ask_for_keys()
    rekeying.process.send_signal(signal.SIGSTOP)
    with pytest.raises(BlockingIOError):
        rekeying.ours.send(bytes(MORE_THAN_KERNELS_TAKE))
    with pytest.raises(ConnectionAbortedError):
        rekeying.ours.recv_into(memoryview(bytearray(100)))


# The files


class Files:
    """A client certificate and the trusted authorities, in a directory."""

    def __init__(self, directory: Path) -> None:
        self.ca, self.cert, self.key = (str(directory / name) for name in ("ca.pem", "tls.crt", "tls.key"))
        self.told: list[str] = []
        self.trust(CA)
        self.show(CA.issue_cert("app@test"))

    def trust(self, ca: trustme.CA) -> None:
        ca.cert_pem.write_to_path(self.ca)

    def show(self, leaf: trustme.LeafCert) -> None:
        leaf.cert_chain_pems[0].write_to_path(self.cert)
        leaf.private_key_pem.write_to_path(self.key)

    @property
    def tls(self) -> Tls:
        return Tls(mode=SslMode.VERIFY_FULL, rootcert=self.ca, cert=self.cert, key=self.key)

    def encryption(self) -> Encryption:
        return Encryption(self.tls, self.told.append)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.setattr(tls_files, "LOOK_PERIOD", 0.0)
    monkeypatch.setattr(tls_files, "RETRY_PERIOD", 0.0)
    return Files(tmp_path)


def test_changed_files_take_effect_with_the_next_connection(files: Files) -> None:
    encryption = files.encryption()
    shaken(encryption.begin(HOST), Server(SERVER))

    files.trust(OTHER_CA)

    with pytest.raises(TlsFailed, match="authority"):
        shaken(encryption.begin(HOST), Server(SERVER))
    assert files.told == [""]


def test_as_long_as_they_cannot_be_used_the_former_ones_are(files: Files) -> None:
    encryption = files.encryption()
    Path(files.ca).write_text("half a fi")
    shaken(encryption.begin(HOST), Server(SERVER))
    shaken(encryption.begin(HOST), Server(SERVER))
    assert files.told == [f"sslrootcert {files.ca}: no certificates in PEM form"]

    files.trust(OTHER_CA)

    with pytest.raises(TlsFailed, match="authority"):
        shaken(encryption.begin(HOST), Server(SERVER))
    assert files.told[1:] == [""]


def test_a_renewed_client_certificate_is_shown_once_its_key_is_there_as_well(files: Files) -> None:
    demanding = server_context(verify_mode=ssl.CERT_REQUIRED)
    CA.configure_trust(demanding)
    encryption = files.encryption()

    def shown() -> object:
        server = Server(demanding)
        shaken(encryption.begin(HOST), server)
        return (server.tls.getpeercert() or {})["serialNumber"]

    former, renewed = shown(), CA.issue_cert("app@test")
    renewed.cert_chain_pems[0].write_to_path(files.cert)
    assert shown() == former
    assert files.told == [f"sslkey {files.key}: it is not the key of {files.cert}"]

    renewed.private_key_pem.write_to_path(files.key)
    assert shown() != former
    assert files.told[1:] == [""]


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_file_that_could_not_be_read_for_a_moment_is_read_at_the_next_look(files: Files) -> None:
    encryption = files.encryption()
    files.trust(OTHER_CA)
    with no_descriptor_left():
        for _ in range(3):
            shaken(encryption.begin(HOST), Server(SERVER))
    assert files.told == [f"sslrootcert {files.ca}: too many open files"]

    with pytest.raises(TlsFailed, match="authority"):
        shaken(encryption.begin(HOST), Server(SERVER))
    assert files.told[1:] == [""]


def test_files_that_cannot_be_used_and_do_not_change_are_seldom_read(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Tls] = []
    context_of = tls_files._context

    def reading(tls: Tls) -> ssl.SSLContext:
        read.append(tls)
        return context_of(tls)

    monkeypatch.setattr(tls_files, "_context", reading)
    monkeypatch.setattr(tls_files, "RETRY_PERIOD", 60.0)
    encryption = files.encryption()
    Path(files.key).write_text("of somebody else")
    for _ in range(5):
        shaken(encryption.begin(HOST), Server(SERVER))
    assert len(read) == 2
    assert encryption.problem
    files.show(CA.issue_cert("app@test"))
    shaken(encryption.begin(HOST), Server(SERVER))
    assert (len(read), encryption.problem) == (3, "")


def test_authorities_of_the_operating_system_are_read_anew_as_well(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", files.ca)
    encryption = Encryption(Tls(mode=SslMode.VERIFY_FULL, rootcert="system"), files.told.append)
    shaken(encryption.begin(HOST), Server(SERVER))

    files.trust(OTHER_CA)

    with pytest.raises(TlsFailed, match="authority"):
        shaken(encryption.begin(HOST), Server(SERVER))
    assert files.told == [""]


def test_authorities_of_the_operating_system_that_cannot_be_read_for_a_moment_stay_as_they_were(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", files.ca)
    encryption = Encryption(Tls(mode=SslMode.VERIFY_FULL, rootcert="system"), files.told.append)
    problem = f"sslrootcert system: no certificate in {files.ca} can be read"

    files.trust(CA)
    with no_descriptor_left():
        shaken(encryption.begin(HOST), Server(SERVER))
    shaken(encryption.begin(HOST), Server(SERVER))
    assert files.told == [problem, ""]

    Path(files.ca).write_text("")  # somebody is about to write it anew
    shaken(encryption.begin(HOST), Server(SERVER))
    assert files.told[2:] == [problem]


def test_a_link_to_another_directory_is_a_change(files: Files, tmp_path: Path) -> None:
    # As Kubernetes replaces a mounted Secret.
    for number, ca in enumerate((CA, OTHER_CA)):
        (tmp_path / f"..{number}").mkdir()
        ca.cert_pem.write_to_path(str(tmp_path / f"..{number}" / "mounted.pem"))
    (tmp_path / "..data").symlink_to("..0")
    (tmp_path / "mounted.pem").symlink_to("..data/mounted.pem")
    encryption = Encryption(Tls(mode=SslMode.VERIFY_CA, rootcert=str(tmp_path / "mounted.pem")))
    shaken(encryption.begin(HOST), Server(SERVER))

    (tmp_path / "..new").symlink_to("..1")
    (tmp_path / "..new").rename(tmp_path / "..data")

    with pytest.raises(TlsFailed, match="authority"):
        shaken(encryption.begin(HOST), Server(SERVER))


@pytest.mark.parametrize(
    ("which", "text", "why"),
    [
        ("ca", None, "sslrootcert {}: no such file or directory"),
        ("ca", "", "sslrootcert {}: no certificates in PEM form"),
        ("ca", "\xff\xfe", "sslrootcert {}: no certificates in PEM form"),
        ("ca", 2 * CA.cert_pem.bytes().decode().strip(), "sslrootcert {}: a certificate in it is damaged"),
        ("cert", None, "sslcert {}: no such file or directory"),
        ("key", None, "sslkey {}: no such file or directory"),
        ("cert", "-----BEGIN CERTIFICATE-----\n", "sslcert {} with sslkey"),
        ("key", CA.issue_cert("x@test").private_key_pem.bytes().decode(), "sslkey {}: it is not the key of"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(files: Files, which: str, text: str | None, why: str) -> None:
    path = Path(getattr(files, which))
    path.unlink()
    if text is not None:
        path.write_text(text, encoding="latin-1")

    with pytest.raises(Unusable) as raised:
        files.encryption()

    assert why.format(path) in str(raised.value)


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_passphrase(files: Files) -> None:
    key = serialization.load_pem_private_key(Path(files.key).read_bytes(), None)
    Path(files.key).write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )

    with pytest.raises(Unusable, match="it is encrypted"):
        files.encryption()


def test_modes_verify_what_they_say(files: Files) -> None:
    shaken(Encryption(Tls(mode=SslMode.REQUIRE)).begin("other.test"), Server(SERVER))
    verify_ca = Encryption(Tls(mode=SslMode.VERIFY_CA, rootcert=files.ca))
    shaken(verify_ca.begin("other.test"), Server(SERVER))
    with pytest.raises(TlsFailed, match="authority"):
        shaken(verify_ca.begin(HOST), Server(server_context(OTHER_CA.issue_cert(HOST))))
    with pytest.raises(TlsFailed, match="not for"):
        shaken(files.encryption().begin("other.test"), Server(SERVER))
