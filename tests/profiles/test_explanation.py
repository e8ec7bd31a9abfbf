from __future__ import annotations

from dbambassador.profiles.explanation import MOST_ENVIRONMENTS, explain, explain_json
from dbambassador.profiles.selection import select
from dbambassador.settings.schema import Kind
from dbambassador.values import Fact, State
from tests.profiles.making import catalogue, facts, hint, production, profile, unknown

SHOP = catalogue(
    profile("development", "namespace=dev", kind=Kind.DEVELOPMENT),
    profile("staging", "namespace=stage"),
    production("production", "namespace=shop", "ca=9f2c", forbid=("platform=compose",)),
    profile("manual"),
)


def test_one_screen_verdict_first() -> None:
    found = facts(Fact("namespace", State.PRESENT, "dev", source="downward API"))

    assert explain(SHOP, found, select(SHOP, found)) == "\n".join(
        [
            "Chosen: development (development)",
            "  because its match holds, and no other environment's can.",
            "",
            "Databases",
            "  none",
            "",
            "Facts that mattered",
            "  namespace  dev  downward API",
            "",
            "Environments in environments",
            "  development  development  chosen",
            "  production   production   ruled out     needs namespace = shop; found dev",
            "  staging      staging      ruled out     needs namespace = stage; found dev",
            "  manual       staging      only by name",
        ]
    )


def test_what_is_unknown_comes_first_with_its_reason_and_what_to_do() -> None:
    found = facts(unknown("ca", "ca.crt: permission denied"), namespace="shop")

    lines = explain(SHOP, found, select(SHOP, found)).splitlines()

    assert lines[0] == "No environment: it depends on facts that are unknown"
    assert "What to do" in lines[2]
    assert lines[lines.index("Facts that mattered") + 1].split()[:2] == ["ca", "unknown"]
    assert any(line.split()[:4] == ["production", "production", "may", "match"] for line in lines)
    assert "  ca         unknown  ca.crt: permission denied" in lines
    assert any(line.endswith("needs ca = 9f2c; unknown") for line in lines)


def test_the_commands_that_would_help_can_be_copied() -> None:
    commands = [
        "kubectl create clusterrole a --verb=get",
        f"kubectl create clusterrolebinding {'b' * 90} --role=a",
    ]
    found = facts(unknown("ca", f"403 Forbidden; to allow it: {' && '.join(commands)}"), namespace="shop")

    lines = explain(SHOP, found, select(SHOP, found)).splitlines()

    assert any(line.endswith(f"{commands[0]} &&") for line in lines)
    assert any(line.strip() == commands[1] for line in lines)


def test_a_tie_shows_the_facts_on_which_both_match() -> None:
    tied = catalogue(profile("one", "namespace=shop"), profile("two", "region=eu"))
    found = facts(namespace="shop", region="eu")

    lines = explain(tied, found, select(tied, found)).splitlines()

    start = lines.index("Facts that mattered")
    assert [line.split()[:2] for line in lines[start + 1 : start + 3]] == [
        ["namespace", "shop"],
        ["region", "eu"],
    ]


def test_lines_fit_a_terminal_whatever_the_names() -> None:
    many = catalogue(
        profile("kubernetes-development-in-europe", "k8s.namespace.name=shop-development", priority=1),
        production("production", "k8s.namespace.name=shop", f"dbambassador.k8s.ca.sha256={'9f' * 32}"),
    )
    account = "/var/run/secrets/kubernetes.io/serviceaccount"
    found = facts(
        Fact("k8s.namespace.name", State.PRESENT, "shop", source=f"{account}/namespace"),
        Fact("dbambassador.k8s.ca.sha256", State.PRESENT, "9f" * 32, source=f"{account}/ca.crt"),
    )

    text = explain(many, found, select(many, found))

    assert max(map(len, text.splitlines())) <= 98
    assert "  …/serviceaccount/ca.crt" in text
    assert (
        "priority 1  ruled out\n      needs k8s.namespace.name = shop-development; found shop\n"
        in text + "\n"
    )


def test_control_characters_of_the_surroundings_never_reach_the_terminal() -> None:
    found = facts(hint("namespace", "\x1b[31mdev\nshop\u202e"))

    text = explain(SHOP, found, select(SHOP, found))

    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b[31mdev\\x0ashop" in text


def test_hundreds_of_environments_still_fit_a_screen() -> None:
    many = catalogue(*(profile(f"environment-{number:03}", f"fact-{number}=1") for number in range(300)))
    found = facts(**{"fact-299": "1"})

    text = explain(many, found, select(many, found))

    assert len(text.splitlines()) < 60
    assert f"… and {300 - MOST_ENVIRONMENTS} more environments" in text
    assert "environment-299  staging  chosen" in text


def test_json_has_all_of_it() -> None:
    found = facts(unknown("ca", "403"), namespace="shop")

    document = explain_json(SHOP, found, select(SHOP, found))

    assert document["verdict"] == "undecided"
    assert document["environment"] is None
    assert document["undecided"] == ["ca"]
    assert [environment["name"] for environment in document["environments"]] == [
        "development",
        "manual",
        "production",
        "staging",
    ]
    assert document["facts"][0] == {
        "name": "ca",
        "state": "unknown",
        "value": None,
        "confidence": "strong",
        "source": "",
        "reason": "403",
    }
