"""Commands, run in this process, and what they stored."""
from typing import Any

import pytest

from fate_ext_plugin.cli import main
from tests.support.commands import FakeFateFlow, Run, end_of, printed_by
from tests.support.site import Site


@pytest.fixture
def run(site: Site, capsys: pytest.CaptureFixture) -> Run:
    """Run a command in this process; returns what it printed, or raises SystemExit with its complaint."""
    def run(*arguments: str) -> str:
        return printed_by(capsys, *arguments, "--conf", str(site.conf))
    return run


@pytest.fixture
def aloud(site: Site, capsys: pytest.CaptureFixture) -> Run:
    """Run a command that succeeds; returns what it printed, and what it told beside."""
    def aloud(*arguments: str) -> str:
        assert end_of(main, [*arguments, "--conf", str(site.conf)]) == 0
        return "".join(capsys.readouterr())
    return aloud


@pytest.fixture
def fate_flow(site: Site, monkeypatch: pytest.MonkeyPatch) -> FakeFateFlow:
    host = FakeFateFlow(site.settings)

    def open_host(conf: Any) -> FakeFateFlow:
        return host
    monkeypatch.setattr("fate_ext_plugin.cli.context.open_host", open_host)
    return host
