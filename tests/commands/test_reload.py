from __future__ import annotations

import argparse

import pytest

from dbambassador.commands import reload
from dbambassador.errors import ExitCode
from dbambassador.events import CatalogueReloaded, Reloaded, ReloadRefused, ReloadUntimely
from tests.commands.stub import stub
from tests.observability import samples


def test_says_what_has_changed(capsys: pytest.CaptureFixture[str]) -> None:
    with stub(samples.running()) as ambassador:
        ambassador.reloaded = CatalogueReloaded("", ("orders: hold", "reports: added"))
        assert reload.run(argparse.Namespace(admin_port=ambassador.admin_port)) is ExitCode.DONE
    assert capsys.readouterr().out == "orders: hold\nreports: added\n"


@pytest.mark.parametrize(
    ("outcome", "why"),
    [(ReloadRefused("", ("one", "two")), "one\ntwo"), (ReloadUntimely("", "shutting down"), "shutting down")],
)
def test_says_why_nothing_has(outcome: Reloaded, why: str) -> None:
    with stub(samples.running()) as ambassador:
        ambassador.reloaded = outcome
        with pytest.raises(reload.Refused) as raised:
            reload.run(argparse.Namespace(admin_port=ambassador.admin_port))
    assert raised.value.message == why
    assert raised.value.exit_code is ExitCode.INVALID
