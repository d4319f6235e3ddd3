"""Which database the server of a data_dir works on, recorded there for the commands that run beside it.

FATE Flow chooses its database by its environment (FORCE_USE_MYSQL, FATE_PROJECT_BASE). A command in a shell with
another environment would open another database, and what it changes there would never take effect. Databases are
compared by their own random names, not by host or path, of which each has many spellings.
"""
import json
import logging
import os
from pathlib import Path
from typing import Optional, Tuple

from fate_ext_plugin.db.base import Store
from fate_ext_plugin.db.place import kind_of, place_of
from fate_ext_plugin.db.server import Secret
from fate_ext_plugin.errors import InvalidSettings, OtherDatabase
from fate_ext_plugin.feature.database_name import database_name, given_name
from fate_ext_plugin.util.secret_file import replace_secret_file

logger = logging.getLogger(__name__)
FILE = "database"


def record_database(store: Store, data_dir: Path) -> None:
    """For a server that owns ``data_dir``, at its start: this is its database from now on.

    :raises InvalidSettings: the record can't be written.
    """
    new, path = (database_name(store), place_of(store.database)), data_dir / FILE
    try:
        old = _read(path)
    except InvalidSettings as error:
        logger.warning("%s It is written anew.", error.message)
        old = None
    if new == old:
        return
    if old and old[0] != new[0]:
        logger.warning("the database is now %s, it was %s: jobs, clients, keys and grants are those of the new one",
                       new[1], old[1])
    try:
        replace_secret_file(path, json.dumps(dict(zip(("name", "place"), new))).encode("utf-8"))
    except OSError as error:
        raise InvalidSettings(f"{path} can't be written: {error.strerror}.") from None


def require_server_database(store: Store, data_dir: Path) -> None:
    """Refuse to work on another database than the server of ``data_dir``; where none has started yet, on any.

    :raises OtherDatabase: names both, and says how to reach the server's.
    :raises InvalidSettings: the record can't be read.
    """
    recorded = _read(data_dir / FILE)
    if recorded is None:
        return
    name, place = recorded
    store.bind([Secret])
    if given_name(store) == name:
        return
    here = place_of(store.database)
    if here == place:
        raise OtherDatabase(
            f"{here} was replaced since the server of {data_dir} started with it. Restart the server, which then works "
            "on the new one.")
    raise OtherDatabase(
        f"This command would open {here}, but the server of {data_dir} works on {place}. {_way(store, place)} If the "
        "server is to work on the first one, restart it with that.")


def _way(store: Store, place: str) -> str:
    """How this command reaches the server's database."""
    here, there = kind_of(store.database), place.split()[0]
    forced = os.environ.get("FORCE_USE_MYSQL", "0") not in ("", "0")
    if there == "MySQL" and here == "SQLite" and not forced:
        return "If the server is FATE Flow, set FORCE_USE_MYSQL=1 here as in its environment; otherwise name its " \
               "service_conf.yaml with --conf."
    if there == "SQLite" and here == "MySQL" and forced:
        return "Unset FORCE_USE_MYSQL here, as in the server's environment."
    return "Name the service_conf.yaml of the server with --conf, and set FATE_PROJECT_BASE as in its environment."


def _read(path: Path) -> Optional[Tuple[str, str]]:
    """Name and place of the recorded database; None where no server has started yet."""
    try:
        content = json.loads(path.read_text("utf-8"))
        return str(content["name"]), str(content["place"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InvalidSettings(
            f"{path} can't be read: {error.strerror}. It says which database the server works on; run this as the "
            "server's user.") from None
    except (ValueError, KeyError, TypeError):
        raise InvalidSettings(f"{path} is damaged; restart the server, which writes it.") from None
