"""What ``fate-ext check`` looks at. It changes nothing: it may run as another user than the server."""
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Callable, List, Tuple

from fate_ext_plugin.errors import DiskFull, ExtError, InvalidSettings
from fate_ext_plugin.settings import Settings, fate_base

Test = Callable[[], str]


def checks(settings: Settings, conf: Path) -> List[Tuple[str, Test]]:
    """Each test by name; it returns what is fine, or raises an ExtError that says what is not."""
    views = [(f"view {name}", partial(view, settings, name)) for name in sorted(settings.views)]
    return [("disk", partial(disk, settings)), ("database", partial(database, settings, conf)), *views]


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
    from fate_ext_plugin.cli.database import open_store

    if not settings.database and not fate_base(conf) and not settings.data_dir.exists():
        return "SQLite in data_dir, made at the first start"
    store = open_store(conf)
    try:
        store.call(lambda: store.database.execute_sql("SELECT 1"))
    except ExtError:
        raise
    except Exception as error:  # each driver has its own
        raise InvalidSettings(f"The database refuses us: {' '.join(str(error).split())[:200]}") from None
    return type(store.database).__name__


def view(settings: Settings, name: str) -> str:
    settings.views[name].source.inspect()
    return f"{len(settings.views[name].columns)} columns"
