"""Commands, run in this process, and how they end."""
import re
from typing import Any, Callable, List, Optional, Tuple

import pytest

from fate_ext_plugin.cli import main
from fate_ext_plugin.host.standalone import Standalone

Run = Callable[..., str]
#: of a site that serves authentication alone
ALONE = {"authentication": {"party_id": "9999"}}


def printed_by(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    """What a command prints that succeeds; raises SystemExit where it fails."""
    try:
        main(list(arguments))
    except SystemExit as end:
        if end.code:
            raise
    return str(capsys.readouterr().out)


def end_of(command: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """How it ends: its complaint, or its exit status where it makes none."""
    with pytest.raises(SystemExit) as end:
        command(*arguments, **options)
    return end.value.code or 0


def fails(command: Callable[..., Any], *arguments: Any, says: str = "", status: int = 1, **options: Any) -> str:
    """A command ends with that status; returns its complaint, which it makes under status 1 alone.

    :param says: a regular expression that is found in it.
    """
    end = end_of(command, *arguments, **options)
    complaint = end if isinstance(end, str) else ""
    assert (1 if complaint else end) == status, end
    assert re.search(says, complaint), complaint
    return complaint


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
