"""--url: commands of administration on a running server, over REST; what they print and how they end is the same."""
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fate_ext_plugin.audit.search import read
from fate_ext_plugin.auth.client_auth import WRONG
from fate_ext_plugin.cli import main
from tests.support.api_reader import ApiReader
from tests.support.builder import MakeSite
from tests.support.commands import Run, end_of, fails, printed_by
from tests.support.credit import credit_view
from tests.support.fake_flow import FakeFlow
from tests.support.recordings import vectors
from tests.support.site import Site, wait_until

ROLES = {"ops": "admin", "looker": "viewer"}


@pytest.fixture(scope="module")
def site(make_shared_site: MakeSite) -> Site:
    """The secret of each client is in a file that is called like it."""
    site = make_shared_site(
        views={"credit": credit_view}, authentication={"party_id": "9999"}, permission={},
        clients={app_key: {"role": role, "algorithm": "hmac-sha256"} for app_key, role in ROLES.items()})
    for app_key, secret in site.secrets.items():
        (site.folder / app_key).touch(0o600)
        (site.folder / app_key).write_text(secret + "\n")
    return site


@pytest.fixture
def over(site: Site, capsys: pytest.CaptureFixture) -> Any:
    """Run a command on the running server as an admin, or as another client."""
    def over(*arguments: str, client: str = "ops") -> str:
        return printed_by(capsys, *arguments, "--url", site.address, "--app-key", client, "--app-secret-file",
                          str(site.folder / client), "--app-algorithm", "hmac-sha256")
    return over


def test_what_is_printed_is_the_same_as_on_the_machine_itself(run: Run, over: Run, site: Site) -> None:
    job_id = ApiReader(site).job(["u1", "u2"], view="credit")
    ApiReader(site).status(job_id)
    over("grant", "add", "--name", "reading", "--party", "10000", "--component", "reader", "--max-uses", "5")
    for command in (
            ["jobs", "list"], ["jobs", "list", "--json", "--status", "success", "--limit", "1"],
            ["jobs", "show", job_id], ["jobs", "show", job_id, "--json", "--follow"], ["views", "list"],
            ["views", "list", "--json"], ["client", "list"], ["client", "show", "ops"], ["client", "list", "--json"],
            ["key", "list"], ["key", "show"], ["key", "show", "--json"], ["key", "policy", "10000"],
            ["grant", "list"], ["grant", "list", "--party", "1", "--json"], ["grant", "show", "reading"],
            ["views", "test", "credit", "u8", "--parameter", "month=202201", "--feature", "age"],
            ["grant", "explain", "--party", "10000", "--component", "reader"], ["settings"], ["settings", "--json"]):
        assert run(*command) == over(*command) != "", command


def test_so_is_how_they_end(run: Run, over: Run) -> None:
    for command in (
            ["jobs", "show", "none"], ["jobs", "cancel", "none"], ["jobs", "delete", "none"],
            ["jobs", "list", "--since", "soon"], ["client", "add", "x", "--name", "x", "--method", "LOOK"],
            ["client", "show", "nobody"], ["client", "remove", "nobody"], ["key", "remove", "10000", "01234567"],
            ["key", "show", "--party", "8888"], ["grant", "show", "none"],
            ["grant", "add", "--party", "1", "--component", "x", "--hours", "9-5"],
            ["grant", "explain", "--party", "1", "--component", "x"], ["views", "test", "none", "u1"],
            ["views", "test", "credit", "u1", "--parameter", "colour=red"]):
        assert end_of(run, *command) == end_of(over, *command) != 0, command


def test_the_life_of_a_client_a_key_and_a_grant(run: Run, over: Run, tmp_path: Path) -> None:
    added = over("client", "add", "etl", "--name", "ETL", "--role", "viewer", "--expires", "90d")
    assert added.startswith("added etl;") and len(added.splitlines()[3].strip()) == 43
    assert "the old one is valid until" in over("client", "rotate", "etl")
    assert over("client", "disable", "etl").startswith("disabled etl")
    assert json.loads(run("client", "show", "etl", "--json"))["status"] == "disabled"
    assert over("client", "enable", "etl").startswith("enabled") and over("client", "remove", "etl")
    pem = tmp_path / "partner.pem"
    pem.write_text(vectors("1.10.0")["public_key"])
    fingerprint = over("key", "add", "10000", str(pem)).split("SHA256:")[1].split()[0]
    assert "is here already" in over("key", "add", "10000", str(pem))
    assert over("key", "policy", "10000", "--envelope", "require").split()[2:4] == ["envelope", "require"]
    assert over("key", "remove", "10000", fingerprint[:8]).startswith("removed the public key")
    own = next(row for row in json.loads(run("key", "list", "--json")) if row["kind"] == "private")
    assert "a private key of our own" in fails(over, "key", "remove", "9999", own["fingerprint"])
    over("grant", "add", "--name", "mine", "--party", "1", "--component", "x")
    assert json.loads(run("grant", "show", "mine", "--json"))["made_by"] == "ops"
    assert over("grant", "remove", "mine").startswith("removed mine")


