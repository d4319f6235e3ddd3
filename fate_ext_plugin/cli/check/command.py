"""What ``fate-ext check`` looks at. It changes nothing: it may run as another user than the server."""
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Callable, Dict, Iterator, Optional, Tuple, TypeVar

from peewee import MySQLDatabase

from fate_ext_plugin.access.guard import AccessGuard
from fate_ext_plugin.apps.service_urls import MAX_URL, service_uris, services_of
from fate_ext_plugin.cli.check.findings import Doubtful, Findings, Problem, Test, Tests
from fate_ext_plugin.cli.check.flow import flow_tests
from fate_ext_plugin.cli.check.hooks import hook_tests
from fate_ext_plugin.cli.check.modes import modes
from fate_ext_plugin.db.base import Store, date_of, now_ms
from fate_ext_plugin.db.place import kind_of
from fate_ext_plugin.errors import DatabaseUnavailable, DiskFull, ExtError, OtherDatabase
from fate_ext_plugin.settings.load import ServiceConf, fate_base
from fate_ext_plugin.settings.model import Settings

T = TypeVar("T")
# Partners need some days to exchange keys.
SOON_MS = 14 * 86_400_000
NOTHING_YET = "none yet"


def checks(settings: Settings, conf: Path, flow: Optional[str] = None) -> Iterator[Tuple[str, Test]]:
    """Each test by name; it returns what is fine, or raises an ExtError that says what is not.

    :param flow: the FATE Flow to look at; None: the one that ``conf`` configures, if it runs.
    """
    service_conf, base = ServiceConf(conf), fate_base(conf)
    tests: Tests = [("disk", partial(disk, settings)), ("modes", partial(modes, settings, conf)),
                    ("database", partial(database, settings, conf)),
                    ("registry", partial(registry, settings, service_conf))]
    stored: Dict[str, Callable[[Settings, Path], str]] = {"servers": servers}
    if settings.authentication:
        stored.update(clients=clients, keys=keys)
    if settings.permission:
        stored["permission"] = permission
    tests += [(name, partial(of_the_server, test, settings, conf)) for name, test in stored.items()]
    tests += [(f"view {name}", partial(view, settings, name)) for name in sorted(settings.views)]
    yield from tests
    if base:
        yield from hook_tests(settings, service_conf, base)
    yield from flow_tests(settings, service_conf, flow)


def of_the_server(test: Callable[[Settings, Path], str], settings: Settings, conf: Path) -> str:
    """A test of what is in the server's database. Where this is another one, the test of the database says so."""
    try:
        return _asked(lambda: test(settings, conf))
    except OtherDatabase:
        raise Doubtful("Not looked at: this is not the server's database.") from None


def disk(settings: Settings) -> str:
    """Of data_dir, and where jobs' files are elsewhere, of that."""
    return "; ".join(_disk(name, folder, settings.min_free_bytes) for name, folder in (
        ("data_dir", settings.data_dir), ("shared_dir", settings.shared_dir)) if folder)


def _disk(name: str, folder: Path, min_free_bytes: int) -> str:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise Problem(f"{name} {folder}: {existing} is no folder this user may write to.")
    free = shutil.disk_usage(existing).free
    if free < max(min_free_bytes, 1):
        raise DiskFull(f"The disk of {name} has {free // 2**20} MiB free, less than min_free_bytes or nothing at all; "
                       "every upload is refused.")
    return f"{folder}, {free // 2**20} MiB free" + ("" if folder.exists() else ", made at the first start")


def database(settings: Settings, conf: Path) -> str:
    from fate_ext_plugin.cli.database import not_made_yet, open_store
    from fate_ext_plugin.db.migration import missing_steps

    if not_made_yet(settings, conf):
        return "SQLite in data_dir, made at the first start"
    store = _asked(lambda: open_store(conf))
    _asked(lambda: store.call(lambda: store.database.execute_sql("SELECT 1")))
    missing = _asked(lambda: missing_steps(store))
    if missing:
        raise Problem(f"Its tables are of an older version: they lack {', '.join(missing)}. Restart the "
                              "server, which brings them up to date.")
    longest = _url_column(store) if fate_base(conf) else None
    if longest is not None and longest < MAX_URL:
        raise Problem(f"The column f_url of t_service_registry_info holds {longest} characters; FATE Flow's "
                              f"own holds {MAX_URL}. Widen it, or MySQL refuses or cuts our urls.")
    return kind_of(store.database)


