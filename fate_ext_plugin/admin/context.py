"""What operators work on: the parts of one server, or of a command on the same database."""
from functools import cached_property
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from fate_ext_plugin.auth.client_store import Clients
from fate_ext_plugin.auth.key_store import SiteKeys
from fate_ext_plugin.auth.secret_box import SecretBox
from fate_ext_plugin.auth.setup import Authentication, open_box, section_of
from fate_ext_plugin.db.migration import migrate
from fate_ext_plugin.errors import InvalidSettings, NotSetUp
from fate_ext_plugin.feature.job import Jobs
from fate_ext_plugin.feature.preview import Sampler
from fate_ext_plugin.feature.storage import Storage
from fate_ext_plugin.monitoring.readiness import Readiness
from fate_ext_plugin.permission.calendar import Calendar
from fate_ext_plugin.permission.check import Permission
from fate_ext_plugin.permission.grants import Grants
from fate_ext_plugin.permission.setup import open_permission, permission_audit_folder
from fate_ext_plugin.settings.model import Settings


class AdminContext:
    """Each part is opened at its first use, as a server opens it. What is opened so owns no lock and runs no jobs: it
    works beside a running server.

    :param settings: of this site.
    :param open_host: opens a :class:`fate_ext_plugin.host.Host`.
    :param parts: what is open already, by the names of the properties; a running server has all of them.
    """

    #: a running server's; commands have none
    authentication: Authentication

    def __init__(self, settings: Settings, open_host: Callable[[], Any], **parts: Any) -> None:
        self.settings, self._open_host = settings, open_host
        vars(self).update(parts)

    @cached_property
    def storage(self) -> Storage:
        storage = Storage(self.settings.data_dir, self.settings.min_free_bytes, self.settings.shared_dir)
        storage.open()
        return storage

    @cached_property
    def host(self) -> Any:
        """With its tables."""
        self.storage  # noqa: B018 - where the database may be
        host = self._open_host()
        migrate(host.store)
        return host

    @cached_property
    def party_id(self) -> str:
        """This site's; '' where it is not known."""
        return str(self.host.party_id())

    def own_party(self, named: Optional[str] = None) -> str:
        """``named``, or this site's own.

        :raises InvalidSettings: none is named, and this site's is not known.
        """
        party = named or self.party_id
        if not party:
            raise InvalidSettings(
                "This site's party ID is not known: name it with --party, or set it in service_conf.yaml (for FATE "
                "Flow party_id, for `fate-ext serve` authentication.party_id).")
        return party

    @cached_property
    def jobs(self) -> Jobs:
        return Jobs(self.host.store)

    @cached_property
    def cancel(self) -> Callable[[str], bool]:
        """Ends a job by its ID, and is false where it has ended. The server that runs it notices by itself."""
        return self.jobs.cancel

    @cached_property
    def sampler(self) -> Sampler:
        return Sampler(self.settings, self.storage)

    @cached_property
    def box(self) -> SecretBox:
        """:raises InvalidSettings: authentication is not set up, or its master key can't be had."""
        self.storage  # noqa: B018 - where the master key may be
        return open_box(section_of(self.settings), make=True)

    @cached_property
    def clients(self) -> Clients:
        box, own = self.box, self.host.own_client()
        return Clients(self.host.store, box, own[0] if own else None)

    @cached_property
    def keys(self) -> SiteKeys:
        box = self.box
        return SiteKeys(self.host.store, box)

    def prove(self) -> None:
        """Before something is stored: it must go under the master key that all the rest is stored under.

        :raises InvalidSettings: this is another one.
        """
        self.clients.all()
        self.keys.ring()

    @cached_property
    def calendar(self) -> Calendar:
        return Calendar(self.settings.permission.time_zone if self.settings.permission else None)

    @cached_property
    def permission(self) -> Permission:
        """:raises NotSetUp: this site has none."""
        if self.settings.permission is None:
            raise NotSetUp("permission is not set up here: fate_ext_plugin.permission is missing in service_conf.yaml; "
                           "add `permission:`, alone for its defaults.")
        return open_permission(self.settings, self.host.store, self.party_id)

    @property
    def grants(self) -> Grants:
        return self.permission.grants

    @property
    def audit_folders(self) -> List[Path]:
        """The folders of the audit log: that of authentication, and that of permission."""
        return [self.settings.data_dir / "audit", permission_audit_folder(self.settings)]

    @cached_property
    def readiness(self) -> Readiness:
        """What a command can see of it: nothing of a server's threads and hooks."""
        checks: Dict[str, Callable[[], object]] = {
            "database": self.jobs.count, "disk": lambda: self.storage.require_usable()}
        if self.settings.authentication:
            checks["authentication"] = self.prove
        if self.settings.permission:
            checks["permission"] = self.permission.require_usable
        return Readiness(checks)
