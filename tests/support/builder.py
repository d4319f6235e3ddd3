"""Builds the site that a test needs: its views, clients, keys and grants, and the settings that matter to the test."""
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Union

from fate_ext_plugin.permission.grant import Grant
from tests.support.credit import credit_view
from tests.support.site import Site
from tests.support.slow_source import NAME, install_slow_source
from tests.support.tables import Tables

#: settings of a view, or the function that makes them for the site's folder
View = Union[Dict[str, Any], Callable[[Path], Dict[str, Any]]]
MakeSite = Callable[..., Site]


def build_site(
    folder: Path, *, views: Optional[Mapping[str, View]] = None, clients: Optional[Mapping[str, Any]] = None,
    private_keys: Optional[Mapping[str, Optional[str]]] = None, partners: Optional[Mapping[str, str]] = None,
    grants: Sequence[Grant] = (), constants: Optional[Mapping[str, Any]] = None, mounted: bool = False, **settings: Any,
) -> Site:
    """A site in ``folder``, not started. What it has is there before the start, so that the server knows it at once.

    :param views: by name; ``credit`` where the site would serve nothing else.
    :param clients: roles by app key, None for a client without one; or all that :meth:`Clients.add` takes. What they
        sign with is in ``site.secrets``.
    :param private_keys: this site's own, PEM by party; None makes a new one.
    :param partners: public keys, PEM by party.
    :param constants: of the server that are others here, by their names in fate_ext_plugin.
    :param mounted: in a host with Werkzeug's server, as FATE Flow's; else ``fate-ext serve``.
    :param settings: the rest of the section.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if views is None:
        views = {} if {"authentication", "permission"} & set(settings) else {"credit": credit_view}
    made = {name: view(folder) if callable(view) else view for name, view in views.items()}
    site = Site(folder, {**settings, **({"views": made} if made else {})})
    if NAME in {view["source"]["type"] for view in made.values()}:
        install_slow_source(site)
    site.module = "tests.support.host_app" if mounted else ""
    site.constants = {f"fate_ext_plugin.{name}": value for name, value in (constants or {}).items()}
    if clients or private_keys or partners or grants:
        tables = Tables(site)
        for app_key, options in (clients or {}).items():
            options = options if isinstance(options, dict) else {"role": options}
            site.secrets[app_key] = tables.clients.add(app_key, **{"name": app_key, **options})
        for party, own in (private_keys or {}).items():
            tables.keys.add_private(party, own)
        for party, public in (partners or {}).items():
            tables.keys.add_public(party, public)
        tables.grants.replace(grants, [])
        tables.close()
    return site


@contextmanager
def sites_in(base: Path) -> Iterator[MakeSite]:
    """A function that builds sites, in ``base`` or a folder of it, and starts each unless told otherwise; all are
    stopped in the end."""
    sites: List[Site] = []

    def make(folder: str = "", start: bool = True, **options: Any) -> Site:
        path = base / folder
        assert path not in [site.folder for site in sites], "each site needs a folder of its own"
        site = build_site(path, **options)
        sites.append(site)
        return site.start() if start else site

    try:
        yield make
    finally:
        for site in sites:
            site.stop()
