"""The settings of a database, key by key."""
import os
from typing import Any, Dict, Mapping, Optional
from urllib.parse import parse_qs, urlsplit

from marshmallow import Schema, ValidationError, fields, post_load, validates_schema

from fate_ext_plugin.db.url import SQLITE, DatabaseSettings
from fate_ext_plugin.util.fields import ExistingFile, base_dir


def refuse_secret(url: str) -> None:
    """Raise where a url holds a password: FATE Flow's /v1/server/get shows settings to anyone (contract section 3)."""
    try:
        parts = urlsplit(url)
        secret = parts.password is not None or any("pass" in k.lower() for k in parse_qs(parts.query))
    except ValueError:
        raise ValidationError("Must be a url.") from None
    if secret:
        raise ValidationError(
            "Holds a password. Take it out of the url and put it in a file of mode 0600 named by "
            "password_file, or in an environment variable named by password_env.")


class DatabaseUrl(fields.String):
    """``sqlite:///path``, ``mysql://user@host:port/name`` or ``postgresql://user@host:port/name``."""

    SCHEMES = ("sqlite", "mysql", "postgresql")

    def _deserialize(self, value: Any, attr: Optional[str], data: Any, **kwargs: Any) -> str:
        url: str = super()._deserialize(value, attr, data, **kwargs)
        refuse_secret(url)
        if urlsplit(url).scheme not in self.SCHEMES:
            raise ValidationError("Must start with sqlite:///, mysql:// or postgresql://.")
        return url


class DatabaseSchema(Schema):
    url = DatabaseUrl(required=True, metadata={"help": "sqlite:///path, mysql://user@host:port/name or "
                                                       "postgresql://user@host:port/name; never with a password"})
    password_file = ExistingFile(load_default=None, metadata={"help": "file of mode 0600 that holds the password"})
    password_env = fields.String(load_default=None, metadata={"help": "environment variable that holds the password"})

    @validates_schema
    def one_password(self, data: Mapping[str, Any], **_: Any) -> None:
        if data.get("password_file") and data.get("password_env"):
            raise ValidationError("Give password_file or password_env, not both.", "password_env")
        if data.get("password_env") and data["password_env"] not in os.environ:
            raise ValidationError("This environment variable is not set.", "password_env")

    @post_load
    def build(self, data: Dict[str, Any], **_: Any) -> Any:
        prefix, path = data["url"][:len(SQLITE)], data["url"][len(SQLITE):]
        if prefix == SQLITE:
            data["url"] = f"{SQLITE}{base_dir.get() / path}"
        return DatabaseSettings(**data)
