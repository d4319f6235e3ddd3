"""The section fate_ext_plugin of service_conf.yaml: what is accepted, and what each mistake is told."""
import os
from pathlib import Path
from typing import Any, Dict

import pytest

from fate_ext_plugin.errors import InvalidSettings
from fate_ext_plugin.settings.load import parse_settings, read_settings_file
from fate_ext_plugin.settings.model import Settings


def section(**changes: Any) -> Dict[str, Any]:
    """The smallest section that works, with changes; None takes a key away."""
    whole = {"data_dir": "ext", "views": {"credit": view()}, **changes}
    return {key: value for key, value in whole.items() if value is not None}


def view(**changes: Any) -> Dict[str, Any]:
    whole = {"source": {"type": "file", "path": "/data/credit.parquet"}, "columns": ["amount"], **changes}
    return {key: value for key, value in whole.items() if value is not None}


def parse(tmp_path: Path, **changes: Any) -> Settings:
    return parse_settings(section(**changes), tmp_path)


def refusal(tmp_path: Path, **changes: Any) -> str:
    with pytest.raises(InvalidSettings) as caught:
        parse(tmp_path, **changes)
    return caught.value.message


def test_two_keys_are_enough(tmp_path: Path) -> None:
    settings = parse(tmp_path)
    assert settings.server_name == "fate_ext"
    assert settings.verify_job is True
    assert settings.long_poll_seconds == 30
    assert settings.gzip is False
    assert settings.allowed_networks == ()
    assert settings.job_threads == os.cpu_count()


def test_relative_paths_start_where_the_conf_belongs(tmp_path: Path) -> None:
    assert parse(tmp_path).data_dir == tmp_path / "ext"
    assert parse(tmp_path, data_dir="/srv/ext").data_dir == Path("/srv/ext")


def test_the_object_is_frozen(tmp_path: Path) -> None:
    with pytest.raises(AttributeError):
        parse(tmp_path).gzip = True  # type: ignore[misc]


@pytest.mark.parametrize("changes, key, said", [
    (dict(data_dirr="x"), "fate_ext_plugin.data_dirr", "unknown key. Allowed here: allowed_networks"),
    (dict(data_dir=None), "fate_ext_plugin.data_dir", "required, but missing"),
    (dict(views=None), "fate_ext_plugin.views", "there is nothing to serve"),
    (dict(views={}), "fate_ext_plugin.views", "there is nothing to serve"),
    (dict(max_ids="many"), "fate_ext_plugin.max_ids", "Not a valid integer. Found: 'many'"),
    (dict(max_ids="12"), "fate_ext_plugin.max_ids", "Not a valid integer. Found: '12'"),
    (dict(max_ids=True), "fate_ext_plugin.max_ids", "Not a valid integer. Found: True"),
    (dict(max_ids=0), "fate_ext_plugin.max_ids", "greater than or equal to 1"),
    (dict(gzip="yes"), "fate_ext_plugin.gzip", "Not a valid boolean. Found: 'yes'"),
    (dict(server_name="x" * 31), "fate_ext_plugin.server_name", "maximum length 30"),
    (dict(allowed_networks=["10.0.0.0/99"]), "fate_ext_plugin.allowed_networks.0", "Must be an IP address or network"),
    (dict(default_view="debit"), "fate_ext_plugin.default_view", "Must be one of: credit. Found: 'debit'"),
    (dict(listen={"port": 0}), "fate_ext_plugin.listen.port", "greater than or equal to 1"),
    (dict(listen={"prot": 1}), "fate_ext_plugin.listen.prot", "unknown key. Allowed here: host, port, public_host"),
    (dict(database={"url": "oracle://x"}), "fate_ext_plugin.database.url", "Must start with sqlite:///"),
    (dict(database={"url": "sqlite:///x", "password_file": "gone"}), "fate_ext_plugin.database.password_file",
     "There is no file"),
    (dict(database={"url": "sqlite:///x", "password_env": "FATE_EXT_NO_SUCH"}), "fate_ext_plugin.database.password_env",
     "This environment variable is not set"),
])
def test_a_mistake_is_named_with_what_was_found_and_what_is_allowed(
    tmp_path: Path, changes: Dict[str, Any], key: str, said: str
) -> None:
    message = refusal(tmp_path, **changes)
    assert message.startswith(f"{key}: ") and said in message


