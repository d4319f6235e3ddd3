"""Commands, run in this process, and what they stored."""
from typing import Any

import pytest

from fate_ext_plugin.cli import main
from tests.support.commands import FakeFateFlow, Run
from tests.support.site import Site


@pytest.fixture
def run(site: Site, capsys: pytest.CaptureFixture) -> Run:
    """Run a command in this process; returns what it printed, or raises SystemExit with its complaint."""
    def run(*arguments: str) -> str:
        try:
            main([*arguments, "--conf", str(site.conf)])
        except SystemExit as end:
            if end.code:
                raise
        return str(capsys.readouterr().out)
    return run


@pytest.fixture
def aloud(site: Site, capsys: pytest.CaptureFixture) -> Run:
    """Run a command that succeeds; returns what it printed, and what it told beside."""
    def aloud(*arguments: str) -> str:
        with pytest.raises(SystemExit) as end:
            main([*arguments, "--conf", str(site.conf)])
        assert not end.value.code
        return "".join(capsys.readouterr())
    return aloud


@pytest.fixture
def fate_flow(site: Site, monkeypatch: pytest.MonkeyPatch) -> FakeFateFlow:
    host = FakeFateFlow(site.settings)

    def open_host(conf: Any) -> FakeFateFlow:
        return host
    monkeypatch.setattr("fate_ext_plugin.cli.rooms.open_host", open_host)
    return host
