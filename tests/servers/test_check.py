"""`fate-ext check` on several servers, and `fate-ext replace-tokens`, in plain words."""
import re
from typing import Any, Iterator

import pytest
from click.testing import CliRunner

from fate_ext_plugin.cli.check import servers as check_servers
from fate_ext_plugin.cli.check.command import servers
from fate_ext_plugin.cli.check.findings import Doubtful
from fate_ext_plugin.cli.commands import cli
from fate_ext_plugin.db.migration import MODELS
from fate_ext_plugin.db.server import Server
from tests.support.api_reader import ApiReader
from tests.support.cluster import Cluster
from tests.support.fake_flow import FakeFlow


def said(apart: Cluster) -> str:
    """The line that speaks of servers, of a check on the first one's machine; run in this process, which is faster."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(apart.one.folder / "installed"))
        printed = CliRunner().invoke(cli, ["check", "--conf", str(apart.one.conf)]).output
    apart.store.bind(MODELS)
    (line,) = [line for line in printed.splitlines() if " servers: " in line]
    return line


@pytest.fixture
def settings(apart: Cluster) -> Iterator[Any]:
    """Changes what stands in the first server's file, for one test."""
    before = dict(apart.one.section)
    yield apart.one.write_settings
    apart.one.section = before
    apart.one.write_settings()


def test_two_that_are_fine(apart: Cluster) -> None:
    assert said(apart) == "ok      servers: 2 of 2 show life, each with files of its own"


def test_settings_of_one_that_are_not_those_of_the_other(apart: Cluster, settings: Any) -> None:
    views = {**apart.one.section["views"], "more": apart.one.section["views"]["credit"]}
    settings(views=views, max_ids=7, result_retention_seconds=60)
    line = said(apart)
    for site in apart.sites:
        assert (f"http://127.0.0.1:{site.port} runs with other settings than this file's: max_ids, "
                "result_retention_seconds, views.more; make them the same and restart it.") in line
    assert line.startswith("WARNING")


@pytest.mark.parametrize(("changes", "level", "says"), [
    ({"authentication": {"party_id": "9999"}}, "PROBLEM",
     "Used nonces are not shared, so a captured request counts once on each server; set authentication.nonces: "
     "database."),
    ({"trusted_proxies": []}, "WARNING", "trusted_proxies is empty: behind nginx all callers would seem to be nginx."),
    ({"shared_dir": "elsewhere"}, "PROBLEM", "They do not see the same folder, though shared_dir is /"),
])
def test_a_set_up_that_is_not_meant_for_several(
    apart: Cluster, settings: Any, changes: Any, level: str, says: str
) -> None:
    settings(**changes)
    line = said(apart)
    assert line.startswith(level) and says in line, line


def test_urls_that_lead_to_one_of_them_alone(apart: Cluster, settings: Any) -> None:
    settings(listen={"port": apart.one.port})
    assert ("FATE Flow's registry leads to the one that registered last; name nginx in listen.public_host and "
            "public_port.") in said(apart)


@pytest.mark.parametrize(("address", "says"), [
    ("http://127.0.0.1:1", "http://127.0.0.1:1 can't be reached from here, so a download can't be led there: "),
    ("http://127.0.0.1:{other}", "What answers at http://127.0.0.1:{other} is none of our servers."),
    ("http://127.0.0.1:{one}", "Two servers say that they are reached at http://127.0.0.1:{one}; give each"),
])
def test_an_address_that_leads_astray(apart: Cluster, address: str, says: str) -> None:
    other = FakeFlow().start()
    ports = {"other": other.server_port, "one": apart.one.port}

    def tell(value: str) -> None:
        apart.store.call(lambda: Server.update(f_address=value).where(
            Server.f_instance == apart.two.instance()).execute())
    tell(address.format(**ports))
    try:
        line = said(apart)
    finally:
        tell(f"http://127.0.0.1:{apart.two.port}")
        other.stop()
    assert line.startswith("PROBLEM") and says.format(**ports) in line, line


def test_another_version(apart: Cluster) -> None:
    apart.store.call(lambda: Server.update(f_version="0.0.9").where(
        Server.f_instance == apart.two.instance()).execute())
    assert f"http://127.0.0.1:{apart.two.port} runs version 0.0.9, this is " in said(apart)


def test_a_clock_that_is_off(apart: Cluster, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it looks from a machine whose own is 100 s ahead."""
    settings(views={"credit": apart.one.section["views"]["credit"]}, default_view="credit")
    now = check_servers.now_ms
    monkeypatch.setattr(check_servers, "now_ms", lambda: now() + 100_000)
    with pytest.raises(Doubtful) as doubt:
        servers(apart.one.settings, apart.one.conf)
    # and the time that passed between its heartbeat and our look
    assert re.search(rf"The clock of http://127\.0\.0\.1:{apart.two.port} is 1\d\d s behind this machine's; set both\.",
                     str(doubt.value)), doubt.value


def test_one_that_is_gone(apart: Cluster) -> None:
    apart.two.stop()
    line = said(apart)
    assert line.startswith("WARNING servers: 1 of 2 show life. ")
    assert f"http://127.0.0.1:{apart.two.port} shows no life since 20" in line
    apart.two.start()


def test_tokens_are_replaced_on_all_of_them(apart: Cluster) -> None:
    old = [site.url("upload") for site in apart.sites]
    assert apart.two.command("replace-tokens").stdout == (
        "There is a new secret; restart every server on this database now.\n")
    for site in apart.sites:
        site.stop()
        site.start()
    new = [site.url("upload") for site in apart.sites]
    assert len({url.split("token=")[1] for url in (*old, *new)}) == 2 and old != new
    assert ApiReader(apart.one).job(["u1"]) and ApiReader(apart.two).job(["u1"])
