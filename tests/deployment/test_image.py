"""The Dockerfile agrees with the program."""

from __future__ import annotations

from tests.deployment.files import MOUNTED, OWN, REPOSITORY, VARIABLES, instructions


def test_the_image_runs_the_ambassador_as_nobody() -> None:
    assert instructions("ENTRYPOINT") == ['["dbambassador"]']
    assert instructions("CMD") == ['["run"]']
    assert instructions("USER") == ["65532:65532"]
    assert instructions("HEALTHCHECK")[0].endswith('CMD ["dbambassador", "probe", "startup"]')


def test_the_image_has_no_environments_and_names_where_they_are_mounted() -> None:
    assert not [line for line in instructions("COPY") if "environments" in line]
    (variables,) = instructions("ENV")
    assert f"DBAMBASSADOR_ENVIRONMENTS={MOUNTED}" in variables
    assert set(OWN.findall(variables)) <= VARIABLES


def test_what_the_image_is_built_from_is_there_and_not_ignored() -> None:
    kept = {
        line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    copied = {
        name for line in instructions("COPY") if not line.startswith("--from") for name in line.split()[:-1]
    }
    assert copied == kept
    assert all((REPOSITORY / name).exists() for name in copied)
