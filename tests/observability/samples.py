"""Snapshots as the ambassador gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]


def running() -> Json:
    """One database on its standby after a failover, another that has no address."""
    return {
        "version": "0.1.0",
        "phase": "running",
        "uptime_seconds": 7384.2,
        "ready": True,
        "environment": {
            "name": "production-aws",
            "kind": "production",
            "directory": "/etc/dbambassador/environments",
            "why": "its match holds, and no other environment's can",
            "facts": [
                {
                    "name": "k8s.namespace.name",
                    "state": "present",
                    "value": "shop",
                    "values": ["shop"],
                    "confidence": "strong",
                    "source": "/var/run/secrets/kubernetes.io/serviceaccount/namespace",
                    "reason": "",
                },
                {
                    "name": "cloud.region",
                    "state": "present",
                    "value": "eu-west-1",
                    "values": ["eu-west-1"],
                    "confidence": "strong",
                    "source": "node label topology.kubernetes.io/region",
                    "reason": "",
                },
            ],
            "others": [
                {
                    "name": "staging",
                    "kind": "staging",
                    "priority": 0,
                    "status": "ruled-out",
                    "requirement": "k8s.namespace.name = shop-staging",
                    "found": "shop",
                },
                {
                    "name": "development",
                    "kind": "development",
                    "priority": 0,
                    "status": "only-by-name",
                    "requirement": None,
                    "found": None,
                },
            ],
            "others_in_all": 2,
        },
        "awaiting": None,
        "drift": None,
        "reload": {
            "successful": True,
            "seconds_ago": None,
            "changes": [],
            "problems": [],
            "loaded_seconds_ago": 3725.0,
            "loaded_timestamp_seconds": 1767348184.567,
        },
        "relay": {"wakes": 5000, "events": 12000},
        "clients": {"connected": 4, "limit": 512},
        "databases": [
            {
                "name": "orders",
                "protocol": "postgresql",
                "sslmode": "verify-full",
                "certificates": "",
                "target_session_attrs": "read-write",
                "balance": None,
                "hold_seconds": 5.0,
                "zone": "b",
                "listeners": ["127.0.0.1:5432", "[::1]:5432"],
                "targets": {
                    "addresses": [
                        {
                            "address": "10.0.0.7:5432",
                            "name": "orders.db.test",
                            "zone": "",
                            "weight": 1,
                            "priority": 0,
                        },
                        {
                            "address": "10.0.0.8:5432",
                            "name": "orders.db.test",
                            "zone": "b",
                            "weight": 1,
                            "priority": 0,
                        },
                    ],
                    "asked_seconds_ago": 3.0,
                    "ttl_seconds": 27.0,
                    "stale": False,
                    "failure": "",
                    "steps": [
                        {
                            "question": "orders.db.test.",
                            "kind": "A",
                            "answer": "10.0.0.7, 10.0.0.8",
                            "server": "10.0.0.53:53",
                            "ttl_seconds": 30.0,
                            "seconds": 0.002,
                        }
                    ],
                },
                "addresses": [
                    {
                        "address": "10.0.0.7:5432",
                        "name": "orders.db.test",
                        "state": "down",
                        "role": "unknown",
                        "since_seconds": 12.0,
                        "sessions": 0,
                        "latency_seconds": None,
                        "latency_of": None,
                        "why": "connection refused",
                    },
                    {
                        "address": "10.0.0.8:5432",
                        "name": "orders.db.test",
                        "state": "up",
                        "role": "primary",
                        "since_seconds": 11.0,
                        "sessions": 3,
                        "latency_seconds": 0.0004,
                        "latency_of": "dial",
                        "why": "answered",
                    },
                ],
                "choice": {
                    "epoch": 2,
                    "address": "10.0.0.8:5432",
                    "pool": ["10.0.0.8:5432"],
                    "on_trial": False,
                    "settled": True,
                    "held_seconds": 0.0,
                    "why": "10.0.0.8:5432 is up",
                },
                "outages": {"count": 1, "seconds": 12.5},
                "sessions": 3,
                "held": 0,
                "to_server_bytes": 40_960,
                "to_client_bytes": 1_310_720,
            },
            {
                "name": "carts",
                "protocol": "mysql",
                "sslmode": None,
                "certificates": None,
                "target_session_attrs": "any",
                "balance": None,
                "hold_seconds": 5.0,
                "zone": "",
                "listeners": ["127.0.0.1:3306"],
                "targets": {
                    "addresses": [],
                    "asked_seconds_ago": None,
                    "ttl_seconds": None,
                    "stale": False,
                    "failure": "carts.db.test.: NXDOMAIN",
                    "steps": [],
                },
                "addresses": [],
                "choice": {
                    "epoch": 0,
                    "address": None,
                    "pool": [],
                    "on_trial": False,
                    "settled": False,
                    "held_seconds": 2.5,
                    "why": "the name leads nowhere",
                },
                "outages": {"count": 0, "seconds": 2.5},
                "sessions": 0,
                "held": 1,
                "to_server_bytes": 0,
                "to_client_bytes": 0,
            },
        ],
    }


def event(text: str, *, seconds_ago: float = 0.0, level: str = "info", database: str | None = None) -> Json:
    """One of `recent`."""
    return {"seconds_ago": seconds_ago, "level": level, "database": database, "text": text}


def reload(
    *,
    successful: bool,
    changes: Sequence[str] = (),
    problems: Sequence[str] = (),
    seconds_ago: float | None = 5.0,
) -> Json:
    """How a reload ended."""
    return {
        "successful": successful,
        "seconds_ago": seconds_ago,
        "changes": list(changes),
        "problems": list(problems),
        "loaded_seconds_ago": 65.0,
        "loaded_timestamp_seconds": 1_767_348_184.0,
    }


def drifted() -> Json:
    return {
        **running(),
        "drift": {
            "facts": ["k8s.pod.label.tier"],
            "would_choose": "staging",
            "why": "its match holds, and no other environment's can",
            "since_seconds": 65.0,
        },
    }


def reloaded() -> Json:
    return {**running(), "reload": reload(successful=True, changes=["orders: endpoint, hold"])}


def refused() -> Json:
    problem = "/etc/e/staging.yaml:7: databases.orders.hold: found 'soon', expected a duration"
    return {**running(), "reload": reload(successful=False, problems=[problem])}


def awaiting() -> Json:
    return {
        **running(),
        "phase": "awaiting",
        "ready": False,
        "environment": None,
        "reload": None,
        "awaiting": {
            "facts": ["k8s.node.label.tier"],
            "reason": "the API server did not answer",
            "retry_in_seconds": 3.5,
        },
        "databases": [],
    }
