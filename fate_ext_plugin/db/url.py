"""A database by its url: of the plugin itself, and of the source ``sql``."""
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Optional
from urllib.parse import quote, urlsplit, urlunsplit

from fate_ext_plugin.errors import InvalidSettings
from fate_ext_plugin.util.secret_file import require_secret_file

SQLITE = "sqlite:///"


@dataclass(frozen=True)
class DatabaseSettings:
    """A database by url; the password is read where it is used and never kept."""

    url: str
    password_file: Optional[Path] = None
    password_env: Optional[str] = None

    def password(self) -> Optional[str]:
        """The password, without a line end; None where none is set.

        :raises InvalidSettings: the file can't be read, or others than its owner may read it.
        """
        if self.password_env:
            return os.environ.get(self.password_env)
        if not self.password_file:
            return None
        try:
            require_secret_file(self.password_file)
            return self.password_file.read_text("utf-8").rstrip("\r\n")
        except OSError as error:
            raise InvalidSettings(f"password_file can't be read: {error.strerror}: {self.password_file}") from None

    def url_with_password(self) -> str:
        password = self.password()
        if password is None:
            return self.url
        parts = urlsplit(self.url)
        user, at, host = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}{at}{host}"))
