"""Stand-ins for the modules of FATE Flow that the plugin's hooks and entrances touch, of the shape of the released code
and no more of it than that. The real ones are in tests/fate_flow."""
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

import pytest

from fate_ext_plugin.host import fate_flow_hooks, fate_flow_v1
from fate_ext_plugin.host.fate_flow_hooks import Once

#: what stands in service_conf.yaml, as FATE Flow's settings name it
SETTINGS: Dict[str, Any] = {
    "CLIENT_AUTHENTICATION": False, "SITE_AUTHENTICATION": False, "PERMISSION_SWITCH": False, "HOOK_MODULE": {},
    "COMPONENT_PERMISSION": False, "DATASET_PERMISSION": False,
    "PARTY_ID": "9999", "HTTP_APP_KEY": "key", "HTTP_SECRET_KEY": "secret", "DATABASE": {},
}
RELEASED: Dict[str, str] = {
    "fate_flow.settings": """
import logging
stat_logger = logging.getLogger("fate_flow_stat")
""",
    "fate_flow.hook.common.parameters": """
class Parameters:
    def __init__(self, **values): vars(self).update(values)
    def to_dict(self): return dict(vars(self))
class ClientAuthenticationParameters(Parameters): pass
class AuthenticationParameters(Parameters): pass
class PermissionCheckParameters(Parameters): pass
class Return:
    def __init__(self, code=0, message="success"): self.code, self.message = code, message
class ClientAuthenticationReturn(Return): pass
class AuthenticationReturn(Return): pass
class PermissionReturn(Return): pass
class SignatureReturn:
    def __init__(self, code=0, site_signature=None): self.code, self.site_signature = code, site_signature
""",
    "fate_flow.hook": """
import importlib
from fate_flow import settings
from fate_flow.hook.common.parameters import *
class HookManager:
    SITE_SIGNATURE, SITE_AUTHENTICATION, CLIENT_AUTHENTICATION, PERMISSION_CHECK = [], [], [], []
    @staticmethod
    def init():
        for modules in settings.HOOK_MODULE.values():
            for module in modules.split(";"):
                try:
                    importlib.import_module(module)
                except Exception as error:
                    settings.stat_logger.exception(error)
    @staticmethod
    def register_site_signature_hook(hook): HookManager.SITE_SIGNATURE.append(hook)
    @staticmethod
    def register_site_authentication_hook(hook): HookManager.SITE_AUTHENTICATION.append(hook)
    @staticmethod
    def register_client_authentication_hook(hook): HookManager.CLIENT_AUTHENTICATION.append(hook)
    @staticmethod
    def register_permission_check_hook(hook): HookManager.PERMISSION_CHECK.append(hook)
    @staticmethod
    def client_authentication(parm):
        hooks = HookManager.CLIENT_AUTHENTICATION
        return hooks[0](parm) if hooks else ClientAuthenticationReturn()
    @staticmethod
    def site_authentication(parm):
        hooks = HookManager.SITE_AUTHENTICATION
        return hooks[0](parm) if hooks else AuthenticationReturn()
    @staticmethod
    def permission_check(parm):
        for hook in HookManager.PERMISSION_CHECK:
            answer = hook(parm)
            if answer.code: return answer
        return PermissionReturn()
""",
    "fate_arch.common.conf_utils": """
def get_base_config(key): return SECTIONS.get(key)
""",
    "fate_arch.common.file_utils": """
def get_project_base_directory(): return SECTIONS["base"]
""",
    "fate_flow.db.db_models": """
from peewee import BigAutoField, CharField, Model, SqliteDatabase
from playhouse.pool import PooledMySQLDatabase
from fate_flow.settings import DATABASE
DB = None
if "path" in DATABASE:
    DB = SqliteDatabase(DATABASE["path"])
elif DATABASE:
    options = dict(DATABASE)
    DB = PooledMySQLDatabase(options.pop("name"), **options)
class SiteKeyInfo(Model):
    f_party_id, f_key_name, f_key = CharField(), CharField(), CharField()
    class Meta:
        database, table_name = DB, "t_site_key_info"
""",
    "fate_flow.db.key_manager": """
class RsaKeyManager:
    @classmethod
    def init(cls): pass
""",
    "fate_flow.utils.requests_utils": "def request(**kwargs): return kwargs",
    "fate_flow.utils.task_utils": """
from fate_flow.utils.requests_utils import request
def task_request_proxy(filter_local=False, force=True):
    def _outer(func):
        def _wrapper(*args, **kwargs):
            return request(method="POST", url="", json={}, headers={})
        return _wrapper
    return _outer
""",
    "fate_flow.utils.grpc_utils": """
from fate_flow.utils.requests_utils import request
class UnaryService:
    @staticmethod
    def unaryCall(_request, context):
        return request(method=_request.header.operator, url=_request.body.key, json={}, headers={})
def wrap_grpc_packet(json_body, http_method, url, src_party_id, dst_party_id, job_id=None, headers=None):
    return json_body
""",
    "fate_flow.utils.api_utils": """
from fate_flow.utils.requests_utils import request
def forward_api(role, request_config): return request(method="POST", url="", json={}, headers={})
""",
    "fate_flow.apps": """
from flask import Flask, jsonify, request
from fate_flow.hook import HookManager
from fate_flow.hook.common.parameters import AuthenticationParameters, ClientAuthenticationParameters
from fate_flow.settings import CLIENT_AUTHENTICATION, SITE_AUTHENTICATION
client_urls_prefix, scheduling_urls_prefix = ["/v1/job"], ["/v1/party", "/v1/operation"]
app = Flask("fate_flow")
app.url_map.strict_slashes = False
app.errorhandler(Exception)(lambda error: get_json_result(100, repr(error)))
def get_json_result(retcode=0, retmsg="success", data=None):
    return jsonify(retcode=retcode, retmsg=retmsg, data=data)
def client_authentication_before_request():
    if request.path.startswith(tuple(scheduling_urls_prefix)): return None
    result = HookManager.client_authentication(ClientAuthenticationParameters(
        full_path=request.full_path, headers=request.headers, form=request.form, data=request.data,
        json=request.get_json(force=True, silent=True)))
    return get_json_result(result.code, result.message) if result.code else None
def site_authentication_before_request():
    if request.path.startswith(tuple(client_urls_prefix)): return None
    result = HookManager.site_authentication(AuthenticationParameters(
        src_party_id=request.headers.get("src_party_id"), site_signature=request.headers.get("site_signature"),
        body=request.get_json(force=True, silent=True)))
    return get_json_result(result.code, result.message) if result.code else None
@app.before_request
def authentication_before_request():
    if CLIENT_AUTHENTICATION: return client_authentication_before_request()
    if SITE_AUTHENTICATION: return site_authentication_before_request()
@app.route("/v1/job/query", methods=["POST"])
@app.route("/v1/party/<job_id>/<role>/<party_id>/start", methods=["POST"])
@app.route("/v1/operation/json_conf/load", methods=["POST"])
def done(**path): return get_json_result()
@app.route("/v1/party/<job_id>/<role>/<party_id>/create", methods=["POST"])
def create(**path):
    from fate_flow import settings
    if settings.PERMISSION_SWITCH:
        answer = HookManager.permission_check(None)
        if answer.code: return get_json_result(108, answer.message)
    return get_json_result()
""",
    "fate_flow.apps.proxy": "from fate_flow.utils.api_utils import forward_api",
}
#: how 1.9 differs from 1.10 and 1.11: it checks scheduling requests, too
OF_1_9 = {"apps": ("""    if CLIENT_AUTHENTICATION: return client_authentication_before_request()
    if SITE_AUTHENTICATION: return site_authentication_before_request()
""", """    return (CLIENT_AUTHENTICATION and client_authentication_before_request()
            or SITE_AUTHENTICATION and site_authentication_before_request() or None)
""")}
Install = Callable[..., Dict[str, Any]]


