"""A real nginx in front of several sites, with the configuration that conf/nginx/fate_ext.conf gives operators."""
import re
import subprocess
from pathlib import Path
from typing import List, Optional, Sequence

from tests.support import programs
from tests.support.site import PATIENCE_SECONDS, Site, free_port, wait_until

EXAMPLE = Path(__file__).resolve().parents[2] / "conf" / "nginx" / "fate_ext.conf"
MAIN = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    # How long a test takes decides nothing: a held query waits for its server's answer alone.
    proxy_read_timeout 1h;
    include {folder}/fate_ext.conf;
}}
"""


class Nginx:
    """It answers at 127.0.0.1 and ``port``.

    :param servers: addresses of the servers behind it. :param path: what of them it leads to.
    """

    def __init__(self, folder: Path, servers: Sequence[str], path: str = "/v1/ext/") -> None:
        folder.mkdir()
        self.folder, self.port = folder, free_port()
        self._program = programs.find("nginx", "nginx-light")
        self._process: Optional[subprocess.Popen] = None
        text = EXAMPLE.read_text("utf-8").replace("location /v1/ext/ {", f"location {path} {{")
        text = text.replace("/var/log/nginx", str(folder)).replace("10.0.0.4:9390", f"127.0.0.1:{self.port}")
        upstream = re.findall(r"10\.0\.0\.\d:9390", text)
        assert len(upstream) == len(servers)
        for example, server in zip(upstream, servers):
            text = text.replace(example, server)
        (folder / "fate_ext.conf").write_text(text, "utf-8")
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder), "utf-8")

    def start(self) -> "Nginx":
        # Killed, it would leave its workers behind.
        self._process = programs.start(
            [self._program, "-p", str(self.folder), "-c", "nginx.conf"], at_our_death="TERM", stderr=subprocess.DEVNULL)
        wait_until(self._listens, what=f"nginx to start; its log: {self.folder / 'error.log'}")
        return self

    def _listens(self) -> bool:
        """It writes the file when it does."""
        assert self._process and self._process.poll() is None, (self.folder / "error.log").read_text("utf-8")
        return (self.folder / "nginx.pid").exists()

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(PATIENCE_SECONDS)

    def log(self) -> str:
        """It writes a request's line after the caller has the answer: wait for what you look for."""
        return (self.folder / "fate_ext.log").read_text("utf-8")

    def served_by(self) -> List[str]:
        """The port of the server that answered each request, in turn."""
        return re.findall(r":(\d+)$", self.log(), re.MULTILINE)


class Behind:
    """Sites as their callers see them: one registered url, nginx's. It stands for a :class:`Site` to an ApiReader."""

    def __init__(self, nginx: Nginx, site: Site) -> None:
        self._nginx, self._site = nginx, site

    def url(self, service: str) -> str:
        return self._site.url(service).replace(f":{self._site.port}/", f":{self._nginx.port}/")
