"""The way from YAML to the settings, and what is said of mistakes there."""
from pathlib import Path
from typing import Any, Iterator, List, Mapping, Optional, Sequence

from fate_ext_plugin.errors import InvalidSettings
from fate_ext_plugin.settings.model import SECTION, Settings


def parse_settings(section: Any, start: Path) -> Settings:
    """Validate the section and build the object.

    :param section: what YAML gave for the key ``fate_ext_plugin``.
    :param start: the folder at which relative paths start.
    :raises InvalidSettings: names each wrong key, what was found and what is allowed.
    """
    # slow to import, and `fate-ext --help` reads no settings
    from marshmallow import ValidationError

    from fate_ext_plugin.settings.schema import SettingsSchema
    from fate_ext_plugin.util.fields import base_dir

    if not isinstance(section, Mapping):
        raise InvalidSettings(
            f"{SECTION}: the section is missing or is no mapping; add it to service_conf.yaml with at least "
            "data_dir, and views, authentication or permission.")
    schema = SettingsSchema()
    token = base_dir.set(start)
    try:
        settings: Settings = schema.load(section)
    except ValidationError as error:
        raise InvalidSettings("; ".join(explain(error.normalized_messages(), section, schema))) from None
    finally:
        base_dir.reset(token)
    return settings


class ServiceConf:
    """A service_conf.yaml: a key of ``local.<name>`` beside it goes before its own, whole, as with FATE's own reader
    (``fate_arch.common.conf_utils``)."""

    def __init__(self, path: Path) -> None:
        """:raises InvalidSettings: one of the two can't be read."""
        self.path, self._local_path = path, path.with_name(f"local.{path.name}")
        self._own = read_yaml(path)
        self._local = read_yaml(self._local_path) if self._local_path.exists() else {}

    def get(self, *keys: str) -> Any:
        """What stands under nested keys; None where nothing does."""
        found: Any = self._local if keys[0] in self._local else self._own
        for key in keys:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found

    def __contains__(self, key: str) -> bool:
        return key in self._local or key in self._own

    def file_of(self, key: str) -> Path:
        """The file whose ``key`` counts, or would."""
        return self._local_path if key in self._local else self.path


def read_settings_file(path: Path) -> Settings:
    """:raises InvalidSettings: the file can't be read, or our section can't be used."""
    return parse_settings(ServiceConf(path).get(SECTION), fate_base(path) or path.resolve().parent)


def fate_base(path: Path) -> Optional[Path]:
    """The folder FATE is deployed in, where ``path`` is its conf/service_conf.yaml; relative paths start there then."""
    return path.resolve().parent.parent if "fateflow" in read_yaml(path) else None


def read_yaml(path: Path) -> Mapping[str, Any]:
    """:raises InvalidSettings: it can't be read, is no YAML mapping, or holds a key twice."""
    import yaml

    from fate_ext_plugin.settings import strict_yaml

    try:
        content = strict_yaml.load(path.read_text("utf-8"))
    except OSError as error:
        raise InvalidSettings(f"{path} can't be read: {error.strerror}. Name it with --conf.") from None
    except strict_yaml.DuplicateKey as error:
        raise InvalidSettings(f"{path}: {error}; take one of them out.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, Mapping):
        raise InvalidSettings(f"{path} must be a YAML mapping.")
    return content


def explain(messages: Any, found: Any, schema: Any, path: Sequence[str] = (SECTION,)) -> Iterator[str]:
    """One sentence for each wrong key out of marshmallow's tree of messages."""
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            # Levels of marshmallow's own: a whole schema, and the items of a Dict.
            if key == "_schema" or (key in ("key", "value") and not _has(found, key)):
                yield from explain(inner, found, schema, path)
            else:
                yield from explain(inner, _get(found, key), _inner_schema(schema, key), (*path, str(key)))
        return
    for message in _texts(messages):
        where = ".".join(path)
        if message == "Unknown field.":
            yield f"{where}: unknown key. Allowed here: {', '.join(_siblings(schema)) or 'see the documentation'}"
        elif message.startswith("Missing data"):
            yield f"{where}: required, but missing"
        else:
            yield f"{where}: {message}{_shown(found)}"


class _UnknownKey:
    """Stands for the schema of a key that does not exist, to name the keys that do."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent


def _inner_schema(schema: Any, key: Any) -> Any:
    from marshmallow import Schema, fields

    if isinstance(schema, fields.Dict):
        return schema.value_field
    if isinstance(schema, fields.Nested):
        schema = schema.schema
    if isinstance(schema, Schema):
        return schema.fields.get(key, _UnknownKey(schema))
    return _UnknownKey(schema)


def _siblings(schema: Any) -> List[str]:
    parent = schema.parent if isinstance(schema, _UnknownKey) else None
    return sorted(getattr(parent, "fields", ()))


def _has(found: Any, key: Any) -> bool:
    return isinstance(found, Mapping) and key in found


def _get(found: Any, key: Any) -> Any:
    if isinstance(found, Mapping):
        return found.get(key)
    if isinstance(found, list) and isinstance(key, int) and key < len(found):
        return found[key]
    return None


def _texts(messages: Any) -> List[str]:
    return [str(m) for m in messages] if isinstance(messages, list) else [str(messages)]


def _shown(found: Any) -> str:
    """What was found, unless it may hold a secret or is long."""
    text = repr(found)
    if found is None or isinstance(found, (Mapping, list)) or len(text) > 80 or "://" in text:
        return ""
    return f" Found: {text}"
