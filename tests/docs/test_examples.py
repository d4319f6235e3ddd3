"""Every example in README and docs/ is one: settings can be loaded, Python runs, and what is neither is named here."""
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, Iterator, List, Mapping

import pytest
import yaml

from fate_ext_plugin.db.migration import MODELS
from fate_ext_plugin.permission.calendar import Calendar
from fate_ext_plugin.schema.permission import load_policy
from fate_ext_plugin.settings.load import read_settings_file
from fate_ext_plugin.settings.model import SECTION, Settings
from fate_ext_plugin.settings.schema import SettingsSchema, ViewSchema
from tests.support.documents import DOCUMENTS, Block, blocks
from tests.support.fake_flow import FakeFlow

BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]
#: what the first line of a block begins with that is no example of ours, and what it is
OTHERS = {
    '"api_reader_0": {': "a job's configuration, for FATE",
    "scrape_configs:": "for Prometheus",
    "backend fate_ext": "for HAProxy",
    "location / {": "for nginx",
    "upstream fate_ext {": "for nginx; tests/servers run the whole file",
    "apps/ (HTTP)": "a drawing, and a list of files",
    "Party 9999 may not": "an answer",
    "[Service]": "for systemd",
    '{"retcode": 0': "answers",
    "export FATE_EXT_APP_KEY": "for a server of one's own; tests/cli/test_url.py",
    "proxy_set_header Host": "for nginx",
    "DELETE FROM t_serv": "for FATE Flow's database",
}
#: what a view needs beside an example of a part of it
REST_OF_VIEW: Dict[str, Any] = {"source": {"type": "file", "path": "features.parquet"}, "columns": ["balance"]}
REST_OF_SECTION: Dict[str, Any] = {"data_dir": "ext", "views": {"credit": REST_OF_VIEW}}


def is_other(block: Block) -> bool:
    return any(block.text.startswith(start) for start in OTHERS)


SETTINGS = [block for block in BLOCKS
            if not block.commands and block.mapping and "grants" not in block.mapping and not is_other(block)]


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for /data/projects/fate, with what examples name: files, a variable, a source of one's own."""
    for name in {path for block in SETTINGS for path in named(block.mapping, "password_file")}:
        file = tmp_path / Path(name).relative_to("/data/projects/fate")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(0o600)
    for name in {name for block in SETTINGS for name in named(block.mapping, "password_env")}:
        monkeypatch.setenv(name, "secret")
    own, = (block for block in BLOCKS if "class RedisSource" in block.text)
    redis = SimpleNamespace(name="redis", load=lambda: run(own)["RedisSource"])
    monkeypatch.setattr("fate_ext_plugin.feature.source._entry_points", lambda: [redis])
    return tmp_path


def run(block: Block, flow: str = "") -> Dict[str, Any]:
    """What an example in Python leaves behind; ``flow``: FATE Flow's address."""
    left: Dict[str, Any] = {}
    exec(compile(block.text.replace("http://10.0.0.5:9380", flow), str(block), "exec"), left)
    return left


def named(found: Any, key: str) -> Iterator[str]:
    """Every value of ``key``, however deep."""
    if isinstance(found, dict):
        for name, value in found.items():
            yield from [value] if name == key else named(value, key)


@pytest.mark.parametrize("block", SETTINGS, ids=str)
def test_an_example_of_settings_can_be_loaded(block: Block, base: Path) -> None:
    assert block.mapping
    load(whole(block.mapping), base)


def whole(example: Mapping[str, Any]) -> Mapping[str, Any]:
    """The service_conf.yaml that an example is a part of."""
    if SECTION in example or any(named(example, "switch")):  # a switch is FATE's
        return {SECTION: REST_OF_SECTION, **example}
    if example.keys() <= ViewSchema().fields.keys():
        return {SECTION: {**REST_OF_SECTION, "views": {"credit": {**REST_OF_VIEW, **example}}}}
    assert example.keys() <= SettingsSchema().fields.keys()
    return {SECTION: {**REST_OF_SECTION, **example}}


def load(content: Mapping[str, Any], base: Path) -> Settings:
    (base / "conf").mkdir(exist_ok=True)
    conf = base / "conf" / "service_conf.yaml"
    conf.write_text(yaml.safe_dump(dict(content)).replace("/data/projects/fate", str(base)), "utf-8")
    return read_settings_file(conf)


@pytest.mark.parametrize("block", [block for block in BLOCKS if "grants" in (block.mapping or ())], ids=str)
def test_an_example_of_a_policy_can_be_loaded(block: Block) -> None:
    assert load_policy(block.mapping, Calendar(None))


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.python], ids=str)
def test_an_example_in_python_runs(block: Block, fake_flow: FakeFlow) -> None:
    fake_flow.services = {"/v1/job/query": (200, {"retcode": 0})}
    run(block, fake_flow.url)


def test_the_backup_names_every_table_of_ours() -> None:
    backup, = (command for block in BLOCKS for command in block.commands or () if command.startswith("mysqldump"))
    assert re.findall(r"\bt_ext_\w+", backup) == [model._meta.table_name for model in MODELS]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_each_block_is_of_a_kind_that_is_tested(block: Block) -> None:
    kinds: List[bool] = [bool(block.commands), block in SETTINGS, block.python, "grants" in (block.mapping or ()),
                         is_other(block)]
    assert kinds.count(True) == 1, block.text


@pytest.mark.parametrize("start", OTHERS)
def test_what_is_no_example_is_still_there(start: str) -> None:
    assert any(block.text.startswith(start) for block in BLOCKS)
