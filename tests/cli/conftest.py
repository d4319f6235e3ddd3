"""Commands, run in this process, and what they stored."""
from typing import Any, Callable, List, Optional, Tuple

import pytest

from fate_ext_plugin.cli import main
from fate_ext_plugin.host.standalone import Standalone
from tests.auth.conftest import parsed_once  # noqa: F401 - a fixture
from tests.support.site import Site

Run = Callable[..., str]
#: a site that serves authentication alone
ALONE = {"authentication": {"party_id": "9999"}}


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


class FakeFateFlow(Standalone):
    """A host that has what only FATE Flow has."""

    client: Optional[Tuple[str, str]] = None
    keys: List[Tuple[str, str, str]] = []
    rules: List[Tuple[str, str, str]] = []
    party = "9999"

    def party_id(self) -> str:
        return self.party

    def own_client(self) -> Optional[Tuple[str, str]]:
        return self.client

    def site_keys(self) -> List[Tuple[str, str, str]]:
        return self.keys

    def permission_rules(self) -> List[Tuple[str, str, str]]:
        return self.rules


@pytest.fixture
def fate_flow(site: Site, monkeypatch: pytest.MonkeyPatch) -> FakeFateFlow:
    host = FakeFateFlow(site.settings)

    def open_host(conf: Any) -> FakeFateFlow:
        return host
    monkeypatch.setattr("fate_ext_plugin.cli.rooms.open_host", open_host)
    return host
