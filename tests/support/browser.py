"""What stands between a test and the pages of the console."""
import re
from html.parser import HTMLParser
from typing import Any, Dict, List, Optional, Set, Tuple

import requests

from tests.support.site import Site

ADMIN, VIEWER = "ops-admin", "ops-viewer"
CONSOLE = "/v1/ext/console"
PAGES = ["", "jobs", "views", "clients", "keys", "grants", "explain", "audit", "site"]
#: clients by app key, for :func:`tests.support.builder.build_site`
CLIENTS = {app_key: {"name": app_key.title(), "role": role}
           for app_key, role in ((ADMIN, "admin"), (VIEWER, "viewer"), ("a-program", None))}


def console_of(site: Site) -> str:
    """Where it begins."""
    return f"{site.address}{CONSOLE}"


class Browser:
    """As much of one as HTTP needs: it keeps cookies, and sends a page's forms with what is hidden in them."""

    def __init__(self, site: Site, **headers: str) -> None:
        self.site, self.http = site, requests.Session()
        self.http.headers.update({"Accept-Language": "en", **headers})
        self.page: Optional[requests.Response] = None

    def get(self, path: str = "", **options: Any) -> requests.Response:
        self.page = self.http.get(f"{console_of(self.site)}/{path}", timeout=60, **options)
        return self.page

    def post(self, path: str, headers: Optional[Dict[str, str]] = None, **fields: Any) -> requests.Response:
        """Send a form of the page that was loaded last, as a browser of these days does. Follows no redirect."""
        fields.setdefault("form_token", self.form_token())
        return self.http.post(
            f"{console_of(self.site)}/{path}", data=fields, timeout=60, allow_redirects=False,
            headers={"Origin": self.site.address} if headers is None else headers)

    def submit(self, path: str, **fields: Any) -> requests.Response:
        """:meth:`post` what must succeed; returns the page that follows."""
        response = self.post(path, **fields)
        assert response.status_code == 303, Seen(response).text
        location = response.headers["Location"]
        assert location.startswith(CONSOLE)
        return self.get(location[len(CONSOLE) + 1:])

    def form_token(self) -> str:
        assert self.page is not None, "load a page first"
        found = re.search(r'name="form_token" value="([^"]+)"', self.page.text)
        assert found, self.page.text
        return found.group(1)

    def sign_in(self, app_key: str = ADMIN, secret: Optional[str] = None) -> "Browser":
        self.get("sign-in")
        response = self.post("sign-in", app_key=app_key, secret=secret or self.site.secrets[app_key])
        assert response.status_code == 303, Seen(response).text
        self.get()
        return self


class Seen(HTMLParser):
    """What a browser makes of a page: its elements, their attributes, and its text."""

    def __init__(self, response: requests.Response) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: List[Tuple[str, Dict[str, str]]] = []
        self._texts: List[str] = []
        self.feed(response.text)

    def handle_starttag(self, tag: str, attrs: List[Tuple[str, Optional[str]]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("b", "span", "bdi", "a"):
            self._texts.append(" ")

    def handle_data(self, data: str) -> None:
        self._texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self._texts).split())

    @property
    def tags(self) -> Set[str]:
        return {tag for tag, _ in self.elements}

    def all(self, tag: str, **wanted: str) -> List[Dict[str, str]]:
        return [found for name, found in self.elements if name == tag and wanted.items() <= found.items()]

    def field(self, name: str) -> Dict[str, str]:
        """The one input, select or area of that name."""
        found = [attributes for _, attributes in self.elements if attributes.get("name") == name]
        assert len(found) == 1, f"{len(found)} fields are called {name}"
        return found[0]
