"""What ``fate-ext check`` says of the hooks in FATE Flow's service_conf.yaml: which are in force, and the traps around
them (contract section 3)."""
import importlib.util
import os
import re
from functools import partial
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, List, Optional, Tuple

from fate_ext_plugin.apps.service_urls import services_of
from fate_ext_plugin.cli.check.findings import Findings, Tests
from fate_ext_plugin.cli.hook_lines import (
    CLIENT,
    KIND_OF,
    KINDS,
    KNOWN,
    MOUNT,
    OURS,
    OVER_HTTP,
    PERMISSION,
    SITE,
    hook_lines,
    modules,
    of_kind,
    split,
    switch,
    switched_on,
    unknown,
)
from fate_ext_plugin.settings.load import ServiceConf
from fate_ext_plugin.settings.model import Settings

# Releases whose gRPC port the plugin can restrict: from, and before.
FIRST, UNKNOWN = (1, 9), (1, 12)
# What FATE Flow's own hooks over HTTP ask for.
SERVICES = {CLIENT: [CLIENT], SITE: [SITE, "signature"], PERMISSION: [PERMISSION]}


def hook_tests(settings: Settings, conf: ServiceConf, base: Path) -> Tests:
    """:param base: the folder FATE is deployed in."""
    tests: Tests = [("hook_module", partial(hook_module, conf, base))]
    tests += [(f"hook {kind}", partial(hook, kind, settings, conf, base)) for kind in KINDS]
    tests.append(("gRPC", partial(grpc, conf, base)))
    if switched_on(conf, CLIENT) and switched_on(conf, SITE):
        tests.append(("both switches", partial(both_switches, conf, base)))
    return tests


def hook_module(conf: ServiceConf, base: Path) -> str:
    found, lines = Findings(), hook_lines(conf)
    named = modules(lines)
    for name, line in lines.items():
        if not line.strip():
            found.problems.append(f"The line {name} is empty, with which FATE Flow can't start; take it out.")
    for name, module in ((name, module) for name, line in lines.items() for module in split(line)):
        if not installed(module, base):
            hint = ", with a blank around it," if module.strip() != module else ""
            # FATE Flow's start script may put more folders on the path than are on ours.
            told = found.problems if module.strip().startswith(KNOWN) else found.doubts
            told.append(f"The line {name}: {module!r}{hint} can't be found; FATE Flow only logs that, and runs without "
                        "it.")
    if MOUNT not in named:
        found.doubts.append(f"Without {MOUNT} no service of ours is mounted; `fate-ext enable` adds it.")
    return found.told(", ".join(named) or "no module is named")


def hook(kind: str, settings: Settings, conf: ServiceConf, base: Path) -> str:
    """Which hook of a kind is in force: the first that registers one, except for permission, where all are asked."""
    found, on = Findings(), switched_on(conf, kind)
    # While FATE Flow does not ask, nothing can go wrong yet.
    wrong = found.problems if on else found.doubts
    named = [module for module in modules(hook_lines(conf)) if module not in KIND_OF or installed(module, base)]
    asked = of_kind(named, kind)
    strangers = unknown(named)
    if isinstance(switch(conf, kind), str):
        found.doubts.append(f"Its switch says {switch(conf, kind)!r}, a text, which counts as on; write true or false.")
    without = "the plugin refuses everything" if ours_loaded(conf, base) else "FATE Flow lets everyone in"
    if not asked and on and strangers:
        found.doubts.append(f"Unless {' or '.join(strangers)} registers one, {without}.")
    elif not asked and on:
        found.problems.append(f"Without one {without}.")
    if on:
        found.problems += _missing_keys(kind, conf)
    for module in asked if kind == PERMISSION else asked[:1]:
        wrong += _wrong_with(module, kind, settings, conf)
    if asked and kind != PERMISSION:
        before = [module for module in strangers if named.index(module) < named.index(asked[0])]
        if before:
            found.doubts.append(f"It is not asked if {' or '.join(before)}, which comes before, registers one.")
        if OURS[kind] in asked[1:]:
            wrong.append(f"{OURS[kind]} comes later, and only the first is asked.")
    if kind == PERMISSION and on and asked[1:]:
        found.doubts.append("FATE Flow asks them all, and each must agree.")
    if kind == PERMISSION and on and not switched_on(conf, SITE):
        found.doubts.append("Without site authentication anyone can ask in any party's name; switch it on.")
    if kind == PERMISSION and on and _keeps_data_in_sqlite(conf):
        found.doubts.append("FATE Flow opens the MySQL of section database for it, and does not start without.")
    in_force = ", ".join(asked if kind == PERMISSION else asked[:1]) or "none"
    return found.told(f"{in_force}, {'switched on' if on else 'switched off'}")


