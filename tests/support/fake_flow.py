"""A FATE Flow on a real socket, as far as ``fate-ext`` talks to one; the answers are those of 1.11.2."""
import json
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import time
from typing import Any, Dict, List, Optional, Tuple

from fate_ext_plugin.auth.client_signature import ClientRequest, Signer, signed_text

VERSION = "/v1/server/version/get"
NOT_FOUND = {"retcode": 100, "retmsg": "<NotFound '404: Not Found'>"}
UNAUTHENTICATED = {"retcode": 109, "retmsg": "requirement headers parameters"}
SUCCESS = (200, b'{"retcode": 0, "retmsg": "success"}')
Reply = Tuple[int, Any]


class FakeFlow(ThreadingHTTPServer):
    """``plugin`` is what answers under /v1/ext; ``keys``: app key and secret, where it authenticates clients."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.received: List[Tuple[str, Any]] = []
        #: answers every call, where it is set
        self.answer: Optional[Tuple[int, bytes]] = None
        self.version = "1.11.2"
        self.server_header = "Werkzeug/2.2.3 Python/3.8.18"
        self.seconds_ahead = 0.0
        self.plugin: Reply = (404, {"code": 40401, "message": "There is no such service. This is fate_ext_plugin."})
        #: what a url of the plugin answers, by its path
        self.services: Dict[str, Reply] = {}
        #: registered urls by service
        self.registry: Dict[str, str] = {}
        self.keys: Optional[Tuple[str, str]] = None
        self.checks_sites = False
        #: what it has read of service_conf.yaml at its start; None: it does not tell
        self.conf: Optional[Dict[str, Any]] = None

    def start(self) -> "FakeFlow":
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def stop(self) -> None:
        self.shutdown()
        self.server_close()

    def reply(self, path: str, body: Any, headers: Dict[str, str], raw: bytes) -> Reply:
        where = path.partition("?")[0]
        if where in self.services:
            return self.services[where]
        if where.startswith("/v1/ext"):
            return self.plugin
        if where.startswith("/v1/initiator/"):
            return 200, UNAUTHENTICATED if self.checks_sites else NOT_FOUND
        if self.keys and not self._signed(path, headers, raw):
            return 200, UNAUTHENTICATED
        if where == VERSION:
            return 200, {"retcode": 0, "retmsg": "success", "data": {body["module"]: self.version, "API": "v1"}}
        if self.conf is not None and where.startswith("/v1/server/"):
            read = self.conf.get(where.split("/")[3])
            told = {"data": read} if isinstance(read, dict) else {}
            return 200, {"retcode": 0, "retmsg": "success", **told}
        if where == "/v1/service/query":
            name = body["service_name"]
            rows = [{"f_server_name": "fate_ext", "f_service_name": name, "f_url": url}
                    for service, url in self.registry.items() if service == name]
            return 200, {"retcode": 0, "retmsg": "success", "data": {"service_info": rows}}
        return 200, NOT_FOUND

    def _signed(self, path: str, headers: Dict[str, str], raw: bytes) -> bool:
        assert self.keys
        if headers.get("app-key") != self.keys[0]:
            return False
        text = signed_text(ClientRequest(path, headers, raw), self.keys[0])
        return Signer(self.keys[1], "hmac-sha1").accepts(text, headers["signature"])


class Handler(BaseHTTPRequestHandler):
    server: FakeFlow

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.loads(raw) if raw else None
        self.server.received.append((self.path, body))
        if self.server.answer is not None:
            status, content = self.server.answer
        else:
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, reply = self.server.reply(self.path, body, headers, raw)
            content = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST

    def version_string(self) -> str:
        return self.server.server_header

    def date_time_string(self, timestamp: Any = None) -> str:
        return formatdate(time() + self.server.seconds_ahead, usegmt=True)

    def log_message(self, format: str, *args: Any) -> None:
        pass
