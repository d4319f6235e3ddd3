"""What ``fate-ext check`` asks a running FATE Flow. Nothing of it changes anything there."""
import json
import re
from functools import partial
from typing import Any, FrozenSet, Iterator, List, Optional, Tuple
from urllib.parse import parse_qs, urlsplit

from fate_ext_plugin.access.guard import TOKEN_ARGUMENT, AccessGuard
from fate_ext_plugin.apps.blueprint import PREFIX
from fate_ext_plugin.apps.service_urls import services_of
from fate_ext_plugin.cli.check.findings import Doubtful, Findings, Problem, Test
from fate_ext_plugin.cli.flow import Answer, Flow, Refused, Unreachable, exchange
from fate_ext_plugin.cli.hook_lines import CLIENT, HOOKS, MOUNT, OURS, SITE, hook_lines, modules, of_kind, switched_on
from fate_ext_plugin.errors import AUTHENTICATION_ERROR, Forbidden, MethodNotAllowed, NoSuchPath
from fate_ext_plugin.feature.storage import Storage
from fate_ext_plugin.settings.load import ServiceConf, fate_base
from fate_ext_plugin.settings.model import SECTION, Settings
from fate_ext_plugin.util.text import escape_control_characters

# In all versions, and among those that site authentication does not ask about; /v1/version/get is not.
VERSION = "/v1/server/version/get"
# Under a prefix of scheduling requests, where FATE Flow has no such path: even let in, it does nothing.
SCHEDULING = "/v1/initiator/fate-ext-check"
# contract section 2: before, it uploads 0 bytes
API_READER_WORKS = (1, 11, 1)
# What FATE Flow reads at its start only, of that which is looked at here.
READ_AT_START = (HOOKS, "authentication", "permission", SECTION)
# What FATE Flow keeps of a server in its registry.
SERVER_KEYS = {"host", "port", "protocol"}
MAX_SECONDS_OFF = 30.0
# Werkzeug since 2.3, and nginx, drop headers with an underscore, such as FATE's own client's APP_KEY.
DROPS_UNDERSCORES = re.compile(r"nginx|Werkzeug/(?:2\.(?:[3-9]|\d\d)|[3-9]|\d\d)", re.IGNORECASE)


def flow_tests(settings: Settings, conf: ServiceConf, named: Optional[str]) -> Iterator[Tuple[str, Test]]:
    """Of the FATE Flow at ``named``, or of the one that ``conf`` configures; of none where it configures none."""
    base = fate_base(conf.path)
    if not named and not base:
        return
    flow = Flow(named or address(conf), own_keys(conf) if base else None)
    try:
        answer = flow.post(VERSION, {"module": "FATEFlow"})
        if answer.retcode is None:
            answer.data()
    except Unreachable as error:
        yield "FATE Flow", partial(not_running, error, named)
        return
    yield "FATE Flow", partial(version, settings, answer, conf if base else None)
    yield "clock", partial(clock, answer)
    stale = not_read_yet(flow, conf) if base else []
    tests = list(mounted_tests(settings, conf, flow, answer, base is not None))
    yield from ((name, test) for name, test, parts in tests if not parts.intersection(stale))
    if stale:
        yield "restart", partial(restart, stale, [name for name, _, parts in tests if parts.intersection(stale)])


def mounted_tests(
    settings: Settings, conf: ServiceConf, flow: Flow, answer: Answer, base: bool
) -> Iterator[Tuple[str, Test, FrozenSet[str]]]:
    """Each test by name, and the parts of service_conf.yaml whose effect it looks at.

    :param answer: FATE Flow's to a signed request.
    :param base: whether ``conf`` is that of a FATE Flow.
    """
    lines = hook_lines(conf) if base else {}
    if base:
        yield "mounted", partial(mounted, flow, MOUNT in modules(lines)), frozenset({HOOKS, SECTION})
        if MOUNT in modules(lines):
            yield "ready", partial(ready, flow), frozenset(READ_AT_START)
    if answer.retcode != AUTHENTICATION_ERROR and (not base or MOUNT in modules(lines)):
        for name in services_of(settings):
            yield f"service {name}", partial(service, settings, flow, name), frozenset({HOOKS, SECTION})
    if base and switched_on(conf, CLIENT):
        first = of_kind(modules(lines), CLIENT)[:1]
        yield ("unsigned clients", partial(unsigned_clients, flow, first == [OURS[CLIENT]]),
               frozenset({HOOKS, "authentication"}))
    if base and switched_on(conf, SITE):
        yield "unsigned sites", partial(unsigned_sites, flow), frozenset({HOOKS, "authentication"})


