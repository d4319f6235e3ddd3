"""Where the commands of administration are carried out: here, or by a server over REST. The commands do not know."""
from functools import wraps
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Mapping, Optional

import click

from fate_ext_plugin.cli.options import CONF

# Operations that seal something under the master key.
STORING = ("clients.add", "clients.rotate", "keys.add", "policies.change")
MAX_PAGE = 1000
# How the audit log calls where a command on this machine came from.
COMMAND = "command"
Said = Mapping[str, Any]


class Backend:
    """Performs operations of :mod:`fate_ext_plugin.admin.catalog` by name."""

    #: whether this machine's own files can be reached, too
    here = False

    def perform(self, name: str, said: Optional[Said] = None, /, **path: str) -> Any:
        """The operation's outcome, as plain data.

        :param said: what the operation's schema reads; None stands for what is not said.
        :param path: what stands in the operation's path.
        :raises ExtError: it can't be done.
        """
        raise NotImplementedError

    def pages(self, name: str, key: str, limit: Optional[int] = None, **said: Any) -> Iterator[Any]:
        """All that a listing with pages has under ``key``, or the first ``limit``."""
        number, left = 1, limit
        size = min(MAX_PAGE, limit or MAX_PAGE)
        while left is None or left > 0:
            found = self.perform(name, {**said, "page": number, "page_size": size})[key]
            yield from found[:left]
            if len(found) < size:
                return
            number += 1
            left = None if left is None else left - size


class LocalBackend(Backend):
    """On the database and the files that service_conf.yaml names."""

    here = True

    def __init__(self, conf: Path) -> None:
        self.conf = conf

    def perform(self, name: str, said: Optional[Said] = None, /, **path: str) -> Any:
        from fate_ext_plugin.admin.catalog import BY_NAME
        from fate_ext_plugin.admin.operation import Call
        from fate_ext_plugin.permission.grants import user

        operation, values = BY_NAME[name], spoken(said)
        context = self.context(stores=name in STORING)
        loaded = operation.load(context, as_query(values) if operation.method == "GET" else values)
        if operation.changes:
            self.note(f"{operation.method} {operation.url(path)}", operation.noted(values))
        return operation.perform(context, Call(user(), loaded, path, over_http=False))

    def context(self, stores: bool = False) -> Any:
        """A :class:`fate_ext_plugin.cli.context.CommandContext`."""
        from fate_ext_plugin.cli.context import CommandContext

        return CommandContext(self.conf, stores)

    def note(self, what: str, said: Optional[Said] = None) -> None:
        """In the audit log, beside what the running server notes there."""
        from fate_ext_plugin.audit.log import note_beside
        from fate_ext_plugin.auth.client_auth import ADMIN_CHECK
        from fate_ext_plugin.permission.grants import user

        context = self.context()
        context.storage  # noqa: B018 - made, readable by its owner alone
        note_beside(context.trails[0], ADMIN_CHECK, user(), what, COMMAND, said)


def spoken(said: Optional[Said]) -> Dict[str, Any]:
    return {key: value for key, value in (said or {}).items() if value is not None}


def as_query(values: Said) -> Dict[str, str]:
    """As a url holds them."""
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in values.items()}


def administered(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the options that say where it is carried out; it gets that as its first argument."""

    @CONF
    @click.option("--url", metavar="URL", help="The running server to administer over REST, such as "
                                               "http://10.0.0.5:9390; without it, what FILE says on this machine.")
    @click.option("--app-key", "login", metavar="KEY", envvar="FATE_EXT_APP_KEY", show_envvar=True,
                  help="The client to sign with, one with a role; with --url.")
    @click.option("--app-secret-file", "login_secret", type=Path, metavar="FILE", envvar="FATE_EXT_APP_SECRET_FILE",
                  show_envvar=True, help="A file of mode 0600 with its secret; or the secret in FATE_EXT_APP_SECRET.")
    @click.option("--app-algorithm", "signing", default="hmac-sha1", type=click.Choice(["hmac-sha1", "hmac-sha256"]),
                  envvar="FATE_EXT_APP_ALGORITHM", show_envvar=True, show_default=True, help="What it signs with.")
    @wraps(command)
    def opened(
        conf: Path, url: Optional[str], login: Optional[str], login_secret: Optional[Path], signing: str, **options: Any
    ) -> Any:
        if url is None:
            return command(LocalBackend(conf), **options)
        from fate_ext_plugin.cli.remote import RemoteBackend

        return command(RemoteBackend(url, login, login_secret, signing), **options)
    return opened