@pytest.mark.parametrize("changes, key, said", [
    (dict(columns=None), "columns", "required, but missing"),
    (dict(columns=[]), "columns", "Shorter than minimum length 1"),
    (dict(columns=["a", "a"]), "columns", "Names a column twice"),
    (dict(columns=["id"]), "columns", "Names the ID column"),
    (dict(columns=["a,b"]), "columns.0", "holds no comma"),
    (dict(colums=["a"]), "colums", "unknown key. Allowed here: columns"),
    (dict(source={"type": "ftp"}), "source.type", "Must be one of: file, spark, sql. Found: 'ftp'"),
    (dict(source="x"), "source", "Must be a mapping with a type"),
    (dict(source={"type": "file"}), "source.path", "required, but missing"),
    (dict(source={"type": "file", "path": "x", "pth": 1}), "source.pth", "unknown key"),
    (dict(parameters={"view": {"pattern": "x"}}), "parameters", "the service uses this name itself"),
    (dict(parameters={"m": {"pattern": "("}}), "parameters.m.pattern", "Not a regular expression"),
    (dict(parameters={"m": {"pattern": "a", "default": "b"}}), "parameters.m.default", "Does not match the pattern"),
    (dict(parameters={"m": {"pattern": "a", "required": True}}), "parameters",
     "m: neither in the path as {name} nor given a column"),
    (dict(source={"type": "file", "path": "/x/{m}.csv"}), "source", "m are no parameters"),
    (dict(source={"type": "file", "path": "/x/{m}.csv"}, parameters={"m": {"pattern": "a"}}), "parameters",
     "needs required: true or a default"),
    (dict(parameters={"m": {"pattern": "a", "column": "c"}, "n": {"pattern": "a", "column": "c"}}), "parameters",
     "Two parameters filter the same column"),
    (dict(null_value="a,b"), "null_value", "Must hold no comma"),
    (dict(missing_ids="drop"), "missing_ids", "Must be one of: omit, keep. Found: 'drop'"),
])
def test_a_view_is_checked_as_closely(tmp_path: Path, changes: Dict[str, Any], key: str, said: str) -> None:
    message = refusal(tmp_path, views={"credit": view(**changes)})
    assert message.startswith(f"fate_ext_plugin.views.credit.{key}: ") and said in message


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    message = refusal(tmp_path, gzip=3, max_ids=-1)
    assert "fate_ext_plugin.gzip" in message and "fate_ext_plugin.max_ids" in message


@pytest.mark.parametrize("url", [
    "mysql://fate:hunter2@10.0.0.1/features", "postgresql://fate@10.0.0.1/features?password=hunter2",
])
def test_a_password_in_a_url_is_refused_with_the_way_out(tmp_path: Path, url: str) -> None:
    message = refusal(tmp_path, database={"url": url})
    assert "password_file" in message and "password_env" in message
    assert "hunter2" not in message


