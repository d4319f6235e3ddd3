"""What FATE Flow makes of ``hook_module`` (contract section 3).

It imports each module in order, and of those that register a hook for clients, or for sites, asks the first only.
"""
from typing import Any, Dict, List, Mapping

from fate_ext_plugin.errors import InvalidSettings
from fate_ext_plugin.settings.load import ServiceConf

CLIENT, SITE, PERMISSION = KINDS = "client_authentication", "site_authentication", "permission"
MOUNT = "fate_ext_plugin.mount"
AUTHENTICATION = CLIENT, SITE
#: the section of service_conf.yaml
HOOKS = "hook_module"
OURS = {kind: f"fate_ext_plugin.hook.{kind}" for kind in KINDS}
#: FATE Flow's own, which work in its process
BUILT_IN = {kind: f"fate_flow.hook.flow.{kind}" for kind in KINDS}
#: FATE Flow's own, which ask the services of ``hook_server_name``
OVER_HTTP = {kind: f"fate_flow.hook.api.{kind}" for kind in KINDS}
SWITCHES = {CLIENT: ("authentication", "client", "switch"), SITE: ("authentication", "site", "switch"),
            PERMISSION: ("permission", "switch")}
KNOWN = ("fate_flow.", "fate_ext_plugin.")
#: which kind of hook a module registers, as far as it is known
KIND_OF = {MOUNT: "", **{module: kind for known in (OURS, BUILT_IN, OVER_HTTP) for kind, module in known.items()}}


def hook_lines(conf: ServiceConf) -> Dict[str, str]:
    """The lines of ``hook_module`` by name; a line without a value is empty text.

    :raises InvalidSettings: FATE Flow can't start with what is there.
    """
    found: Any = conf.get(HOOKS)
    lines = {} if found is None else found
    if not isinstance(lines, Mapping) or not all(isinstance(value, (str, type(None))) for value in lines.values()):
        raise InvalidSettings(f"{conf.file_of(HOOKS)}: hook_module must hold lines such as `name: module`.")
    return {str(name): value or "" for name, value in lines.items()}


def split(line: str) -> List[str]:
    """The modules of a line, ``module;module``."""
    return [module for module in line.split(";") if module.strip()]


def modules(lines: Mapping[str, str]) -> List[str]:
    """All modules in the order of their import, as they are written: a blank counts for FATE Flow, too."""
    return [module for line in lines.values() for module in split(line)]


def of_kind(found: List[str], kind: str) -> List[str]:
    """Those that are known to register a hook of this kind, in order."""
    return [module for module in found if KIND_OF.get(module) == kind]


def unknown(found: List[str]) -> List[str]:
    """Those that may register a hook of any kind: neither ours nor FATE Flow's."""
    return [module for module in found if not module.strip().startswith(KNOWN)]


def switched_on(conf: ServiceConf, kind: str) -> bool:
    """Whether FATE Flow asks hooks of this kind at all. Any text counts as on, ``off`` included."""
    return bool(switch(conf, kind))


def switch(conf: ServiceConf, kind: str) -> Any:
    """What stands at the switch."""
    return conf.get(*SWITCHES[kind])
