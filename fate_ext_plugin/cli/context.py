"""What a command on this machine works with: its own database and files, opened piece by piece as it needs them."""
from functools import cached_property
from pathlib import Path
from typing import Any, Callable, Dict

from fate_ext_plugin.admin.context import AdminContext
from fate_ext_plugin.auth.client_store import Clients
from fate_ext_plugin.auth.key_store import SiteKeys
from fate_ext_plugin.cli import database
from fate_ext_plugin.cli.rooms import Rooms, open_rooms
from fate_ext_plugin.db.migration import migrate
from fate_ext_plugin.feature.job import Jobs
from fate_ext_plugin.feature.preview import Sampler
from fate_ext_plugin.feature.storage import Storage
from fate_ext_plugin.monitoring.readiness import Readiness
from fate_ext_plugin.permission.calendar import Calendar
from fate_ext_plugin.permission.check import Permission
from fate_ext_plugin.permission.setup import open_permission
from fate_ext_plugin.settings.load import read_settings_file
from fate_ext_plugin.settings.model import Settings


class CommandContext(AdminContext):
    """Works beside a running server: it runs no jobs and owns no lock.

    :param stores: something is sealed under the master key.
    """

    def __init__(self, conf: Path, stores: bool = False) -> None:
        self.__dict__.update(conf=conf, stores=stores)

    @cached_property
    def settings(self) -> Settings:  # type: ignore[override]
        return read_settings_file(self.__dict__["conf"])

    @cached_property
    def storage(self) -> Storage:
        storage = Storage(self.settings.data_dir, self.settings.min_free_bytes, self.settings.shared_dir)
        storage.open()
        return storage

    @cached_property
    def rooms(self) -> Rooms:
        rooms = open_rooms(self.__dict__["conf"])
        return rooms.prove() if self.__dict__["stores"] else rooms

    @cached_property
    def host(self) -> Any:
        """A :class:`fate_ext_plugin.host.Host`, with its tables."""
        if self.settings.authentication:
            return self.rooms.host
        self.storage  # noqa: B018 - where the database may be
        host = database.open_host(self.__dict__["conf"])
        migrate(host.store)
        return host

    @cached_property
    def party_id(self) -> str:  # type: ignore[override]
        return str(self.host.party_id())

    @cached_property
    def clients(self) -> Clients:  # type: ignore[override]
        return self.rooms.clients

    @cached_property
    def keys(self) -> SiteKeys:  # type: ignore[override]
        return self.rooms.keys

    @cached_property
    def jobs(self) -> Jobs:  # type: ignore[override]
        return Jobs(self.host.store)

    def cancel(self, job_id: str) -> bool:  # type: ignore[override]
        """The server that runs it notices by itself."""
        return self.jobs.cancel(job_id)

    @cached_property
    def sampler(self) -> Sampler:  # type: ignore[override]
        return Sampler(self.settings, self.storage)

    @cached_property
    def permission(self) -> Permission:  # type: ignore[override]
        self.storage  # noqa: B018 - where the database may be
        host = database.open_host(self.__dict__["conf"])
        return open_permission(self.settings, host.store, host.party_id())

    @cached_property
    def calendar(self) -> Calendar:  # type: ignore[override]
        return Calendar(self.settings.permission.time_zone if self.settings.permission else None)

    @cached_property
    def readiness(self) -> Readiness:  # type: ignore[override]
        """What a command can see of it: nothing of a server's threads and hooks."""
        checks: Dict[str, Callable[[], object]] = {
            "database": self.jobs.count, "disk": lambda: self.storage.require_usable()}
        if self.settings.authentication:
            checks["authentication"] = self.rooms.prove
        if self.settings.permission:
            checks["permission"] = self.permission.require_usable
        return Readiness(checks)
