"""The page of clients says what the tests assert."""

from __future__ import annotations

from tests.clients.page import PAGE, TABLES_BETWEEN, VERSIONS_BETWEEN, rendered, written
from tests.clients.tables import TABLES


def test_the_page_shows_the_tables_of_the_tests() -> None:
    assert written(TABLES_BETWEEN) == rendered(), "run: python -m tests.clients.page"


def test_the_page_names_a_version_of_every_client() -> None:
    versions = written(VERSIONS_BETWEEN)
    for table in TABLES:
        for client in table.clients:
            assert f"{client}: " in versions, f"{client} has no version in {PAGE}"


def test_every_login_of_a_case_is_explained() -> None:
    for table in TABLES:
        assert {case.login for case in table.cases} == set(table.logins)


def test_no_exception_is_for_a_client_that_the_table_lacks() -> None:
    for table in TABLES:
        for case in table.cases:
            assert set(case.but) <= set(table.clients), case