def install_into(
    monkeypatch: pytest.MonkeyPatch, changes: Mapping[str, Tuple[str, str]],
    settings: Optional[Mapping[str, Any]] = None, sections: Optional[Mapping[str, Any]] = None,
) -> Dict[str, Any]:
    """Make the stand-ins what ``import fate_flow`` finds, and forget which of our modules were imported beside them.

    :param changes: by the last part of a module's name: a text in its source, and what stands there instead.
    :param settings: those of :data:`SETTINGS` that differ.
    :param sections: of service_conf.yaml, and as ``base`` the folder that relative paths start at.
    """
    for name in [name for name in sys.modules if name.startswith(("fate_ext_plugin.hook.", "fate_ext_plugin.mount"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(fate_flow_hooks, "in_use", list(fate_flow_hooks.in_use))
    for name in ("settings", "authentication", "signer", "permission"):
        monkeypatch.setattr(fate_flow_hooks, name, Once(getattr(fate_flow_hooks, name)._open))
    fate_flow_v1._database.cache_clear()
    modules: Dict[str, Any] = {}
    packages = ("fate_arch", "fate_arch.common", "fate_flow", "fate_flow.utils", "fate_flow.db",
                "fate_flow.hook.common")
    for name in (*packages, *RELEASED):
        modules[name] = module = ModuleType(name)
        module.__path__ = []  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)
    for name, source in RELEASED.items():
        if name.rpartition(".")[2] in changes:
            old, new = changes[name.rpartition(".")[2]]
            assert old in source
            source = source.replace(old, new)
        if name == "fate_flow.settings":
            vars(modules[name]).update({**SETTINGS, **(settings or {})})
        vars(modules[name])["SECTIONS"] = sections or {}
        exec(source, vars(modules[name]))
    for name in modules:
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(modules[parent], last, modules[name])
    return modules


def start(modules: Mapping[str, Any]) -> Any:
    """Do what FATE Flow's server does between its pages and its first request; returns a client of its Flask app."""
    modules["fate_flow.hook"].HookManager.init()
    modules["fate_flow.db.key_manager"].RsaKeyManager.init()
    return modules["fate_flow.apps"].app.test_client()


def write_hooks(folder: Path, module: str, *registers: str) -> None:
    """Write a hook module of another vendor into a folder on Python's path; its hooks allow all.

    :param registers: of ``HookManager``'s functions to register, what stands between ``register_`` and ``_hook``.
    """
    lines = [f"HookManager.register_{kind}_hook(lambda parm: AuthenticationReturn())" for kind in registers]
    (folder / f"{module}.py").write_text("\n".join(["from fate_flow.hook import *", *lines, ""]))
