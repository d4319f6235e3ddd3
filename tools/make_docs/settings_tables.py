"""The tables of docs/settings.md: the schemas of the section fate_ext_plugin, and each setting's ``help``."""
from typing import Any, Iterator, List, Tuple

from markdown import code, table
from marshmallow import fields, missing, validate

from fate_ext_plugin.db.url_schema import DatabaseSchema, DatabaseUrl
from fate_ext_plugin.feature.source import source_types
from fate_ext_plugin.settings.schema import (
    AuthenticationSchema,
    ListenSchema,
    Network,
    ParameterSchema,
    PermissionSchema,
    SettingsSchema,
    SourceField,
    TimeZone,
    ViewSchema,
)
from fate_ext_plugin.util.fields import BasePath, Boolean, Integer, Scalar

# Schemas with the heading that says where in the section they stand. A source's are found by its type.
SCHEMAS: List[Tuple[str, Any]] = [
    ("`fate_ext_plugin`", SettingsSchema),
    ("`fate_ext_plugin.authentication`", AuthenticationSchema),
    ("`fate_ext_plugin.permission`", PermissionSchema),
    ("`fate_ext_plugin.database`", DatabaseSchema),
    ("`fate_ext_plugin.listen`", ListenSchema),
    ("`fate_ext_plugin.views.<name>`", ViewSchema),
    ("`fate_ext_plugin.views.<name>.parameters.<name>`", ParameterSchema),
]
HEAD = ["setting", "type", "default", "allowed", "meaning"]
TYPES = [  # the first that fits counts
    (Boolean, "true or false"), (Integer, "integer"), (fields.Float, "number"), (BasePath, "path"),
    (Network, "IP address or network"), (Scalar, "text or number"), (TimeZone, "time zone"), (DatabaseUrl, "url"),
    (SourceField, "section with a `type`"), (fields.Nested, "section"), (fields.String, "text"),
    (fields.Field, "text, number, true or false"),
]


def tables() -> str:
    sources = [(f"`fate_ext_plugin.views.<name>.source`, `type: {name}`", source.load().settings_schema)
               for name, source in built_in_sources()]
    return "\n".join(f"## {heading}\n\n{table(HEAD, rows(schema()))}" for heading, schema in SCHEMAS + sources)


def built_in_sources() -> Iterator[Tuple[str, Any]]:
    return ((name, source) for name, source in sorted(source_types().items()) if hasattr(source, "module"))


def rows(schema: Any) -> Iterator[List[str]]:
    for name, field in schema.fields.items():
        yield [code(name), type_of(field), default_of(field), ", ".join(allowed(field)), field.metadata["help"]]


def type_of(field: Any) -> str:
    if isinstance(field, fields.List):
        return f"list of {type_of(field.inner)}"
    if isinstance(field, fields.Dict):
        return f"{type_of(field.value_field)} by name"
    return next(name for kind, name in TYPES if isinstance(field, kind))


def default_of(field: Any) -> str:
    """In YAML's words; empty for none, and for a section, whose settings have defaults of their own."""
    if field.required:
        return "required"
    default = field.load_default() if callable(field.load_default) else field.load_default
    if default is missing or default is None or isinstance(field, fields.Nested):
        return ""
    if isinstance(default, bool):
        return code(str(default).lower())
    if isinstance(default, list):
        return code(f"[{', '.join(default)}]")
    return code("{}" if default == {} else '""' if default == "" else str(default))


def allowed(field: Any) -> Iterator[str]:
    """What its validators say, and those of a list's or mapping's items."""
    inner = getattr(field, "inner", None) or getattr(field, "key_field", None)
    for validator in [*field.validators, *(inner.validators if inner else ())]:
        if isinstance(validator, validate.OneOf):
            yield ", ".join(map(code, validator.choices))
        elif isinstance(validator, validate.Range):
            yield between(validator.min, validator.max)
        elif isinstance(validator, validate.Length):
            yield f"{between(validator.equal or validator.min, validator.equal or validator.max)} long"
        elif isinstance(validator, validate.Regexp):
            yield validator.error.rstrip(".")


def between(least: Any, most: Any) -> str:
    if least is None:
        return f"up to {most}"
    if most is None:
        return f"{least} or more"
    return f"{least}" if least == most else f"{least} to {most}"
