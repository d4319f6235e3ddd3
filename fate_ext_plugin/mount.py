"""The entry for FATE Flow's ``hook_module``: importing this module mounts the plugin into the running server.

    hook_module:
      extension: fate_ext_plugin.mount

FATE Flow imports hook modules in every task worker too, so nothing heavy is imported before it is known that this
process is the server (contract section 3).
"""
import logging
import sys
from typing import Any, Optional

REFUSED = "fate_ext_plugin could not start; the reason stands in FATE Flow's fate_flow_stat.log."

#: the mounted plugin, in a server where mounting succeeded
plugin: Optional[Any] = None


def mount() -> None:
    """Mount into this process's FATE Flow server, once; do nothing in a process that has none.

    Never raises: FATE Flow goes on serving the rest. Where mounting fails, our paths answer 503, because FATE Flow's
    own 404 is a 200 that ApiReader takes for a success without data.
    """
    global plugin
    if "fate_flow.apps" not in sys.modules:
        return
    from fate_ext_plugin.errors import ExtError
    from fate_ext_plugin.host import fate_flow_hooks
    from fate_ext_plugin.host import fate_flow_v1 as fate_flow

    app = fate_flow.flask_app()
    if app is None or "fate_ext" in app.blueprints:
        return
    log = fate_flow.server_logger()
    _show_our_log(log)
    fate_flow_hooks.close_side_entrances()
    try:
        plugin = _mount(app, fate_flow)
    except Exception as error:
        log.error("fate_ext_plugin is not mounted: %s: %s", type(error).__name__, " ".join(str(error).split()))
        if not isinstance(error, ExtError):
            log.debug("fate_ext_plugin", exc_info=True)
        _refuse(app, fate_flow, log)
    else:
        log.info("fate_ext_plugin is mounted at /v1/ext")


def _mount(app: Any, fate_flow: Any) -> Any:
    from fate_ext_plugin.access.guard import RedactTokens
    from fate_ext_plugin.apps.blueprint import PREFIX
    from fate_ext_plugin.apps.service_urls import service_uris, services_of
    from fate_ext_plugin.host import fate_flow_hooks
    from fate_ext_plugin.plugin import Plugin

    settings = fate_flow.read_settings()
    host = fate_flow.FateFlowV1()
    mounted = Plugin(
        settings, host, fate_flow_hooks.authentication, fate_flow_hooks.permission, fate_flow_hooks.in_use)
    try:
        uris = service_uris(mounted.guard, host.address[0], host.address[1], services_of(settings))
        manager = mounted.manager()
        logging.getLogger("werkzeug").addFilter(RedactTokens())
        host.register(settings.server_name, *host.address, uris)
        mounted.start()
        app.register_blueprint(manager)
        fate_flow.exempt(f"{PREFIX}/")
    except BaseException:
        mounted.stop()
        raise
    return mounted


def _refuse(app: Any, fate_flow: Any, log: Any) -> None:
    try:
        from fate_ext_plugin.apps.blueprint import PREFIX, refusing_blueprint

        if "fate_ext" not in app.blueprints:
            app.register_blueprint(refusing_blueprint(REFUSED))
        fate_flow.exempt(f"{PREFIX}/")
    except Exception as error:
        log.error("fate_ext_plugin can't refuse requests either: %s", error)


def _show_our_log(log: Any) -> None:
    """Our own log lines go where FATE Flow's do."""
    ours = logging.getLogger("fate_ext_plugin")
    ours.setLevel(logging.INFO)
    for handler in log.handlers:
        if handler not in ours.handlers:
            ours.addHandler(handler)


mount()
