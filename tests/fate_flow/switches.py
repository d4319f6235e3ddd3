"""FATE Flow's switches of authentication, and how it answers who may not."""
from typing import Any, Dict, Optional

import requests

from tests.fate_flow.flow import GUEST

KEYS = ("test-app-key", "test-secret-key")
CLIENT = {"switch": True, "http_app_key": KEYS[0], "http_secret_key": KEYS[1]}
UNAUTHENTICATED = 109
HOOKS = {"client_authentication": "fate_ext_plugin.hook.client_authentication",
         "site_authentication": "fate_ext_plugin.hook.site_authentication"}
CONF: Dict[str, Any] = {
    "party_id": GUEST, "authentication": {"client": CLIENT, "site": {"switch": True}}, "hook_module": HOOKS}


def retcode(response: requests.Response) -> Optional[int]:
    assert response.status_code == 200
    code: Optional[int] = response.json().get("retcode")
    return code
