"""Run in network and mount namespaces of its own: which names does glibc ask for, in what order?

Usage: python glibc_questions.py RESOLV_CONF NAME…
Prints a JSON list of names for each NAME. Every question is answered with NXDOMAIN.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading


def serve(questions: list[str]) -> None:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))

    def answer() -> None:
        while True:
            query, peer = server.recvfrom(512)
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1 : at + 1 + query[at]].decode())
                at += 1 + query[at]
            questions.append(".".join(labels))
            # QR, RD, RA; NXDOMAIN; the question as it came, nothing else.
            server.sendto(query[:2] + b"\x81\x83" + query[4:6] + bytes(6) + query[12:], peer)

    threading.Thread(target=answer, daemon=True).start()


def main() -> None:
    resolv_conf, *names = sys.argv[1:]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["mount", "--bind", resolv_conf, "/etc/resolv.conf"], check=True)
    questions: list[str] = []
    serve(questions)
    for name in names:
        questions.clear()
        try:
            socket.getaddrinfo(name, 5432, socket.AF_INET, socket.SOCK_STREAM)
        except socket.gaierror:
            pass
        print(json.dumps(questions))


main()
