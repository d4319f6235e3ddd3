"""The secret behind the capability tokens: one for all servers of a database, since FATE Flow's registry has one url.

It stands in the database, as the tokens themselves do in FATE Flow's registry, and each server keeps a copy in
data_dir. The first server's own becomes the one of all, so that urls which are registered already stay valid.
"""
import secrets

from fate_ext_plugin.db.base import Store, create_once
from fate_ext_plugin.db.server import Secret

NAME = "tokens"


def shared_secret(store: Store, own: bytes) -> bytes:
    """The secret of all servers.

    :param own: this server's copy, which becomes the one of all where it is the first server.
    """
    store.call(lambda: create_once(Secret, f_name=NAME, f_value=own.hex()))
    return bytes.fromhex(store.call(lambda: Secret.get(Secret.f_name == NAME).f_value))


def replace_secret(store: Store) -> None:
    """Make all tokens invalid: each server takes the new secret at its next start."""
    new = secrets.token_bytes(32).hex()
    store.call(lambda: create_once(Secret, f_name=NAME, f_value=new) or Secret.change(f_value=new).where(
        Secret.f_name == NAME).execute())
