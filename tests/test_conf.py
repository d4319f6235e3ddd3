"""conf/service_conf.yaml is what an operator copies: it must work, and explain every setting there is."""

import dataclasses
import re
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest
from marshmallow import Schema

from fate_ext_plugin.db.url_schema import DatabaseSchema
from fate_ext_plugin.feature.source.file import FileSchema
from fate_ext_plugin.feature.source.spark import SparkSchema
from fate_ext_plugin.feature.source.sql import SqlSchema
from fate_ext_plugin.settings.load import read_settings_file, read_yaml
from fate_ext_plugin.settings.model import Settings
from fate_ext_plugin.settings.schema import (
    AuthenticationSchema,
    ListenSchema,
    ParameterSchema,
    PermissionSchema,
    SettingsSchema,
    ViewSchema,
)

CONF = Path(__file__).resolve().parent.parent / "conf"
TEXT = (CONF / "service_conf.yaml").read_text("utf-8")
SCHEMAS: List[Any] = [
    SettingsSchema, AuthenticationSchema, PermissionSchema, DatabaseSchema, ListenSchema, ViewSchema, ParameterSchema,
    FileSchema, SparkSchema, SqlSchema]
SETTINGS = [(schema, name) for schema in SCHEMAS for name in schema().fields]


@pytest.fixture
def conf(tmp_path: Path) -> Iterator[Path]:
    """The file with its paths in a temporary folder."""
    (tmp_path / "secrets").mkdir()
    password = tmp_path / "secrets" / "crm"
    password.touch(0o600)
    yield tmp_path / "service_conf.yaml"


def loaded(conf: Path, text: str) -> Settings:
    conf.write_text(text.replace("/data/projects/fate", str(conf.parent)), "utf-8")
    return read_settings_file(conf)


def uncommented(text: str) -> str:
    """With every ``#name: value`` in force; prose has a blank after its #."""
    text = re.sub(r"^( *)#(  )?([a-z_0-9]+:.*)$", r"\1\2\3", text, flags=re.MULTILINE)
    return re.sub(r"^( *)#  # .*\n", "", text, flags=re.MULTILINE)


def values(settings: Settings) -> Dict[str, Any]:
    """Everything in it but the sources, which are objects without a notion of equality."""
    plain = dataclasses.asdict(dataclasses.replace(settings, views={}))
    for name, view in settings.views.items():
        plain[name] = dataclasses.asdict(dataclasses.replace(view, source=None))  # type: ignore[arg-type]
        plain[name]["source"] = view.source.options
    return plain


def test_the_file_is_valid(conf: Path) -> None:
    assert sorted(loaded(conf, TEXT).views) == ["credit", "customers", "history"]


def test_what_is_commented_out_is_the_default(conf: Path) -> None:
    assert uncommented(TEXT) != TEXT
    written, default = loaded(conf, uncommented(TEXT)), loaded(conf, TEXT)
    assert default.authentication is default.permission is None  # the lines alone switch them on, with these defaults
    alone = loaded(conf, TEXT.replace("#authentication:", "authentication:").replace("#permission:", "permission:"))
    assert (written.authentication, written.permission) == (alone.authentication, alone.permission)
    assert values(dataclasses.replace(written, authentication=None, permission=None)) == values(default)


def test_it_mounts_the_plugin_into_fate_flow() -> None:
    assert read_yaml(CONF / "service_conf.yaml")["hook_module"] == {"extension": "fate_ext_plugin.mount"}


@pytest.mark.parametrize(("schema", "name"), SETTINGS, ids=lambda value: getattr(value, "__name__", value))
def test_every_setting_is_there_and_explained(schema: Schema, name: str) -> None:
    """With the words of the schema's own help."""
    assert re.search(rf"^ *#? *{name}:", TEXT, flags=re.MULTILINE), f"{name} is missing"
    prose = " ".join(re.sub(r"^[ #]+", "", line) for line in TEXT.splitlines())
    assert schema().fields[name].metadata["help"] in prose  # type: ignore[operator]


def test_the_demo_settings_are_valid() -> None:
    assert list(read_settings_file(CONF / "demo" / "service_conf.yaml").views) == ["tumours"]
