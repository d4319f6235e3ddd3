"""FATE Flow's hooks of authentication and permission, with our rules behind them.

Imported in every task worker, where only the signature is used: everything is opened at its first use.
"""
import threading
import time
from typing import Any, Callable, List, Optional, Sequence

from fate_ext_plugin.errors import AUTHENTICATION_ERROR, SERVER_ERROR, ExtError, NotPermitted
from fate_ext_plugin.host.fate_flow_partners import guard_partner_requests
from fate_ext_plugin.host.fate_flow_v1 import (
    FateFlowV1,
    check_scheduling_requests,
    flask_app,
    read_settings,
    server_logger,
)
from fate_ext_plugin.host.own_workers import keep_operation_to_own_workers
from fate_ext_plugin.host.scheduling import refuse_changed_jobs
from fate_ext_plugin.host.switches import refuse_without_hooks, require_hooks
from fate_ext_plugin.util.text import escape_control_characters

RETRY_SECONDS = 5.0


class Once:
    """Opens something at its first use. A failure is raised again for a while, before the next try."""

    def __init__(self, opened: Callable[[], Any]) -> None:
        self._open = opened
        self._lock = threading.Lock()
        self._value: Any = None
        self._error: Optional[Exception] = None
        self._failed = 0.0

    def __call__(self) -> Any:
        if self._value is None:
            with self._lock:
                if self._error is not None and time.monotonic() - self._failed < RETRY_SECONDS:
                    raise self._error.with_traceback(None)  # which would grow each time
                if self._value is None:
                    try:
                        self._value = self._open()
                    except Exception as error:
                        self._error, self._failed = error, time.monotonic()
                        raise
        return self._value


def in_server() -> bool:
    """Whether this process is FATE Flow's server, not a task worker."""
    return flask_app() is not None


def _open_authentication() -> Any:
    from fate_ext_plugin.auth.setup import open_authentication

    if in_server():
        require_closed_side_entrances()
    host = FateFlowV1()
    opened = open_authentication(settings(), host.store, host.party_id(), host.own_client(), host.site_keys)
    _record_database(host)
    return opened


def _open_signer() -> Any:
    from fate_ext_plugin.auth.setup import open_signer

    if in_server():
        return authentication().sites
    host = FateFlowV1()
    return open_signer(settings(), host.store, host.party_id())


def _open_permission() -> Any:
    from fate_ext_plugin.permission.setup import open_permission

    if in_server():
        require_closed_side_entrances()
    host = FateFlowV1()
    _warn_of_switches(host)
    opened = open_permission(settings(), host.store, host.party_id())
    _record_database(host)
    return opened


def _record_database(host: FateFlowV1) -> None:
    """For the commands beside this server, which may have hooks of ours without the mounted services. Where another
    process owns data_dir, it has recorded its own: the mounted services do that themselves, and a second FATE Flow,
    which ends when it finds its port taken, must not write over the first one's record."""
    from fate_ext_plugin.feature.server_database import record_database
    from fate_ext_plugin.feature.storage import Storage

    if not in_server():
        return
    storage = Storage(settings().data_dir, settings().min_free_bytes, settings().shared_dir)
    storage.open()
    lock = storage.try_lock()
    if lock is not None:
        try:
            record_database(host.store, settings().data_dir)
        finally:
            lock.close()


settings = Once(read_settings)
#: this server's :class:`fate_ext_plugin.auth.setup.Authentication`, shared by the hooks and the HTTP services
authentication = Once(_open_authentication)
signer = Once(_open_signer)
#: this server's :class:`fate_ext_plugin.permission.check.Permission`, shared likewise
permission = Once(_open_permission)


def require_guarded_partners() -> None:
    """Restrict what partners reach through this server's gRPC port, where that is not done yet.

    :raises UnsupportedHost: it can't be restricted.
    """
    guard_partner_requests(_note_refusal)


def require_closed_side_entrances() -> None:
    """:raises Exception: the first one that could not be closed; it is tried again."""
    for close in SIDE_ENTRANCES:
        close()


#: what must be usable for the hooks that FATE Flow has registered; each raises where it is not
in_use: List[Callable[[], Any]] = [require_closed_side_entrances, require_hooks]


def close_side_entrances() -> None:
    """Close what FATE Flow leaves open: checks that no hook is registered for, and ways beside its checks.

    Never raises: where one can't be closed, the log says so, and the others are closed all the same. As long as one
    stays open, :data:`authentication` and :data:`permission` refuse everything."""
    for close in SIDE_ENTRANCES:
        try:
            close()
        except Exception as error:
            server_logger().error("fate_ext_plugin: %s", error)


def _refuse_without_hooks() -> None:
    refuse_without_hooks(lambda problem: server_logger().error("fate_ext_plugin: %s", problem))


#: each does nothing where it is done already
SIDE_ENTRANCES: Sequence[Callable[[], None]] = (
    _refuse_without_hooks, check_scheduling_requests, keep_operation_to_own_workers, require_guarded_partners)


