"""marshmallow fields that several schemas share."""
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Optional

from marshmallow import ValidationError, fields

# Where relative paths start; a context variable, because marshmallow 4 hands no context to nested schemas.
base_dir: ContextVar[Path] = ContextVar("base_dir")


class Integer(fields.Integer):
    """YAML's integers only: neither ``true`` nor ``"12"``, which marshmallow would take."""

    def _deserialize(self, value: Any, attr: Optional[str], data: Any, **kwargs: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.make_error("invalid", input=value)
        return value


class Boolean(fields.Boolean):
    def _deserialize(self, value: Any, attr: Optional[str], data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class Scalar(fields.Field):
    """A parameter's value: YAML reads 202201 as a number, FATE users mean the text."""

    def _deserialize(self, value: Any, attr: Optional[str], data: Any, **kwargs: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise ValidationError("Must be a text or a number.")
        return str(value)


class BasePath(fields.Field):
    """A path; a relative one starts at :data:`base_dir`."""

    def _deserialize(self, value: Any, attr: Optional[str], data: Any, **kwargs: Any) -> Path:
        if not isinstance(value, str) or not value or "\0" in value:
            raise ValidationError("Must be a path.")
        return base_dir.get() / value


class ExistingFile(BasePath):
    def _deserialize(self, value: Any, attr: Optional[str], data: Any, **kwargs: Any) -> Path:
        path: Path = super()._deserialize(value, attr, data, **kwargs)
        if not path.is_file():
            raise ValidationError(f"There is no file {path}.")
        return path