def not_read_yet(flow: Flow, conf: ServiceConf) -> List[str]:
    """The parts of service_conf.yaml that a running FATE Flow has read in another form: it was not restarted since.

    FATE Flow tells what it has read to whoever it lets in; where it does not, nothing is known and none is returned.
    """
    stale = []
    for name in READ_AT_START:
        try:
            read = flow.post(f"/v1/server/{name}/get", {}).data()
        except (Refused, Unreachable):
            return []
        if isinstance(read, dict) and read.keys() == SERVER_KEYS:
            continue  # a server of the registry has the same name, and hides it
        if _as_told(conf.get(name)) != (read or None):
            stale.append(name)
    return stale


def _as_told(value: Any) -> Any:
    """``value`` of service_conf.yaml as FATE Flow's JSON shows it: mappings that hold something, and nothing else."""
    return json.loads(json.dumps(value, default=str)) if isinstance(value, dict) and value else None


def restart(stale: List[str], untested: List[str]) -> str:
    """What is left to look at after a restart."""
    raise Doubtful(f"A restart is pending: service_conf.yaml has changed since FATE Flow started ({', '.join(stale)}). "
                   f"Restart FATE Flow and check again. Skipped until then: {', '.join(untested)}.")


def address(conf: ServiceConf) -> str:
    """:raises Problem: it is not configured."""
    host, port = conf.get("fateflow", "host") or "127.0.0.1", conf.get("fateflow", "http_port")
    if not isinstance(port, int):
        raise Problem(f"{conf.file_of('fateflow')}: fateflow.http_port is no number.")
    return f"http://{host}:{port}"


def own_keys(conf: ServiceConf) -> Optional[Tuple[str, str]]:
    """App key and secret with which FATE Flow signs its own calls."""
    client = conf.get("authentication", "client")
    key, secret = (client.get("http_app_key"), client.get("http_secret_key")) if isinstance(client, dict) else ("", "")
    return (str(key), str(secret)) if key and secret else None


def not_running(error: Unreachable, named: Optional[str]) -> str:
    if named:
        raise error
    raise Doubtful(f"{error.message} Not looked at, therefore: its version and clock, whether the plugin is mounted "
                   "and its services registered and reachable, and whether unsigned requests are refused.")


def version(settings: Settings, answer: Answer, conf: Optional[ServiceConf]) -> str:
    """:param conf: with the key that the request was signed with; None where it is not FATE Flow's."""
    try:
        data = answer.data()
    except Refused as error:
        if answer.retcode != AUTHENTICATION_ERROR:
            return f"answers at {answer.url}, and does not tell its version"
        how = "a request signed with the http_app_key of service_conf.yaml" if conf and own_keys(conf) else (
            "an unsigned request, and service_conf.yaml has no http_app_key and http_secret_key to sign with")
        raise Problem(f"It answers at {answer.url}, but refuses {how}: {error.message.rstrip('.')}. Its "
                              "registry was not looked at. Restart it if service_conf.yaml was changed.") from None
    text = str(data.get("FATEFlow") if isinstance(data, dict) else None)
    found = re.match(r"\d+(?:\.\d+)+", text)
    if found and settings.views and tuple(int(part) for part in found.group().split(".")) < API_READER_WORKS:
        raise Doubtful(f"Version {text}: an ApiReader works from FATE Flow 1.11.1 on; older ones upload an empty file, "
                       "which we refuse.")
    return f"version {text} answers at {answer.url.partition('/v1/')[0]}"


def clock(answer: Answer) -> str:
    if answer.seconds_ahead is None:
        raise Doubtful("FATE Flow's answer does not say the time.")
    seconds = round(answer.seconds_ahead)
    if abs(seconds) > MAX_SECONDS_OFF:
        raise Doubtful(f"FATE Flow's is {abs(seconds)} s {'ahead of' if seconds > 0 else 'behind'} this machine's; "
                       "signed requests are refused when clocks are over 60 s apart. Set both.")
    # It is told in whole seconds.
    return f"FATE Flow's is up to {abs(seconds) + 1} s off this machine's; partners' can't be seen from here"


