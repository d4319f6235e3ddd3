"""Two servers on one database, behind nginx."""
from pathlib import Path
from typing import Any, Dict, Iterator, List

from fate_ext_plugin.db.base import Store
from fate_ext_plugin.db.migration import MODELS
from fate_ext_plugin.feature.job import Jobs
from tests.support.api_reader import ApiReader
from tests.support.builder import build_site
from tests.support.credit import credit_view
from tests.support.databases import database_url, empty_store
from tests.support.nginx import Behind, Nginx
from tests.support.site import Site, free_port, wait_until
from tests.support.slow_source import slow_view

# Nobody takes a living server for gone, however busy this machine is; but one that a test wants to be gone.
PATIENT, IMPATIENT = 600, 2


class Cluster:
    """Two servers on one database, and nginx in front of them. ``folder`` is what both see of the source ``slow``."""

    def __init__(self, folder: Path, store: Store, changes: Dict[str, Any]) -> None:
        self.folder = folder
        ports = [free_port(), free_port()]
        self.nginx = Nginx(folder / "nginx", [f"127.0.0.1:{port}" for port in ports])
        self.sites: List[Site] = []
        for name, port in zip(("one", "two"), ports):
            site = build_site(
                folder / name, views={"slow": slow_view(folder), "credit": credit_view(folder)}, default_view="slow",
                concurrent_jobs=1, min_free_bytes=0, server_timeout_seconds=PATIENT, metrics=True,
                trusted_proxies=["127.0.0.1"], database=database_url("MYSQL"),
                listen={"port": port, "public_port": self.nginx.port},
                # Each knows at once who is there, and a held query waits for its end alone.
                constants={"feature.servers.MAX_BEAT_SECONDS": 0.3, "apps.feature_app.BEAT_SECONDS": 3600.0}, **changes)
            site.port = port
            self.sites.append(site)
        self.one, self.two = self.sites
        self.behind_nginx = ApiReader(Behind(self.nginx, self.one))  # type: ignore[arg-type]
        store.bind(MODELS)
        self.store, self.jobs = store, Jobs(store)

    def start(self) -> "Cluster":
        for site in self.sites:
            site.start()
        self.nginx.start()
        return self

    def restart(self) -> None:
        """As it was, whatever the test before left."""
        (self.folder / "go").unlink(missing_ok=True)
        for site in self.sites:
            site.resume()
            if site.section["server_timeout_seconds"] != PATIENT:
                site.stop()
                site.write_settings(server_timeout_seconds=PATIENT)
            if not site.runs():
                site.start()
        for site in self.sites:
            wait_until(lambda site=site: site.metric('fate_ext_servers{state="alive"}') == 2,  # type: ignore[misc]
                       what="each to know both")

    def let_notice(self, site: Site) -> None:
        """Let ``site``, which has no job, learn soon that the other server is gone."""
        site.stop()
        site.write_settings(server_timeout_seconds=IMPATIENT)
        site.start()

    def stop(self) -> None:
        self.nginx.stop()
        for site in self.sites:
            site.resume()
            site.stop()


def make_cluster(folder: Path, **changes: Any) -> Iterator[Cluster]:
    with empty_store("mysql", folder) as store:
        cluster = Cluster(folder, store, changes)
        try:
            yield cluster.start()
        finally:
            cluster.stop()
