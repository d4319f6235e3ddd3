"""The secret behind the capability tokens: one for all servers of a database, since FATE Flow's registry has one url.

It stands in the database, as the tokens themselves do in FATE Flow's registry, and each server keeps a copy in
data_dir. The first server's own becomes the one of all, so that urls which are registered already stay valid.
"""
import secrets

from fate_ext_plugin.db.base import Store, create_once
from fate_ext_plugin.db.server import Secret
from fate_ext_plugin.feature.storage import Storage

NAME = "tokens"


def shared_secret(store: Store, storage: Storage) -> bytes:
    """:raises InvalidSettings: the copy in data_dir can't be used."""
    own = storage.secret()
    store.call(lambda: create_once(Secret, f_name=NAME, f_value=own.hex()))
    shared = bytes.fromhex(store.call(lambda: Secret.get(Secret.f_name == NAME).f_value))
    if shared != own:
        storage.keep_secret(shared)
    return shared


def replace_secret(store: Store) -> None:
    """Make all tokens invalid: each server takes the new secret at its next start."""
    new = secrets.token_bytes(32).hex()
    store.call(lambda: create_once(Secret, f_name=NAME, f_value=new) or Secret.change(f_value=new).where(
        Secret.f_name == NAME).execute())
