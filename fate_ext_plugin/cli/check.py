"""What ``fate-ext check`` looks at. It changes nothing: it may run as another user than the server."""
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Callable, List, Tuple, TypeVar

from fate_ext_plugin.db.base import date_of, now_ms
from fate_ext_plugin.errors import DiskFull, ExtError, InvalidSettings
from fate_ext_plugin.settings import Settings

Test = Callable[[], str]
T = TypeVar("T")
# Partners need some days to exchange keys.
SOON_MS = 14 * 86_400_000
NOTHING_YET = "none yet"


def checks(settings: Settings, conf: Path) -> List[Tuple[str, Test]]:
    """Each test by name; it returns what is fine, or raises an ExtError that says what is not."""
    tests = [("disk", partial(disk, settings)), ("database", partial(database, settings, conf))]
    if settings.authentication:
        tests += [("clients", partial(clients, settings, conf)), ("keys", partial(keys, settings, conf))]
    return [*tests, *((f"view {name}", partial(view, settings, name)) for name in sorted(settings.views))]


def disk(settings: Settings) -> str:
    folder = settings.data_dir
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise InvalidSettings(f"data_dir {folder}: {existing} is no folder this user may write to.")
    free = shutil.disk_usage(existing).free
    if free < settings.min_free_bytes:
        raise DiskFull(
            f"The disk of data_dir has {free // 2**20} MiB free, less than min_free_bytes; every upload is refused.")
    return f"{folder}, {free // 2**20} MiB free" + ("" if folder.exists() else ", made at the first start")


def database(settings: Settings, conf: Path) -> str:
    from fate_ext_plugin.cli.database import not_made_yet, open_store

    if not_made_yet(settings, conf):
        return "SQLite in data_dir, made at the first start"
    store = open_store(conf)
    _asked(lambda: store.call(lambda: store.database.execute_sql("SELECT 1")))
    return type(store.database).__name__


def clients(settings: Settings, conf: Path) -> str:
    from fate_ext_plugin.cli.rooms import look_into_rooms

    rooms = _asked(lambda: look_into_rooms(settings, conf))
    if rooms is None:
        return NOTHING_YET
    now = now_ms()
    found = rooms.clients.all().values()
    shut = sum(not client.usable(now) for client in found)
    return f"{len(found)}" + (f", {shut} of them disabled or expired" if shut else "")


def keys(settings: Settings, conf: Path) -> str:
    from fate_ext_plugin.cli.rooms import covered_until, look_into_rooms

    rooms = _asked(lambda: look_into_rooms(settings, conf))
    if rooms is None or not rooms.keys.rows():
        return f"{NOTHING_YET}; the first start makes ours"
    now, ring, own_party = now_ms(), rooms.keys.ring(), rooms.host.party_id()
    partners = ring.public.keys() - {own_party}
    ends = {
        party: covered_until(((key.valid_from, key.valid_until) for key in found), now)
        for party, found in {**ring.public, own_party: ring.private.get(own_party, [])}.items()}
    problems = [f"The last key of party {party} ends {date_of(end)}." for party, end in sorted(ends.items())
                if end is not None and now < end < now + SOON_MS]
    if own_party and ends[own_party] == now:
        problems.insert(0, f"There is no valid private key of our own, party {own_party}; see `fate-ext key "
                           f"{'rotate' if own_party in ring.private else 'generate'}`.")
    if problems:
        raise InvalidSettings(" ".join(problems))
    without = sum(ends[party] == now for party in partners)
    signing = f"party {own_party} can sign" if own_party else "no party_id is set, so nothing can be signed"
    return f"{signing}; {len(partners)} partner(s)" + (f", {without} of them without a valid key" if without else "")


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
        raise InvalidSettings(f"The database refuses us: {' '.join(str(error).split())[:200]}") from None
