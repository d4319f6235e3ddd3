"""fate-ext client: let clients in, give them secrets, and take both away again, while a server runs or not."""
import json
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest
import requests

from fate_ext_plugin.auth.client_signature import ClientRequest, Signer, signed_text
from fate_ext_plugin.cli import main
from fate_ext_plugin.cli.context import open_context
from fate_ext_plugin.db.base import date_of, now_ms
from tests.support.builder import MakeSite
from tests.support.commands import ALONE, FakeFateFlow, Run, fails
from tests.support.site import Site, wait_until

HOUR, DAY = 3_600_000, 86_400_000
SECRET = "a secret that it had before"


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site(start=False, **ALONE)


@pytest.fixture
def accepted(site: Site) -> Callable[..., bool]:
    """Whether a client may sign with a secret, now or so much later."""
    def accepted(app_key: str, secret: str, later: int = 0, algorithm: str = "hmac-sha1") -> bool:
        client = open_context(site.conf).clients.get(app_key)
        now = now_ms() + later
        signature = Signer(secret, algorithm).sign(b"text")
        return client is not None and client.usable(now) and client.accepts(b"text", signature, now)
    return accepted


Accepted = Callable[..., bool]


def secret_of(printed: str) -> str:
    """A new secret stands on a line of its own, indented."""
    secret, = (line.strip() for line in printed.splitlines() if line.startswith("    "))
    return secret


def add(run: Run, app_key: str = "etl", *options: str) -> str:
    return run("client", "add", app_key, "--name", "Nightly ETL", *options)


def shown(run: Run, app_key: str = "etl") -> Dict[str, Any]:
    found: Dict[str, Any] = json.loads(run("client", "show", app_key, "--json"))
    return found


def test_a_new_client_gets_a_secret(run: Run, accepted: Accepted) -> None:
    printed = add(run)
    assert printed.startswith("added etl; a running server follows within 3 seconds\n")
    assert "Its secret is shown only now" in printed
    assert len(secret_of(printed)) == 43  # 256 bits
    assert accepted("etl", secret_of(printed)) and not accepted("etl", "x" * 43)


def test_no_command_shows_a_secret_again(run: Run) -> None:
    first = secret_of(add(run))
    second = secret_of(run("client", "rotate", "etl"))
    later = [run("client", *rest) for rest in (
        ["list"], ["list", "--json"], ["show", "etl"], ["show", "etl", "--json"], ["disable", "etl"],
        ["enable", "etl"], ["remove", "etl"])]
    assert first != second
    assert not [text for text in later if first in text or second in text]


def test_a_secret_stands_in_no_file(run: Run, site: Site) -> None:
    """Neither in the log nor in the audit log of a server that it was used at, nor in the database."""
    secret = secret_of(add(run))
    site.start()
    headers = {"timestamp": str(now_ms()), "nonce": "n1", "app-key": "etl"}
    headers["signature"] = Signer(secret, "hmac-sha1").sign(signed_text(ClientRequest("/v1/job/list", headers), "etl"))
    body = {"full_path": "/v1/job/list", "headers": headers, "form": None, "json": None}
    assert requests.post(site.url("client_authentication"), json=body, timeout=60).json()["code"] == 0
    wait_until(lambda: "etl" in run("audit"), what="the decision")
    assert secret not in run("audit", "--json")
    run("check")
    files = {path.name: path.read_bytes() for path in site.folder.rglob("*") if path.is_file()}
    assert {"serve.log", "allowed.jsonl", "fate_ext.db", "master_key"} <= files.keys()
    assert not [name for name, content in files.items() if secret.encode() in content]
    for name in ("master_key", "audit/allowed.jsonl"):
        assert (site.data_dir / name).stat().st_mode & 0o777 == 0o600
    assert site.data_dir.stat().st_mode & 0o777 == 0o700


def test_a_secret_is_never_an_argument(run: Run, capsys: pytest.CaptureFixture) -> None:
    fails(run, "client", "add", "etl", "--name", "ETL", "--secret", SECRET, status=2)
    assert "no such option" in capsys.readouterr().err.lower()