def mounted(flow: Flow, meant: bool) -> str:
    answer = flow.post(f"{PREFIX}/", {}, signed=False)
    if answer.get("code") == NoSuchPath.code:
        return f"at {flow.url}{PREFIX}"
    if answer.status == 503 and answer.get("code"):
        raise Problem("The plugin is mounted, but could not start, and refuses everything; "
                              "fate_flow_stat.log says why.")
    if not meant:
        raise Doubtful("It is not, as hook_module does not name it.")
    raise Problem("It is not. Restart FATE Flow; look for fate_ext_plugin in fate_flow_stat.log.")


def ready(flow: Flow) -> str:
    """Whether the mounted plugin can do its work; where it can't, it says what is wrong."""
    try:
        answer = exchange("GET", f"{flow.url}{PREFIX}/ready")
    except Unreachable as error:
        raise Doubtful(f"It does not say: {error.message}.") from None
    if answer.get("code") == Forbidden.code:
        raise Doubtful("It refuses to tell this machine, which is in none of allowed_networks.")
    if answer.get("code") is None:
        raise Doubtful("It does not answer, since it is not mounted.")
    if answer.get("code") != 0:
        raise Problem(escape_control_characters(str(answer.get("message"))))
    return "the server can do its work"


def service(settings: Settings, flow: Flow, name: str) -> str:
    """Registered with the token of now, and reachable: a method that it does not take is refused only after that."""
    asked = {"server_name": settings.server_name, "service_name": name}
    data = flow.post("/v1/service/query", asked).data()
    rows = data.get("service_info") if isinstance(data, dict) else None
    urls = [row.get("f_url") for row in rows or [] if row.get("f_server_name") == settings.server_name]
    if len(urls) != 1:
        raise Problem(f"FATE Flow's registry has no service {name} of server {settings.server_name}. Restart "
                              "FATE Flow, or run `fate-ext register` where the plugin runs alone.")
    url, found = str(urls[0]), Findings()
    where = urlsplit(url)._replace(query="").geturl()
    token = current_token(settings, name)
    if token is None:
        found.doubts.append("Its token could not be compared: only the server's user can read data_dir.")
    elif parse_qs(urlsplit(url).query).get(TOKEN_ARGUMENT) != [token]:
        found.problems.append("Its token is an old one. Restart FATE Flow, or register again.")
    try:
        code = exchange("PUT", url).get("code")
    except Unreachable as error:
        raise Problem(f"Registered as {where}, which can't be reached from here: {error.message}.") from None
    if code == Forbidden.code and not found.problems:
        found.doubts.append("It refuses this machine, which is in none of allowed_networks.")
    elif code not in (MethodNotAllowed.code, Forbidden.code):
        found.problems.append("What answers there is not this service.")
    return f"{found.told(f'registered as {where}')}, reachable"


def current_token(settings: Settings, service: str) -> Optional[str]:
    """None where this user may not know it, or there is none yet."""
    try:
        (settings.data_dir / "secret").stat()
        return AccessGuard(Storage(settings.data_dir, 0).secret(), (), ()).token(service)
    except OSError:
        return None


def unsigned_clients(flow: Flow, ours: bool) -> str:
    answer = flow.post(VERSION, {"module": "FATEFlow"}, signed=False)
    if answer.retcode == 0:
        raise Problem("They are let in, though client authentication is switched on: no hook is in force. "
                              "Restart FATE Flow, and look at fate_flow_stat.log.")
    if not ours and DROPS_UNDERSCORES.search(answer.headers.get("Server", "")):
        raise Doubtful("Refused, and FATE's own client, too: its header APP_KEY is dropped for the underscore here. "
                       f"{OURS[CLIENT]} finds the key all the same.")
    return "refused"


def unsigned_sites(flow: Flow) -> str:
    answer = flow.post(SCHEDULING, {}, signed=False)
    if "NotFound" in answer.message:
        raise Problem("Scheduling requests are let in, though site authentication is switched on. Restart FATE "
                              "Flow with `fate_ext_plugin.mount` or our hooks in hook_module.")
    return "refused"
