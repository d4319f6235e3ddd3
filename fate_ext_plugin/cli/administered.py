"""The options that say where a command of administration is carried out."""
from functools import wraps
from pathlib import Path
from typing import Any, Callable, Optional

import click

from fate_ext_plugin.cli.local import LocalBackend
from fate_ext_plugin.cli.options import CONF


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