class TestSecretFile:
    """A client that has a secret already keeps it."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        file = tmp_path / "secret"
        file.touch(0o600)
        file.write_text(SECRET + "\n")
        return file

    def test_is_taken_and_not_printed(self, run: Run, file: Path, accepted: Accepted) -> None:
        assert add(run, "etl", "--secret-file", str(file)) == "added etl; a running server follows within 3 seconds\n"
        assert accepted("etl", SECRET)

    def test_must_be_its_owner_s_alone(self, run: Run, file: Path) -> None:
        file.chmod(0o640)
        assert fails(run, "client", "add", "etl", "--name", "ETL", "--secret-file", str(file)) == (
            f"fate-ext: {file} is readable by others than its owner; chmod 600 it.")

    @pytest.mark.parametrize(
        "content", [b"too short", b"", b"two lines of\nsome length", "é".encode() * 20, b"\xff" * 20])
    def test_must_hold_a_secret(self, run: Run, file: Path, content: bytes) -> None:
        file.write_bytes(content)
        said = fails(run, "client", "add", "etl", "--name", "ETL", "--secret-file", str(file))
        assert said == "fate-ext: A secret is 16 to 256 printable ASCII characters."
        assert json.loads(run("client", "list", "--json")) == []

    def test_must_be_there(self, run: Run, tmp_path: Path) -> None:
        said = fails(run, "client", "add", "etl", "--name", "ETL", "--secret-file", str(tmp_path / "nothing"))
        assert said.startswith("fate-ext: --secret-file can't be read: No such file or directory: ")


def test_what_a_client_may_do_is_listed(run: Run) -> None:
    add(run, "etl", "--path", "/v1/job/*", "--path", "/v1/data/*", "--method", "post", "--network", "10.0.0.0/16",
        "--expires", "2099-01-31", "--algorithm", "hmac-sha256", "--role", "viewer")
    run("client", "add", "free", "--name", "张三")
    header, etl, free = run("client", "list").splitlines()
    assert header.split() == [
        "app", "key", "status", "role", "name", "algorithm", "expires", "paths", "methods", "networks"]
    assert etl.split() == ["etl", "enabled", "viewer", "Nightly", "ETL", "hmac-sha256", "2099-01-31", "00:00:00",
                           "/v1/job/*", "/v1/data/*", "POST", "10.0.0.0/16"]
    assert free.split() == ["free", "enabled", "none", "张三", "hmac-sha1", "never", "all", "all", "all"]


def test_show_is_all_that_is_known(run: Run) -> None:
    add(run)
    client = shown(run)
    assert client == {
        "app_key": "etl", "name": "Nightly ETL", "status": "enabled", "role": None, "algorithm": "hmac-sha1",
        "expires": None,
        "paths": [], "methods": [], "networks": [], "old_secret_until": None, "created": client["created"],
        "changed": client["changed"]}
    assert [client] == json.loads(run("client", "list", "--json"))
    lines = [line.split() for line in run("client", "show", "etl").splitlines()]
    assert ["app_key", "etl"] in lines and ["networks", "all"] in lines


def test_a_client_expires(run: Run, accepted: Accepted) -> None:
    before = now_ms()
    secret = secret_of(add(run, "etl", "--expires", "90d"))
    assert date_of(before + 90 * DAY) <= shown(run)["expires"] <= date_of(now_ms() + 90 * DAY)
    assert accepted("etl", secret, 89 * DAY) and not accepted("etl", secret, 91 * DAY)
    assert fails(run, "client", "add", "late", "--name", "Late", "--expires", "2020-01-31 18:00") == (
        "fate-ext: The expiry 2020-01-31 18:00:00 is over already.")
    fails(run, "client", "add", "late", "--name", "Late", "--expires", "soon", status=2)


@pytest.mark.parametrize("app_key, options, says", [
    ("with space", [], "An app key is 1 to 64 letters"),
    ("x", ["--path", "v1/job/*"], "is not a path pattern"),
    ("x", ["--method", "LOOK"], "'LOOK' is no method"),
    ("x", ["--network", "10.0.0.0.0"], "'10.0.0.0.0' is no IP address or network"),
    ("x", ["--name", "two\nlines"], "The name must be printable text"),
])
def test_what_can_t_be_used_is_refused(run: Run, app_key: str, options: List[str], says: str) -> None:
    assert says in fails(run, "client", "add", app_key, "--name", "X", *options)
    assert json.loads(run("client", "list", "--json")) == []


def test_an_app_key_is_given_once(run: Run, fate_flow: FakeFateFlow) -> None:
    add(run)
    assert fails(run, "client", "add", "etl", "--name", "Another") == (
        "fate-ext: There is a client etl already; `rotate` gives it a new secret.")
    fate_flow.client = ("flow", "the secret of http_secret_key")
    assert "flow is FATE Flow's own app key" in fails(run, "client", "add", "flow", "--name", "Another")


@pytest.mark.parametrize("command", ["show", "rotate", "disable", "enable", "remove"])
@pytest.mark.parametrize("app_key", ["unknown", "数据"])
def test_an_unknown_client_is_called_so(run: Run, command: str, app_key: str) -> None:
    assert fails(run, "client", command, app_key) == f"fate-ext: There is no client {app_key!r}; `list` shows all."


class TestRotate:
    """A new secret; the old one stays for as long as the client needs to be changed."""

    def test_the_old_secret_stays_for_a_day(self, run: Run, accepted: Accepted) -> None:
        old = secret_of(add(run))
        printed = run("client", "rotate", "etl")
        new, until = secret_of(printed), shown(run)["old_secret_until"]
        assert printed.startswith(f"etl has a new secret; the old one is valid until {until}\n")
        assert accepted("etl", new) and accepted("etl", new, 25 * HOUR)
        assert accepted("etl", old, 23 * HOUR) and not accepted("etl", old, 25 * HOUR)

    def test_or_not_at_all(self, run: Run, accepted: Accepted) -> None:
        old = secret_of(add(run))
        printed = run("client", "rotate", "etl", "--keep-old", "0")
        assert "the old one is valid no more" in printed
        assert accepted("etl", secret_of(printed)) and not accepted("etl", old)
        assert shown(run)["old_secret_until"] is None

    def test_at_most_two_are_valid(self, run: Run, accepted: Accepted) -> None:
        secrets = [secret_of(add(run)), *(secret_of(run("client", "rotate", "etl")) for _ in range(2))]
        assert [accepted("etl", secret) for secret in secrets] == [False, True, True]


def test_disable_enable_remove(run: Run, accepted: Accepted) -> None:
    secret = secret_of(add(run))
    for command, status, valid in (("disable", "disabled", False), ("enable", "enabled", True)):
        assert run("client", command, "etl") == f"{status} etl; a running server follows within 3 seconds\n"
        assert shown(run)["status"] == status
        assert accepted("etl", secret) is valid
    assert run("client", "remove", "etl") == "removed etl; a running server follows within 3 seconds\n"
    assert json.loads(run("client", "list", "--json")) == []


def test_under_another_master_key_nothing_is_stored(run: Run, site: Site) -> None:
    """What it sealed, the server could not open; but all that needs no secret still works."""
    add(run)
    (site.data_dir / "master_key").write_text("0" * 64)
    for command in (["add", "other", "--name", "Other"], ["rotate", "etl"]):
        assert fails(run, "client", *command) == (
            "fate-ext: The stored secret of client etl can't be decrypted: the master key is not the one it was stored "
            "under. Name the right one (authentication.master_key_file or master_key_env).")
    assert [row["app_key"] for row in json.loads(run("client", "list", "--json"))] == ["etl"]
    run("client", "disable", "etl")
    run("client", "remove", "etl")
    add(run)


@pytest.mark.parametrize("content, mode, says", [
    ("0" * 63, 0o600, "holds no master key: 64 hexadecimal digits."), ("0" * 64, 0o644, "chmod 600 it."),
])
def test_a_master_key_that_can_t_be_used_is_called_so(
    run: Run, site: Site, content: str, mode: int, says: str
) -> None:
    site.data_dir.mkdir()
    (site.data_dir / "master_key").write_text(content)
    (site.data_dir / "master_key").chmod(mode)
    assert fails(run, "client", "list").endswith(says)


def test_the_master_key_may_stand_in_the_environment(
    run: Run, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FATE_EXT_MASTER_KEY", "ab" * 32)
    site.write_settings(authentication={"master_key_env": "FATE_EXT_MASTER_KEY"})
    add(run)
    assert shown(run)["status"] == "enabled" and not (site.data_dir / "master_key").exists()


def test_without_the_section_it_is_asked_for(make_site: MakeSite) -> None:
    plain = make_site("plain", start=False)
    fails(main, ["client", "list", "--conf", str(plain.conf)],
          says="^fate-ext: fate_ext_plugin.authentication is missing in service_conf.yaml")