def _wrong_with(module: str, kind: str, settings: Settings, conf: ServiceConf) -> List[str]:
    section = "permission" if kind == PERMISSION else "authentication"
    if module == OURS[kind] and getattr(settings, section) is None:
        return [f"It refuses everything, because fate_ext_plugin.{section} is missing."]
    if module == OVER_HTTP[CLIENT]:
        return ["It fails on every request: Flask's headers can't be written as JSON."]
    if module == OVER_HTTP[kind]:
        server = conf.get("hook_server_name")
        if not server:
            return ["It fails on every request, because hook_server_name names no server."]
        missing = [name for name in SERVICES[kind] if name not in services_of(settings)]
        if server == settings.server_name and missing:
            return [f"It fails on every request, because {server} does not serve {' and '.join(missing)}."]
    return []


def _missing_keys(kind: str, conf: ServiceConf) -> List[str]:
    """What this site signs its own requests with."""
    if kind == CLIENT:
        return [text for name in ("http_app_key", "http_secret_key")
                for text in _unusable(f"authentication.client.{name}", conf.get("authentication", "client", name))]
    if kind == SITE and not conf.get("party_id"):
        return ["party_id is empty, so this site can't sign its own requests, which are refused then."]
    return []


def _unusable(name: str, value: Any) -> List[str]:
    if not value:
        return [f"{name} is empty, so FATE Flow can't sign its own requests, which are refused then."]
    if not isinstance(value, str):
        return [f"{name} is no text, with which FATE Flow can't sign its own requests; write it in quotes."]
    return []


def both_switches(conf: ServiceConf, base: Path) -> str:
    found = Findings()
    if ours_loaded(conf, base):
        return "scheduling requests are checked by the plugin"
    version = flow_version(base)
    if version and version < (1, 10):
        return "FATE Flow 1.9 checks scheduling requests, too"
    found.problems.append("FATE Flow 1.10 and 1.11 then check no scheduling request; `fate-ext enable` mends that.")
    return found.told("client and site authentication are on")


def grpc(conf: ServiceConf, base: Path) -> str:
    """Whether what partners reach through FATE Flow's gRPC port is restricted to what they need."""
    found = Findings()
    version = flow_version(base)
    if not ours_loaded(conf, base):
        told = found.problems if switched_on(conf, CLIENT) or switched_on(conf, SITE) else found.doubts
        told.append("FATE Flow signs what comes through it with its own app key; `fate-ext enable` restricts it.")
        return found.told("partners reach every path through the gRPC port")
    if version and not FIRST <= version < UNKNOWN:
        found.problems.append(f"FATE Flow {'.'.join(map(str, version))} is not known here, only 1.9 to 1.11. If its "
                              "gRPC code differs, our authentication hooks refuse everything.")
    return found.told("partners reach only scheduling and model paths through the gRPC port")


def ours_loaded(conf: ServiceConf, base: Path) -> bool:
    """Whether FATE Flow loads any module of ours; each restricts the gRPC port, and refuses what no hook decides."""
    ours = {MOUNT, *OURS.values()}
    return any(installed(module, base) for module in modules(hook_lines(conf)) if module in ours)


def _keeps_data_in_sqlite(conf: ServiceConf) -> bool:
    engines = conf.get("default_engines")
    engines = engines if isinstance(engines, dict) else {}
    federation = engines.get("federation") or engines.get("computing")
    return str(federation).lower() == "standalone" and os.environ.get("FORCE_USE_MYSQL", "0") in ("", "0")


def flow_version(base: Path) -> Optional[Tuple[int, ...]]:
    """Of the FATE Flow that is installed; None where its fate.env does not say."""
    try:
        text = (base / "fate.env").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    found = re.search(r"^FATEFlow=(\d+(?:\.\d+)+)", text, re.MULTILINE)
    return tuple(int(part) for part in found.group(1).split(".")) if found else None


def installed(module: str, base: Path) -> bool:
    """Whether FATE Flow finds the module, as far as can be told without running any of it."""
    top, *inner = module.split(".")
    folders = [str(base / "python"), str(base / "fateflow" / "python")]
    spec = (importlib.util.find_spec(top) or PathFinder.find_spec(top, folders)) if top else None
    for part in inner:
        inside = spec.submodule_search_locations if spec else None
        # By the last part of its name: by the whole, a folder without __init__.py asks for its imported parent.
        spec = PathFinder.find_spec(part, list(inside)) if inside else None
    return spec is not None
