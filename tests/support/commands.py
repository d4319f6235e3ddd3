"""Commands, run in this process."""
from typing import Callable, List, Optional, Tuple

from fate_ext_plugin.host.standalone import Standalone

Run = Callable[..., str]
#: of a site that serves authentication alone
ALONE = {"authentication": {"party_id": "9999"}}


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
