from __future__ import annotations

import dataclasses

from dbambassador.profiles.explanation import explain, explain_json, mattered
from dbambassador.profiles.selection import select
from dbambassador.settings.schema import Database, HostEndpoint, Kind, Protocol
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
    assert "\\x1b[31mdev\\nshop" in text


def test_hundreds_of_environments_still_fit_a_screen() -> None:
    many = catalogue(*(profile(f"environment-{number:03}", f"fact-{number}=1") for number in range(300)))
    found = facts(**{"fact-299": "1"})

    text = explain(many, found, select(many, found))

    assert len(text.splitlines()) < 45
    assert "299 others (--all shows every one):" in text
    assert "environment-299  staging  chosen" in text
    whole = explain(many, found, select(many, found), everything=True)
    assert whole.count("ruled out") == 299


def test_forty_environments_are_one_screen_with_the_top_reasons_grouped() -> None:
    forty = catalogue(
        *(profile(f"apart-{number:02}", f"namespace=shop-{number}") for number in range(30)),
        *(profile(f"elsewhere-{number}", "namespace=shop", f"ca=c{number}") for number in range(5)),
        *(profile(f"open-{number}", "namespace=shop", f"label=l{number}") for number in range(2)),
        profile("shielded", "namespace=shop", forbid=("ca=here",)),
        profile("manual"),
        profile("here", "namespace=shop", priority=1),
    )
    found = facts(unknown("label"), namespace="shop", ca="here")

    lines = explain(forty, found, select(forty, found)).splitlines()

    assert lines[lines.index("Environments in environments") + 1 :] == [
        "  here      staging  priority 1  chosen",
        "  open-0    staging  priority 0  may match  needs label = l0; unknown",
        "  open-1    staging  priority 0  may match  needs label = l1; unknown",
        "  shielded  staging  priority 0  forbidden  forbidden by ca = here; found here",
        "  36 others (--all shows every one):",
        "    30 ruled out by namespace, found shop: apart-00, apart-01, apart-02, apart-03 and 26 more",
        "    5 ruled out by ca, found here: elsewhere-0, elsewhere-1, elsewhere-2, elsewhere-3 and 1 more",
        "    1 only by name: manual",
    ]
    assert len(lines) < 25


def test_the_fact_that_speaks_of_most_environments_comes_first() -> None:
    every = catalogue(
        profile("a", "rare=1"), *(profile(f"b-{number}", f"common={number}") for number in range(3))
    )
    found = facts(common="x")

    assert mattered(every, select(every, found)) == ("common", "rare")


def test_endpoints_that_need_a_missing_fact_are_shown_with_the_table() -> None:
    database = Database(
        name="orders",
        protocol=Protocol.POSTGRESQL,
        listen=(),
        endpoints=(HostEndpoint("db.${cloud.region}.test", 5432),),
    )
    every = catalogue(dataclasses.replace(profile("staging", "namespace=shop"), databases=(database,)))
    found = facts(unknown("cloud.region", "no source tells"), namespace="shop")

    text = explain(every, found, select(every, found))

    assert text.startswith("Chosen: staging (staging), but where its databases are cannot be told here")
    assert "→ db.${cloud.region}.test:5432" in text
    assert "found ${cloud.region}, which is unknown: no source tells" in text
    assert "staging  staging  chosen" in text
    document = explain_json(every, found, select(every, found))
    assert len(document["missing"]) == 1


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
        "values": [],
        "confidence": "strong",
        "source": "",
        "reason": "403",
    }
