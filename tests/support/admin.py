"""A program that administers a site over REST, written after docs/administration.md alone."""
import base64
import hmac
import json
import time
import uuid
from typing import Any, Dict, Optional, Union
from urllib.parse import urlencode

import requests

from tests.support.site import PATIENCE_SECONDS

PREFIX = "/v1/ext/admin"


class Admin:
    """Signs each request with ``app_key`` and ``secret`` and sends it to ``url``."""

    def __init__(self, url: str, app_key: str, secret: str, algorithm: str = "sha1") -> None:
        self.url, self.app_key, self.secret, self.algorithm = url, app_key, secret, algorithm
        #: all answers so far, as text
        self.seen = ""

    def prepare(
        self, method: str, path: str, query: Optional[Dict[str, Any]] = None, body: Any = None,
        raw: Union[None, bytes] = None, signed: Optional[str] = None,
    ) -> requests.PreparedRequest:
        """:param raw: the body, instead of ``body`` as JSON.
        :param signed: what is signed as path and query, instead of the right one."""
        query = query or {}
        if method != "GET":
            query = {**query, "method": method}
        target = f"{PREFIX}{path}{'?' + urlencode(query) if query else ''}"
        content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        stamp, nonce = str(round(time.time() * 1000)), str(uuid.uuid4())
        text = b"\n".join([stamp.encode(), nonce.encode(), self.app_key.encode(), (signed or target).encode(), content,
                           b""])
        digest = hmac.new(self.secret.encode(), text, self.algorithm).digest()
        headers = {"TIMESTAMP": stamp, "NONCE": nonce, "APP-KEY": self.app_key,
                   "SIGNATURE": base64.b64encode(digest).decode()}
        if content:
            headers["Content-Type"] = "application/json"
        return requests.Request(method, f"{self.url}{target}", data=content, headers=headers).prepare()

    def send(self, request: requests.PreparedRequest) -> requests.Response:
        with requests.Session() as session:
            response = session.send(request, timeout=PATIENCE_SECONDS, allow_redirects=False)
        self.seen += response.text
        return response

    def ask(self, method: str, path: str, query: Optional[Dict[str, Any]] = None, body: Any = None,
            **options: Any) -> requests.Response:
        return self.send(self.prepare(method, path, query, body, **options))

    def done(self, method: str, path: str, query: Optional[Dict[str, Any]] = None, body: Any = None) -> Any:
        """``data`` of what must succeed."""
        response = self.ask(method, path, query, body)
        assert response.status_code == 200, response.text
        answer = response.json()
        assert set(answer) == {"retcode", "retmsg", "data"} and (answer["retcode"], answer["retmsg"]) == (0, "success")
        assert response.headers["Cache-Control"] == "no-store"
        return answer["data"]

    def get(self, path: str, **query: Any) -> Any:
        return self.done("GET", path, query)