def test_a_password_file_must_be_private(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2\n")
    settings = parse(tmp_path, database={"url": "mysql://fate@db/features", "password_file": "password"})
    assert settings.database is not None
    (tmp_path / "password").chmod(0o644)
    with pytest.raises(InvalidSettings, match="chmod 600"):
        settings.database.password()
    (tmp_path / "password").chmod(0o600)
    assert settings.database.password() == "hunter2"
    assert "hunter2" not in repr(settings)


def test_a_number_is_fine_where_a_text_is_meant(tmp_path: Path) -> None:
    """YAML reads 202201 as a number."""
    views = {"credit": view(source={"type": "file", "path": "/x/{m}.csv"},
                            parameters={"m": {"pattern": r"\d{6}", "default": 202201}})}
    assert parse(tmp_path, views=views).views["credit"].parameters["m"].default == "202201"


@pytest.mark.parametrize("found", [None, [], "x"])
def test_a_missing_section_is_told(tmp_path: Path, found: Any) -> None:
    with pytest.raises(InvalidSettings, match="the section is missing"):
        parse_settings(found, tmp_path)


class TestFile:
    """Alone, settings come from a file as FATE's: local.service_conf.yaml is laid over service_conf.yaml."""

    def test_local_goes_first(self, tmp_path: Path) -> None:
        conf = tmp_path / "service_conf.yaml"
        conf.write_text("fate_ext_plugin: {data_dir: a, views: {}}\n")
        (tmp_path / "local.service_conf.yaml").write_text(
            "fate_ext_plugin: {data_dir: b, views: {v: {source: {type: file, path: x}, columns: [c]}}}\n")
        assert read_settings_file(conf).data_dir == tmp_path / "b"

    @pytest.mark.parametrize("content, said", [
        ("a: [", "is not YAML"), ("- a", "must be a YAML mapping"), ("a: 1", "the section is missing")])
    def test_a_broken_file_is_told(self, tmp_path: Path, content: str, said: str) -> None:
        conf = tmp_path / "service_conf.yaml"
        conf.write_text(content)
        with pytest.raises(InvalidSettings, match=said):
            read_settings_file(conf)

    @pytest.mark.parametrize("content, key, first, again", [
        ("fate_ext_plugin: {data_dir: a}\nfateflow: {}\nfate_ext_plugin: {}\n", "fate_ext_plugin", 1, 3),
        ("fate_ext_plugin:\n  gzip: true\n  views:\n    v: {columns: [c],\n        columns: [d]}\n", "columns", 4, 5),
        ("a: [1, {b: 1, 'b': 2}]\n", "b", 1, 1),
        ("a: {<<: {x: 1}, <<: {y: 1}}\n", "<<", 1, 1),
    ])
    def test_a_key_that_stands_twice_is_told(
        self, tmp_path: Path, content: str, key: str, first: int, again: int
    ) -> None:
        """Neither of the two may win silently, wherever in the file they stand."""
        conf = tmp_path / "service_conf.yaml"
        conf.write_text(content)
        with pytest.raises(InvalidSettings) as caught:
            read_settings_file(conf)
        assert caught.value.message == (
            f"{conf}: The key '{key}' stands in line {first} and again in line {again}; take one of them out.")

    def test_and_so_in_the_local_file(self, tmp_path: Path) -> None:
        (tmp_path / "service_conf.yaml").write_text("fate_ext_plugin: {data_dir: a}\n")
        (tmp_path / "local.service_conf.yaml").write_text("a: 1\nb: 2\na: 3\n")
        with pytest.raises(InvalidSettings, match=r"local\.service_conf\.yaml: The key 'a' stands in line 1 and again"):
            read_settings_file(tmp_path / "service_conf.yaml")

    def test_the_same_key_in_two_mappings_is_fine(self, tmp_path: Path) -> None:
        """As is one that overrides a merged one."""
        conf = tmp_path / "service_conf.yaml"
        conf.write_text("""
            templates:
              view: &view {source: {type: file, path: a.csv}, columns: [a], id_column: sid}
              other: &other {<<: *view, columns: [b]}
            fate_ext_plugin:
              data_dir: ext
              views:
                one: {<<: *view, id_column: uid}
                two: {<<: *other, columns: [c]}
            """)
        views = read_settings_file(conf).views
        assert [(view.id_column, view.columns) for view in views.values()] == [("uid", ["a"]), ("sid", ["c"])]

    def test_a_missing_file_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidSettings, match="No such file or directory. Name it with --conf"):
            read_settings_file(tmp_path / "service_conf.yaml")
