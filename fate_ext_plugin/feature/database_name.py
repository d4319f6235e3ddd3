"""The name of a database, with which the IDs of its jobs begin.

A data_dir may be used with another database, such as an empty one where an operator starts over. All files in it would
then seem to be of deleted jobs; by the name, only files of this database's own jobs are ever deleted.
"""
import secrets
from typing import Optional

from fate_ext_plugin.db.base import Store, create_once
from fate_ext_plugin.db.server import Secret

KEY = "database"


def database_name(store: Store) -> str:
    """8 hexadecimal digits, made once and kept in the database itself."""
    store.call(lambda: create_once(Secret, f_name=KEY, f_value=secrets.token_hex(4)))
    name = given_name(store)
    assert name
    return name


def given_name(store: Store) -> Optional[str]:
    """The name of a database that has one; changes nothing."""
    def read() -> Optional[str]:
        row = Secret.get_or_none(Secret.f_name == KEY) if Secret.table_exists() else None
        return str(row.f_value) if row else None
    return store.call(read)