def test_a_job_is_deleted_with_its_result(over: Run, site: Site) -> None:
    job_id = ApiReader(site).job(["u1"], view="credit")
    assert json.loads(over("jobs", "show", job_id, "--follow", "--json"))["status"] == "success"
    assert over("jobs", "delete", job_id) == f"deleted {job_id}\n"
    assert "There is no feature job" in fails(over, "jobs", "show", job_id)


def test_audit_and_health(run: Run, over: Run, site: Site) -> None:
    assert "This needs a client with the role admin" in fails(over, "grant", "remove", "x", client="looker")
    found = wait_until(lambda: json.loads(over("audit", "--who", "looker", "--refused", "--json")), what="the log")
    assert (found[0]["check"], found[0]["reason"]) == ("admin", "no such role")
    assert found[0]["what"] == "DELETE /v1/ext/admin/grants/x"
    assert len(json.loads(over("audit", "--limit", "3", "--json", "--since", "2020-01-01"))) == 3
    assert over("health", client="looker").split()[:2] == ["status", "ready"]
    assert run("health").split()[:2] == ["status", "ready"]


def test_what_a_command_changes_on_the_machine_is_in_the_trail_too(run: Run, site: Site) -> None:
    run("grant", "add", "--name", "here", "--party", "1", "--component", "x")
    run("grant", "remove", "here")
    removed, added = [entry for entry in read(site.data_dir / "audit") if entry["from"] == "command"][:2]
    assert (removed["check"], removed["what"]) == ("admin", "DELETE /v1/ext/admin/grants/here")
    assert added["who"] and added["request"]["components"] == ["x"]


class TestSecret:
    """It is in a file of its owner, or in the environment; never an argument, and never printed."""

    def command(self, site: Site, *options: str, **environment: str) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            return end_of(main, ["client", "list", "--url", f"http://127.0.0.1:{site.port}", *options])

    def test_from_the_environment(self, site: Site, capsys: pytest.CaptureFixture) -> None:
        secret = (site.folder / "ops").read_text().strip()
        assert self.command(site, FATE_EXT_APP_KEY="ops", FATE_EXT_APP_SECRET=secret,
                            FATE_EXT_APP_ALGORITHM="hmac-sha256") == 0
        printed = capsys.readouterr().out
        assert "looker" in printed and secret not in printed

    def test_what_is_missing_is_asked_for(self, site: Site, tmp_path: Path) -> None:
        assert "needs --app-key" in self.command(site)
        assert "--app-secret-file FILE, or FATE_EXT_APP_SECRET." in self.command(site, "--app-key", "ops")
        options = ["--app-key", "ops", "--app-secret-file"]
        assert "can't be read: No such file" in self.command(site, *options, str(tmp_path / "none"))
        (tmp_path / "open").touch(0o644)
        assert "chmod 600" in self.command(site, *options, str(tmp_path / "open"))

    def test_a_wrong_one_says_so_and_is_not_shown(self, site: Site) -> None:
        said = self.command(site, FATE_EXT_APP_KEY="looker", FATE_EXT_APP_SECRET="not the right one at all")
        assert said == f"fate-ext: {WRONG}"

    @pytest.mark.parametrize("url", ["10.0.0.5", "file:///etc/passwd", ""])
    def test_what_is_no_url(self, url: str) -> None:
        assert "must be a url such as http://10.0.0.5:9390" in fails(main, ["jobs", "list", "--url", url])


class TestOthersAnswer:
    """What is no server of ours is told from one that refuses, and is sent no signature for somebody else."""

    def ask(self, url: str) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FATE_EXT_APP_SECRET", "a" * 16)
            return fails(main, ["jobs", "cancel", "x", "--url", url, "--app-key", "ops"])

    def test_nothing(self) -> None:
        assert "http://127.0.0.1:1 can't be reached: " in self.ask("http://127.0.0.1:1")

    @pytest.mark.parametrize("answer", [
        (404, b"<html>"), (200, b"[]"), (200, b'{"retcode": 100, "retmsg": "<NotFound>"}'), (502, b"")])
    def test_another_server(self, fake_flow: FakeFlow, answer: Any) -> None:
        fake_flow.answer = answer
        assert self.ask(fake_flow.url) == (
            f"fate-ext: What answers at {fake_flow.url}/v1/ext/admin/jobs/x/cancel is no fate_ext_plugin "
            f"(HTTP {answer[0]}).")

    def test_a_plugin_that_could_not_start(self, fake_flow: FakeFlow) -> None:
        fake_flow.answer = (503, b'{"code": 50300, "message": "could not start \\u001b[2J"}')
        assert self.ask(fake_flow.url) == "fate-ext: could not start \\x1b[2J"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a?b", "数据", "a b", "%2e"])
def test_a_name_can_not_lead_to_another_operation(over: Run, name: str) -> None:
    assert " is no " in fails(over, "client", "remove", name)


def test_help_comes_fast(site: Site) -> None:
    """Commands import what they need when they run."""
    code = "import sys; import fate_ext_plugin.cli.commands; print([name for name in sys.modules if name in %r])"
    heavy = ["peewee", "marshmallow", "flask", "cryptography", "duckdb", "fate_ext_plugin.admin.catalog"]
    done = subprocess.run([sys.executable, "-c", code % heavy], stdout=subprocess.PIPE, text=True, env=os.environ)
    assert done.stdout == "[]\n"