def register_client_authentication() -> Callable[[], Any]:
    """Register the hook; returns what opens all that it needs."""
    from fate_flow.hook import HookManager
    from fate_flow.hook.common.parameters import ClientAuthenticationReturn

    def check(parm: Any) -> Any:
        try:
            authentication().clients.check(_client_request(parm))
        except Exception as error:
            return ClientAuthenticationReturn(code=AUTHENTICATION_ERROR, message=explained(error))
        return ClientAuthenticationReturn()

    _first(HookManager.CLIENT_AUTHENTICATION, "client_authentication")
    HookManager.register_client_authentication_hook(check)
    if in_server():
        close_side_entrances()
    return authentication


def register_site_authentication() -> Callable[[], Any]:
    """Register the hooks that sign and verify; returns what opens all that they need."""
    from fate_flow.hook import HookManager
    from fate_flow.hook.common.parameters import AuthenticationReturn, SignatureReturn

    def sign(parm: Any) -> Any:
        return SignatureReturn(site_signature=signer().sign(parm.party_id, parm.body))

    def check(parm: Any) -> Any:
        try:
            authentication().sites.check(
                parm.src_party_id, parm.site_signature, parm.body, _address(), _method_and_path())
        except Exception as error:
            return AuthenticationReturn(code=AUTHENTICATION_ERROR, message=explained(error))
        return AuthenticationReturn()

    _first(HookManager.SITE_SIGNATURE, "signature")
    _first(HookManager.SITE_AUTHENTICATION, "site_authentication")
    HookManager.register_site_signature_hook(sign)
    HookManager.register_site_authentication_hook(check)
    if in_server():
        close_side_entrances()
    return authentication


def register_permission() -> Callable[[], Any]:
    """Register the hook; returns what opens all that it needs."""
    from fate_flow.hook import HookManager
    from fate_flow.hook.common.parameters import PermissionReturn

    def check(parm: Any) -> Any:
        try:
            permission().check({**parm.to_dict(), **_further_columns()}, _job_id(), _address())
        except NotPermitted as error:
            return PermissionReturn(code=error.detail, message=error.message)
        except Exception as error:
            return PermissionReturn(code=SERVER_ERROR, message=explained(error))
        return PermissionReturn()

    HookManager.register_permission_check_hook(check)
    if in_server():
        close_side_entrances()
        refuse_changed_jobs()
    return permission


def _warn_of_switches(host: FateFlowV1) -> None:
    """Of settings of FATE Flow's own that make less of permission than they seem to say."""
    site, component, dataset = host.permission_switches()
    if not site:
        server_logger().warning(
            "fate_ext_plugin: site authentication is off, so anyone who reaches this server can ask for permission in "
            "any party's name; switch it on (authentication.site.switch)")
    for name, switch in (("component", component), ("dataset", dataset)):
        if not switch:
            server_logger().warning(
                "fate_ext_plugin asks for grants of %ss though permission.%s is off in service_conf.yaml; grant * "
                "where all are allowed", name, name)


def _job_id() -> Any:
    """From the path of the request that creates the job: a predict job names another one in its settings."""
    from flask import request

    return (request.view_args or {}).get("job_id")


def _note_refusal(packet: Any, context: Any, refusal: Exception) -> None:
    party, peer = escape_control_characters(packet.header.src.partyId[:20]), str(context.peer())
    what = escape_control_characters(f"{packet.header.operator[:10]} {packet.body.key[:200]}")
    server_logger().warning(
        "fate_ext_plugin refuses a gRPC packet of party %s, from %s, for %s: %s", party, peer, what, refusal)
    try:
        if settings().authentication is not None:
            authentication().audit.write("site", False, party, what, peer, "gRPC path")
    except Exception as error:  # the packet is refused all the same
        server_logger().error("fate_ext_plugin can't write this to the audit log: %s", error)


def _further_columns() -> Any:
    """What else FATE Flow will read the job's data by; it does not hand these over."""
    from flask import request

    body: Any = request.get_json(force=True, silent=True)
    return {name: body.get(name) for name in ("inheritance_info", "train_runtime_conf")}


def explained(error: Exception) -> str:
    """What the caller is told. Whatever may name a path or an address of this server goes to the log instead."""
    if isinstance(error, ExtError):
        if error.public != error.message:
            server_logger().error("fate_ext_plugin refuses a request: %s", error.message)
        return error.public
    server_logger().error("fate_ext_plugin refuses a request: %s: %s", type(error).__name__, error)
    return "fate_ext_plugin can't decide; look at the server's log."


def _first(registered: List[Any], name: str) -> None:
    # FATE Flow asks the first one only (contract section 3).
    if registered:
        server_logger().error(
            "hook_module: another %s hook comes before fate_ext_plugin's, which is never asked then; remove it", name)


def _client_request(parm: Any) -> Any:
    from flask import request

    from fate_ext_plugin.auth.client_signature import ClientRequest

    return ClientRequest(
        full_path=parm.full_path, headers=parm.headers, body=parm.data if parm.json else b"",
        form=parm.form.to_dict() if parm.form else None, method=request.method, address=_address(),
        route=request.path)


def _method_and_path() -> str:
    from flask import request

    return f"{request.method} {request.path}"


def _address() -> Any:
    """Where the request that is served now comes from."""
    from flask import request

    from fate_ext_plugin.util.network import caller_of

    return caller_of(
        request.remote_addr, request.headers.getlist("X-Forwarded-For"), settings().trusted_proxies)