def _url_column(store: Store) -> Optional[int]:
    """How many characters a registered url may have; None where the database does not care, or has no table yet."""
    if not isinstance(store.database, MySQLDatabase):
        return None
    row = store.call(lambda: store.database.execute_sql(
        "SELECT character_maximum_length FROM information_schema.columns WHERE table_schema = DATABASE() "
        "AND table_name = 't_service_registry_info' AND column_name = 'f_url'").fetchone())
    return row and int(row[0])


def registry(settings: Settings, conf: ServiceConf) -> str:
    """Whether our urls fit into FATE Flow's columns (contract section 1)."""
    host, port = settings.listen.public
    if fate_base(conf.path):
        host, port = (conf.get("fateflow", "nginx", key) or conf.get("fateflow", key) for key in ("host", "http_port"))
    uris = service_uris(AccessGuard(b"any", (), ()), str(host), port, services_of(settings))
    longest = max(len(f"http://{host}:{port}{uri}") for uri in uris.values())
    return f"our urls have up to {longest} characters, of {MAX_URL}"


def servers(settings: Settings, conf: Path) -> str:
    from fate_ext_plugin.cli.check.servers import servers as look
    from fate_ext_plugin.cli.database import not_made_yet, open_store

    if not_made_yet(settings, conf):
        return NOTHING_YET
    try:
        return look(settings, conf, open_store(conf))
    except DatabaseUnavailable:
        raise Doubtful("Not looked at, since the database does not answer.") from None


def clients(settings: Settings, conf: Path) -> str:
    from fate_ext_plugin.auth.client_store import ADMIN
    from fate_ext_plugin.cli.context import look_into_context

    context = look_into_context(settings, conf)
    if context is None:
        return NOTHING_YET
    now = now_ms()
    found = context.clients.all().values()
    shut = sum(not client.usable(now) for client in found)
    admins = any(client.usable(now) and client.role == ADMIN for client in found)
    return f"{len(found)}" + (f", {shut} of them disabled or expired" if shut else "") + (
        "" if admins else "; none has the role admin, so nothing is administered over REST")


def keys(settings: Settings, conf: Path) -> str:
    from fate_ext_plugin.auth.key_store import covered_until
    from fate_ext_plugin.cli.context import look_into_context

    context = look_into_context(settings, conf)
    if context is None or not context.keys.rows():
        return f"{NOTHING_YET}; the first start makes ours"
    now, ring, own_party = now_ms(), context.keys.ring(), context.party_id
    partners = ring.public.keys() - {own_party}
    ends = {
        party: covered_until(((key.valid_from, key.valid_until) for key in found), now)
        for party, found in {**ring.public, own_party: ring.private.get(own_party, [])}.items()}
    problems = [f"The last key of party {party} ends {date_of(end)}." for party, end in sorted(ends.items())
                if end is not None and now < end < now + SOON_MS]
    problems += [f"Parties {', '.join(parties)} have one key, SHA256:{fingerprint}, and can sign in each other's name; "
                 "let each have its own." for fingerprint, parties in sorted(ring.shared().items())]
    if own_party and ends[own_party] == now:
        problems.insert(0, f"There is no valid private key of our own, party {own_party}; see `fate-ext key "
                           f"{'rotate' if own_party in ring.private else 'generate'}`.")
    if problems:
        raise Problem(" ".join(problems))
    without = sum(ends[party] == now for party in partners)
    signing = f"party {own_party} can sign" if own_party else "no party_id is set, so nothing can be signed"
    return f"{signing}; {len(partners)} partner(s)" + (f", {without} of them without a valid key" if without else "")


def permission(settings: Settings, conf: Path) -> str:
    from fate_ext_plugin.cli.database import not_made_yet, open_store
    from fate_ext_plugin.db.permission import Grant
    from fate_ext_plugin.permission.check import OBSERVE
    from fate_ext_plugin.permission.setup import section_of

    found, count = Findings(), 0
    if not not_made_yet(settings, conf):
        store = open_store(conf)
        store.bind([Grant])
        count = store.call(lambda: Grant.select().count() if Grant.table_exists() else 0)
    if section_of(settings).mode == OBSERVE:
        found.doubts.append("It is only observed: every job is allowed.")
    elif not count:
        found.doubts.append("Every job of a partner is refused before you make some; see `fate-ext grant add`.")
    return found.told(f"{count} grant(s)")


def view(settings: Settings, name: str) -> str:
    view = settings.views[name]
    not_compared = view.source.inspect(view.source_columns())
    return f"{len(view.columns)} columns" + (f", not compared: {not_compared}" if not_compared else "")


def _asked(question: Callable[[], T]) -> T:
    try:
        return question()
    except ExtError:
        raise
    except Exception as error:  # each driver has its own
        raise Problem(f"The database refuses us: {' '.join(str(error).split())[:200]}") from None
