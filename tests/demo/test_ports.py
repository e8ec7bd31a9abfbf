"""Free ports."""

from __future__ import annotations

import socket

import pytest

from dbambassador.demo import ports
from dbambassador.demo.ports import free_port, is_free


def test_none_is_given_twice() -> None:
    given = [free_port() for _ in range(500)]
    assert len(set(given)) == 500
    assert all(ports.LOWEST <= port <= ports.HIGHEST for port in given)


def test_one_that_is_held_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as holder:
        held = holder.getsockname()[1]
        assert not is_free(held)
        monkeypatch.setattr(ports, "LOWEST", held)
        monkeypatch.setattr(ports, "HIGHEST", held)
        monkeypatch.setattr(ports, "_given", set())
        with pytest.raises(OSError, match="no free port found"):
            free_port()


def test_when_half_of_them_have_been_given_they_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    first = free_port()
    monkeypatch.setattr(ports, "LOWEST", first)
    monkeypatch.setattr(ports, "HIGHEST", first + 1)
    monkeypatch.setattr(ports, "_given", {first, first + 1})
    assert free_port() in (first, first + 1)
