"""The in-process door: modules that FATE Flow's ``hook_module`` names. They only adapt; the rules stand in ``auth/``.

FATE Flow only logs an import that fails, and runs without the hook then, which means: allowed (contract section 3).
So importing one never raises. A hook that can't work refuses everything, and the log says why.
"""
from typing import Any, Callable

from fate_ext_plugin.host import fate_flow_hooks
from fate_ext_plugin.host.fate_flow_v1 import server_logger


def registered(register: Callable[[], Callable[[], Any]]) -> None:
    """Run ``register``; where this is the server, also open what its hooks need, so that a start says what is wrong."""
    prepare = register()
    if not fate_flow_hooks.in_server():
        return
    fate_flow_hooks.in_use.append(prepare)
    try:
        prepare()
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        server_logger().error("fate_ext_plugin refuses every request: %s", text)
