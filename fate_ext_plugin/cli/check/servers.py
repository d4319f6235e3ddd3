"""What ``fate-ext check`` makes of several servers on one database."""
import time
from pathlib import Path
from typing import Dict, List, Set

from fate_ext_plugin import __version__
from fate_ext_plugin.apps.blueprint import PREFIX
from fate_ext_plugin.cli.check.findings import Findings
from fate_ext_plugin.cli.flow import Unreachable, exchange
from fate_ext_plugin.db.base import Store, date_of, now_ms
from fate_ext_plugin.db.server import Server as Row
from fate_ext_plugin.errors import Forbidden
from fate_ext_plugin.feature.servers import Server, Servers, all_servers
from fate_ext_plugin.settings.load import ServiceConf, fate_base
from fate_ext_plugin.settings.model import Settings, fingerprints

MAX_SECONDS_OFF = 5.0
LOOK_SECONDS = 0.2


def servers(settings: Settings, conf: Path, store: Store) -> str:
    """Watches the others for a heartbeat, some seconds, where there are any."""
    store.bind([Row])
    found = all_servers(store) if store.call(Row.table_exists) else []
    if len(found) < 2:
        return "this one alone" if found else "none yet"
    findings, living = Findings(), _living(store, found, settings.server_timeout_seconds)
    for server in found:
        if server.instance not in living:
            findings.doubts.append(
                f"{server.address} shows no life since {date_of(server.beat_time)}; start it again, or leave it.")
    there = [server for server in found if server.instance in living]
    for server in there:
        _look_at(server, living[server.instance], settings, findings)
    if len(there) > 1:
        _together(there, settings, ServiceConf(conf), findings)
    files = {server.files for server in there}
    return findings.told(f"{len(there)} of {len(found)} show life" + (
        "" if len(there) < 2 else ", and share their files" if len(files) == 1 else ", each with files of its own"
        if len(files) == len(there) else ""))


def _living(store: Store, found: List[Server], timeout: float) -> Dict[str, float]:
    """Those whose counter grows within the time of one beat, and by how many seconds their clocks are before ours."""
    before = {server.instance: server.heartbeat for server in found}
    living: Dict[str, float] = {}
    deadline = time.monotonic() + Servers.beat_seconds_of(timeout) + 1.0
    while len(living) < len(before) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        for server in all_servers(store):
            if server.instance not in living and server.heartbeat != before.get(server.instance, server.heartbeat):
                living[server.instance] = (server.beat_time - now_ms()) / 1000
    return living


def _look_at(server: Server, seconds_ahead: float, settings: Settings, findings: Findings) -> None:
    name = server.address
    if abs(seconds_ahead) > MAX_SECONDS_OFF:
        findings.doubts.append(
            f"The clock of {name} is {abs(seconds_ahead):.0f} s {'ahead of' if seconds_ahead > 0 else 'behind'} this "
            "machine's; set both.")
    if server.version != __version__:
        findings.doubts.append(f"{name} runs version {server.version}, this is {__version__}.")
    ours = fingerprints(settings)
    other = sorted(key for key in {*ours, *server.settings} if ours.get(key) != server.settings.get(key))
    if other:
        findings.doubts.append(f"{name} runs with other settings than this file's: {', '.join(other)}; make them the "
                               "same and restart it.")
    try:
        answer = exchange("GET", f"{name}{PREFIX}/health")
    except Unreachable as error:
        findings.problems.append(
            f"{name} can't be reached from here, so a download can't be led there: {error.message}. Give each server "
            "an address of its own that the others and FATE Flow's machines reach (fateflow.host; alone, listen.host).")
        return
    if answer.get("code") == Forbidden.code:
        findings.doubts.append(f"{name} refuses this machine: put all servers' machines into its allowed_networks.")
    elif answer.get("code") != 0:
        findings.problems.append(f"What answers at {name} is none of our servers.")


def _together(there: List[Server], settings: Settings, conf: ServiceConf, findings: Findings) -> None:
    addresses: Set[str] = set()
    for server in there:
        if server.address in addresses:
            findings.problems.append(f"Two servers say that they are reached at {server.address}; give each an address "
                                     "of its own (fateflow.host; alone, listen.host).")
        addresses.add(server.address)
    if settings.authentication and settings.authentication.nonces != "database":
        findings.problems.append("Used nonces are not shared, so a captured request counts once on each server; set "
                                 "authentication.nonces: database.")
    if settings.shared_dir and len({server.files for server in there}) > 1:
        findings.problems.append(f"They do not see the same folder, though shared_dir is {settings.shared_dir}: look "
                                 "at what is mounted there.")
    mounted = fate_base(conf.path)
    one_address = conf.get("fateflow", "nginx", "host") if mounted else (
        settings.listen.public != (settings.listen.host, settings.listen.port))
    if not one_address:
        findings.doubts.append("FATE Flow's registry leads to the one that registered last; name nginx in "
                               + ("fateflow.nginx." if mounted else "listen.public_host and public_port."))
    if not settings.trusted_proxies:
        findings.doubts.append("trusted_proxies is empty: behind nginx all callers would seem to be nginx.")
