"""What operators work on: the rooms of one server, or of a command on the same database."""
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List, Optional

from fate_ext_plugin.auth.client_store import Clients
from fate_ext_plugin.auth.key_store import SiteKeys
from fate_ext_plugin.auth.setup import Authentication
from fate_ext_plugin.errors import NotSetUp
from fate_ext_plugin.feature.job import Jobs
from fate_ext_plugin.feature.preview import Sampler
from fate_ext_plugin.feature.storage import Storage
from fate_ext_plugin.monitoring.readiness import Readiness
from fate_ext_plugin.permission.calendar import Calendar
from fate_ext_plugin.permission.check import Permission
from fate_ext_plugin.permission.grants import Grants
from fate_ext_plugin.permission.setup import trail_folder
from fate_ext_plugin.settings.model import Settings


@dataclass(frozen=True)
class AdminContext:
    """``party_id``: this site's, '' where it is not known; ``set_up_permission``: None where it is not set up.

    ``cancel``: ends a job by its ID, and is false where it has ended.
    """

    settings: Settings
    party_id: str
    jobs: Jobs
    storage: Storage
    cancel: Callable[[str], bool]
    sampler: Sampler
    authentication: Authentication
    set_up_permission: Optional[Permission]
    readiness: Readiness
    calendar: Calendar

    @property
    def trails(self) -> List[Path]:
        """The folders of the audit log."""
        return [self.settings.data_dir / "audit", trail_folder(self.settings)]

    @property
    def clients(self) -> Clients:
        return self.authentication.client_table

    @property
    def keys(self) -> SiteKeys:
        return self.authentication.keys

    @property
    def permission(self) -> Permission:
        """:raises NotSetUp: this site has none."""
        if self.set_up_permission is None:
            raise NotSetUp("permission is not set up here: fate_ext_plugin.permission is missing in service_conf.yaml.")
        return self.set_up_permission

    @property
    def grants(self) -> Grants:
        return self.permission.grants
