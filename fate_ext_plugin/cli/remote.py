"""Administration of a running server over REST, as a client with a role."""
import json
import os
import re
import time
import uuid
from pathlib import Path
from typing import Any, Dict, Mapping, Optional
from urllib.parse import urlencode, urlsplit

from fate_ext_plugin.admin.catalog import BY_NAME
from fate_ext_plugin.auth.client_signature import ClientRequest, Signer, signed_text
from fate_ext_plugin.cli.backend import Backend, as_query, spoken
from fate_ext_plugin.cli.errors import WrongOption
from fate_ext_plugin.cli.flow import Answer, Refused, Unreachable, exchange
from fate_ext_plugin.util.secret_file import require_secret_file
from fate_ext_plugin.util.text import escape_control_characters

MAX_ANSWER_BYTES = 2**26
# A test of a view takes up to 30 seconds.
ANSWER_SECONDS = 60.0
SECRET = "FATE_EXT_APP_SECRET"
_name = re.compile("[A-Za-z0-9._~:-]+")


class RemoteBackend(Backend):
    """:param url: such as ``https://10.0.0.5:9390``.
    :raises WrongOption: url, app key or secret are missing or can't be used."""

    def __init__(self, url: str, app_key: Optional[str], secret_file: Optional[Path], algorithm: str) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise WrongOption(f"--url must be a url such as http://10.0.0.5:9390, not {url!r}.")
        if not app_key:
            raise WrongOption("--url needs --app-key (or FATE_EXT_APP_KEY): a client of that server with a role.")
        self._url, self._app_key = url.rstrip("/"), app_key
        self._signer = Signer(_secret(secret_file), algorithm)

    def perform(self, name: str, payload: Optional[Mapping[str, Any]] = None, /, **path: str) -> Any:
        """:raises Unreachable: no plugin answers there. :raises Refused: it says no; the message is its own."""
        operation, values = BY_NAME[name], spoken(payload)
        for key, value in path.items():
            if not _name.fullmatch(value) or set(value) == {"."}:
                raise Refused(f"{escape_control_characters(repr(value))} is no {key.replace('_', ' ')}.")
        query = as_query(values) if operation.method == "GET" else {"method": operation.method}
        target = operation.url(path) + (f"?{urlencode(query)}" if query else "")
        body = values if values and operation.method != "GET" else None
        return _outcome(self._exchange(operation.method, target, body))

    def _exchange(self, method: str, target: str, body: Optional[Dict[str, Any]]) -> Answer:
        stamp = {"timestamp": str(round(time.time() * 1000)), "nonce": str(uuid.uuid4())}
        content = b"" if body is None else json.dumps(body).encode("utf-8")
        signature = self._signer.sign(signed_text(ClientRequest(target, stamp, content), self._app_key))
        headers = {"TIMESTAMP": stamp["timestamp"], "NONCE": stamp["nonce"], "APP-KEY": self._app_key,
                   "SIGNATURE": signature}
        try:
            return exchange(method, self._url + target, body, headers, follow=False, most=MAX_ANSWER_BYTES,
                            seconds=ANSWER_SECONDS)
        except Unreachable as error:
            raise Unreachable(f"{self._url} can't be reached: {error.message}.") from None


def _outcome(answer: Answer) -> Any:
    if answer.retcode == 0:
        return answer.get("data")
    if answer.get("code") is not None:
        raise Refused(escape_control_characters(str(answer.get("retmsg") or answer.get("message"))))
    raise Unreachable(f"What answers at {answer.url.partition('?')[0]} is no fate_ext_plugin (HTTP {answer.status}).")


def _secret(file: Optional[Path]) -> str:
    if file is None:
        secret = os.environ.get(SECRET, "")
        if not secret:
            raise WrongOption(f"--url needs a secret: --app-secret-file FILE, or {SECRET}.")
        return secret
    try:
        require_secret_file(file)
        return file.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise WrongOption(f"--app-secret-file can't be read: {reason}: {file}") from None
