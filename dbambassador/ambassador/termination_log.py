"""A container's last words, where Kubernetes looks for them."""

from __future__ import annotations

from pathlib import Path

PLACE = Path("dev/termination-log")
"""Under the root: terminationMessagePath's default."""
LONGEST = 4096
"""Bytes that the kubelet keeps."""


def leave(root: Path, text: str) -> None:
    """Tells Kubernetes why there is no environment; elsewhere there is no such file."""
    whole = text.encode(errors="replace")[:LONGEST].decode(errors="ignore")
    path = root / PLACE
    try:
        if path.is_file():
            path.write_text(whole, encoding="utf-8")
    except OSError:
        pass  # the same text goes to standard error
