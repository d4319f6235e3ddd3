"""What commands and the console keep of a site, opened in this process."""
from fate_ext_plugin.auth.client_store import Clients
from fate_ext_plugin.auth.key_store import SiteKeys
from fate_ext_plugin.auth.setup import open_box, section_of
from fate_ext_plugin.db.base import Store
from fate_ext_plugin.db.migration import migrate
from fate_ext_plugin.host.standalone import open_database
from fate_ext_plugin.permission.grants import Grants
from fate_ext_plugin.settings.load import parse_settings
from tests.support.site import Site


class Tables:
    """Clients, keys and grants, in the database of a site that may run or not; models are bound to it until they are
    to another."""

    def __init__(self, site: Site) -> None:
        site.data_dir.mkdir(mode=0o700, exist_ok=True)
        # A view's source may be one that only the server's process knows.
        section = {name: value for name, value in site.section.items() if name not in ("views", "default_view")}
        self._settings = parse_settings({"permission": {}, **section}, site.folder)
        self.store = Store(open_database(self._settings))
        migrate(self.store)
        self.grants = Grants(self.store)

    @property
    def clients(self) -> Clients:
        return Clients(self.store, open_box(section_of(self._settings), make=True))

    @property
    def keys(self) -> SiteKeys:
        return SiteKeys(self.store, open_box(section_of(self._settings), make=True))

    def close(self) -> None:
        getattr(self.store.database, "close_all", self.store.database.close)()
