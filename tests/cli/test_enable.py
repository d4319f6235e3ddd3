"""fate-ext enable and disable: the plugin's lines into FATE's service_conf.yaml and out again, and nothing else."""
import itertools
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from fate_ext_plugin.cli.enable.shown_diff import without_secrets
from fate_ext_plugin.settings.load import ServiceConf, read_settings_file
from tests.support.commands import fails, printed_by
from tests.support.examples import examples
from tests.support.service_conf import SHIPPED

LINES = SHIPPED.splitlines()
HOOK = "fate_ext_plugin.hook."
STOCK = "fate_flow.hook.flow."


class Fate:
    """A folder that FATE is deployed in, and the two commands on it."""

    def __init__(self, base: Path, capsys: Any) -> None:
        self.base, self._capsys = base, capsys
        self.conf = base / "conf" / "service_conf.yaml"
        self.local = base / "conf" / "local.service_conf.yaml"
        self.conf.parent.mkdir()
        self.write(SHIPPED)

    def write(self, text: str) -> None:
        self.conf.write_bytes(text.encode("utf-8"))

    @property
    def text(self) -> str:
        return self.conf.read_bytes().decode("utf-8")

    @property
    def hooks(self) -> Dict[str, str]:
        """In the order in which FATE Flow imports them."""
        return dict(ServiceConf(self.conf).get("hook_module"))

    def run(self, command: str, *options: str) -> str:
        """Returns what it printed, or raises SystemExit with its complaint."""
        return printed_by(self._capsys, command, "--fate-base", str(self.base), *options)

    def enable(self, *options: str) -> str:
        return self.run("enable", "--yes", *options)

    def disable(self, *options: str) -> str:
        return self.run("disable", "--yes", *options)

    def files(self) -> List[str]:
        return sorted(path.name for path in self.conf.parent.iterdir())


@pytest.fixture
def fate(tmp_path: Path, capsys: pytest.CaptureFixture) -> Fate:
    return Fate(tmp_path, capsys)


def untouched(text: str) -> List[str]:
    """Its lines that are FATE's, in order."""
    return [line for line in text.splitlines() if line in LINES]


# -- enable ----------------------------------------------------------------------------------------------------------


def test_one_line_and_a_section_are_added(fate: Fate) -> None:
    printed = fate.enable()
    assert untouched(fate.text) == LINES
    assert fate.hooks == {"extension": "fate_ext_plugin.mount", **yaml.safe_load(SHIPPED)["hook_module"]}
    assert yaml.safe_load(fate.text)["fate_ext_plugin"] == {"data_dir": "fate_ext"}
    assert "Nothing is served before you name a view in section fate_ext_plugin" in printed
    assert f"fate-ext check --conf {fate.conf}" in printed


def test_the_example_view_works_once_its_comment_signs_are_gone(fate: Fate) -> None:
    fate.enable()
    start, end = fate.text.split("fate_ext_plugin:\n")
    fate.write(f"{start}fate_ext_plugin:\n{end.replace('  #', '  ')}")
    settings = read_settings_file(fate.conf)
    assert list(settings.views) == ["credit"]
    assert settings.data_dir == fate.base / "fate_ext"


def test_authentication_goes_before_fate_s_own_hooks(fate: Fate) -> None:
    """FATE Flow asks the first one only; the others stand in should the plugin be gone one day."""
    printed = fate.enable("--authentication")
    for kind in ("client_authentication", "site_authentication"):
        assert fate.hooks[kind] == f"{HOOK}{kind};{STOCK}{kind}"
    assert f"  site_authentication: {HOOK}site_authentication;{STOCK}site_authentication   # of partners" in fate.text
    assert fate.hooks["permission"] == f"{STOCK}permission"
    assert read_settings_file(fate.conf).authentication is not None
    assert "Not in force before you switch it on: authentication.client.switch, authentication.site.switch" in printed


def test_permission_goes_in_place_of_fate_s_own_hook_which_would_have_to_agree(fate: Fate) -> None:
    fate.write(SHIPPED.replace(f"permission: {STOCK}permission", f"permission: {STOCK}permission;my.check"))
    printed = fate.enable("--permission")
    assert fate.hooks["permission"] == f"{HOOK}permission;my.check"
    assert fate.hooks["client_authentication"] == f"{STOCK}client_authentication"
    assert read_settings_file(fate.conf).permission is not None
    assert "Not in force before you switch it on: permission.switch" in printed


def test_a_permission_switch_that_is_on_is_not_left_without_a_hook(fate: Fate) -> None:
    fate.write(f"{SHIPPED}permission:\n  switch: true\n")
    fate.enable("--permission")
    fate.disable()
    assert fate.hooks["permission"] == f"{STOCK}permission"


def test_authentication_may_come_later(fate: Fate) -> None:
    fate.enable()
    fate.write(fate.text.replace("  data_dir: fate_ext\n", "  data_dir: /srv/ext   # the big disk\n"))
    fate.enable("--authentication")
    assert "  authentication:\n  data_dir: /srv/ext   # the big disk\n" in fate.text
    assert fate.hooks["client_authentication"].startswith(HOOK)


@pytest.mark.parametrize("options", [(), ("--authentication",)])
def test_a_second_time_there_is_nothing_to_do(fate: Fate, options: Tuple[str, ...]) -> None:
    fate.enable(*options)
    before, files = fate.text, fate.files()
    assert fate.enable(*options) == f"Nothing to do: the plugin is enabled in {fate.conf}.\n"
    assert (fate.text, fate.files()) == (before, files)


def test_the_change_is_shown_without_the_secrets_around_it(fate: Fate) -> None:
    printed = fate.enable("--authentication")
    assert f"--- {fate.conf}" in printed
    assert "\n+  extension: fate_ext_plugin.mount\n" in printed
    assert f"\n-  client_authentication: {STOCK}client_authentication\n" in printed
    # The private key stands right before hook_module.
    assert "\n ***\n party_id:\n" in printed
    assert not [secret for secret in ("c2Vj", "RSA", "secret-of-a-client", "secret in") if secret in printed]


def test_every_line_of_a_secret_is_hidden() -> None:
    shown = without_secrets(SHIPPED)
    assert len(shown) == len(LINES)
    assert shown[1:6] == ["private_key: ***", "***", "***", "***", "party_id:"]
    assert "    http_secret_key: ***" in shown
    assert "#  passwd: ***" in shown
    assert "model_store: {user: fate, passwd: ***" in shown
    assert "  http_port: 9380" in shown


@pytest.mark.parametrize(("lines", "expected"), [
    ("hook_module:", {"extension": "fate_ext_plugin.mount"}),
    ("hook_module:\n  extension: my.hooks", {"extension": "my.hooks;fate_ext_plugin.mount"}),
    ("hook_module:\n    extension: 'my.hooks'  # ours", {"extension": "my.hooks;fate_ext_plugin.mount"}),
    ("hook_module:\n  other: a.b;fate_ext_plugin.mount", {"other": "a.b;fate_ext_plugin.mount"}),
    ("", {"extension": "fate_ext_plugin.mount"}),
])
def test_hooks_that_are_there_stay(fate: Fate, lines: str, expected: Dict[str, str]) -> None:
    fate.write(f"fateflow:\n  host: 10.0.0.5\n{lines}")
    fate.enable()
    assert fate.hooks == expected


def test_a_hook_of_a_third_party_stays_behind_ours(fate: Fate) -> None:
    fate.write(SHIPPED.replace(f"{STOCK}client_authentication", "'my.ldap;my.other'"))
    fate.enable("--authentication")
    assert fate.hooks["client_authentication"] == f"{HOOK}client_authentication;my.ldap;my.other"
    fate.disable()
    assert fate.hooks["client_authentication"] == "my.ldap;my.other"


def test_the_file_that_counts_is_edited(fate: Fate) -> None:
    """FATE's reader takes a whole key from local.service_conf.yaml where it is there."""
    fate.local.write_text("hook_module:\n  permission: my.permission\n", "utf-8")
    printed = fate.enable()
    assert fate.local.read_text("utf-8") == (
        "hook_module:\n  extension: fate_ext_plugin.mount\n  permission: my.permission\n")
    assert "extension" not in fate.text and "\nfate_ext_plugin:\n" in fate.text
    assert printed.count("as it was: ") == 2 and f"+++ {fate.local}" in printed
    fate.disable("--purge")
    assert fate.text == SHIPPED
    assert fate.local.read_text("utf-8") == "hook_module:\n  permission: my.permission\n"


# -- disable ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--authentication",)])
def test_disable_with_purge_gives_back_every_byte(fate: Fate, options: Tuple[str, ...]) -> None:
    fate.enable(*options)
    printed = fate.disable("--purge")
    assert fate.text == SHIPPED
    assert "-  extension: fate_ext_plugin.mount" in printed and "registry" in printed
    assert fate.disable("--purge") == f"Nothing to do: {fate.conf} names no module of ours.\n"


def test_disable_keeps_the_views(fate: Fate) -> None:
    fate.enable()
    fate.write(fate.text + "  views: {}\n# the end\nlast: 1\n")
    printed = fate.disable()
    assert yaml.safe_load(fate.text)["fate_ext_plugin"] == {"data_dir": "fate_ext", "views": {}}
    assert "fate_ext_plugin.mount" not in fate.text
    assert "The section fate_ext_plugin stays" in printed
    fate.disable("--purge")
    assert fate.text == SHIPPED + "# the end\nlast: 1\n"


@pytest.mark.parametrize(("switch", "left"), [
    ("false", None), ("true", f"{STOCK}client_authentication"), ("off", f"{STOCK}client_authentication")])
def test_a_check_that_is_switched_on_never_stays_without_a_hook(fate: Fate, switch: str, left: Any) -> None:
    """To FATE Flow no hook means: everyone is let in. Its reader takes `off` for a text, which is on."""
    text = SHIPPED.replace(f"{STOCK}client_authentication", f"{HOOK}client_authentication")
    fate.write(text.replace("switch: false", f"switch: {switch}"))
    fate.disable()
    assert fate.hooks.get("client_authentication") == left


def test_a_hook_of_a_third_party_is_in_force_again_and_what_can_not_be_seen_of_it_is_said(fate: Fate) -> None:
    """FATE's own, put before it, would be asked in its place."""
    text = SHIPPED.replace(f"client_authentication: {STOCK}client_authentication", "clients: my.ldap")
    fate.write(text.replace("switch: false", "switch: true"))
    fate.enable("--authentication")
    printed = fate.disable("--purge")
    assert fate.text == text.replace("switch: false", "switch: true")
    assert ("authentication.client.switch is on: unless my.ldap registers a hook for it, FATE Flow lets everyone in."
            in printed)


def test_a_switch_that_never_had_a_hook_is_told(fate: Fate) -> None:
    fate.write("fateflow:\n  host: x\nauthentication:\n  client:\n    switch: true\n")
    fate.enable()
    printed = fate.disable()
    assert "authentication.client.switch is on: without a hook for it, FATE Flow lets everyone in." in printed


def test_disable_adds_no_hook_where_ours_never_was(fate: Fate) -> None:
    fate.write("fateflow:\n  host: x\nauthentication:\n  client:\n    switch: true\n")
    assert fate.disable().startswith("Nothing to do")


PERMISSION = f"permission: {STOCK}permission"
OPTIONS: List[Tuple[str, ...]] = [(), ("--authentication",), ("--permission",), ("--authentication", "--permission")]


def switched(client: bool, site: bool, permission: bool) -> str:
    """FATE's own file, with its switches so."""
    start, _, end = SHIPPED.partition("authentication:\n")
    client_line, site_line, permission_line = (f"switch: {str(on).lower()}" for on in (client, site, permission))
    return (f"{start}authentication:\n  client:\n    {client_line}\n  site:\n    {site_line}\n"
            f"permission:\n  {permission_line}\n  component: false\n{end[end.index('fateflow:'):]}")


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("switches", list(itertools.product((False, True), repeat=3)), ids=str)
@pytest.mark.parametrize("shape", [
    lambda text: text,
    lambda text: text.replace("\n", "\r\n"),
    lambda text: text.rstrip("\n"),
    lambda text: text.replace("private_key:", "private_key_file:\nprivate_key:"),
    lambda text: text.replace(PERMISSION, f"permission: '{STOCK}permission'  # FATE's own"),
    lambda text: text.replace(PERMISSION, f'permission: "my.check;{STOCK}permission"'),
    lambda text: text.replace(PERMISSION, "permission: fate_flow.hook.api.permission;;my.check"),
    lambda text: text.replace(f"client_authentication: {STOCK}client_authentication", "clients:   my.ldap"),
], ids=["as shipped", "CRLF", "no line feed at the end", "a key of 1.11", "in quotes", "another hook beside",
        "over HTTP", "another name"])
def test_no_byte_of_fate_s_own_is_lost_by_enable_and_disable(
    fate: Fate, shape: Callable[[str], str], switches: Tuple[bool, bool, bool], options: Tuple[str, ...]
) -> None:
    text = shape(switched(*switches))
    fate.write(text)
    fate.enable(*options)
    assert fate.text != text
    assert "fate_ext_plugin.mount" in fate.hooks["extension"]
    fate.disable("--purge")
    assert fate.text == text


@pytest.mark.parametrize("times", [
    ([], []), (["--permission"], ["--permission"]), ([], ["--permission"]), (["--permission"], ["--authentication"]),
    (["--authentication"], ["--permission"], []),
], ids=str)
def test_no_byte_is_lost_whatever_is_enabled_later(fate: Fate, times: Tuple[List[str], ...]) -> None:
    for options in times:
        fate.enable(*options)
    fate.disable("--purge")
    assert fate.text == SHIPPED


def test_without_purge_only_the_section_is_left(fate: Fate) -> None:
    fate.enable("--authentication", "--permission")
    fate.disable()
    assert fate.text.startswith(SHIPPED)
    assert list(yaml.safe_load(fate.text[len(SHIPPED):])) == ["fate_ext_plugin"]


def test_a_permission_hook_of_fate_s_is_not_lost_with_the_switch_off(fate: Fate) -> None:
    """Whoever switches permission on later would run without any, which FATE Flow takes for "allowed"."""
    fate.enable("--permission")
    assert f"  #replaced by fate-ext: {PERMISSION}\n  permission: {HOOK}permission\n" in fate.text
    printed = fate.disable("--purge")
    assert f"+  {PERMISSION}" in printed
    assert fate.hooks["permission"] == f"{STOCK}permission"


def test_a_line_that_was_edited_since_keeps_what_was_added(fate: Fate) -> None:
    fate.enable("--permission")
    fate.write(fate.text.replace(f" {HOOK}permission", f" {HOOK}permission;my.check"))
    fate.disable("--purge")
    assert fate.hooks["permission"] == f"{STOCK}permission;my.check"
    assert "#replaced" not in fate.text


def test_a_line_that_was_written_anew_since_stays(fate: Fate) -> None:
    fate.enable("--permission")
    fate.write(fate.text.replace(f" {HOOK}permission", " my.check"))
    fate.disable("--purge")
    assert fate.hooks["permission"] == "my.check"
    assert "#replaced" not in fate.text


# -- safely ----------------------------------------------------------------------------------------------------------


def test_the_old_file_is_kept_and_no_older_one_lost(fate: Fate) -> None:
    fate.conf.chmod(0o640)
    if os.getuid() == 0:
        os.chown(fate.conf, 1234, 5678)
    before = fate.conf.stat()
    texts = [fate.text]
    for command in (fate.enable, fate.disable, fate.enable):
        command()
        texts.append(fate.text)
    backups = [name for name in fate.files() if name != "service_conf.yaml"]
    assert [(fate.conf.parent / name).read_text("utf-8") for name in backups] == texts[:3]
    for name in fate.files():
        found = (fate.conf.parent / name).stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o640, before.st_uid, before.st_gid)


def test_without_a_terminal_it_has_to_be_told(fate: Fate) -> None:
    command = [sys.executable, "-m", "fate_ext_plugin.cli", "enable", "--fate-base", str(fate.base)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 1
    assert "+  extension: fate_ext_plugin.mount" in done.stdout
    assert done.stderr == ("fate-ext: Nothing was changed: there is no terminal to ask on. With --yes the change is "
                           "made.\n")
    assert (fate.text, fate.files()) == (SHIPPED, ["service_conf.yaml"])


@pytest.mark.parametrize(("answer", "changed"), [(b"y\n", True), (b"n\n", False), (b"\n", False)])
def test_on_a_terminal_it_asks(fate: Fate, answer: bytes, changed: bool) -> None:
    ours, its = pty.openpty()
    os.write(ours, answer)
    command = [sys.executable, "-m", "fate_ext_plugin.cli", "enable", "--fate-base", str(fate.base)]
    done = subprocess.run(command, stdin=its, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    os.close(its)
    os.close(ours)
    assert "Make this change?" in done.stdout
    assert (done.returncode, fate.text != SHIPPED) == (0 if changed else 1, changed), done.stdout


@pytest.mark.parametrize(("text", "reason"), [
    (SHIPPED.replace("\n", "\r\n", 3), "its lines end in something else than a line feed alone"),
    ("{fateflow: {host: x}}\n", "its keys do not stand one a line"),
    ("fateflow: {}\nhook_module: {a: b.c}\n", "hook_module is no mapping with one key a line"),
    ("fateflow: {}\nhook_module: &h\n  a: b.c\nother: *h\n", "the change would count in more than one place"),
    ("fateflow: {}\nbase: &h\n  a: b.c\nhook_module: *h\n", "no YAML any more"),
    ("fateflow: {}\n...\n", "no YAML any more"),
    ("fateflow: {}\nhook_module:\n  extension: >-\n    a.b\n", "hook_module.extension is no plain text"),
    ("? fateflow\n: {}\n? hook_module\n:\n  a: b\n", "no YAML any more"),
])
def test_what_only_people_should_edit_is_told_line_by_line(fate: Fate, text: str, reason: str) -> None:
    fate.write(text)
    said = fails(fate.enable)
    assert reason in said
    assert "fate_ext_plugin.mount" in said or "data_dir: fate_ext" in said
    assert (fate.text, fate.files()) == (text, ["service_conf.yaml"])


@pytest.mark.parametrize(("text", "reason"), [
    ("fateflow: {}\na: 1\na: 2\n", "The key 'a' stands in line 2 and again in line 3"),
    ("fateflow:\n\thost: x\n", "is not YAML"),
    ("fateflow: {}\n---\nfateflow: {}\n", "is not YAML"),
    ("- 1\n", "must be a YAML mapping"),
    ("", "must be a YAML mapping"),
    ("fate_ext_plugin: {}\n", "is not FATE Flow's: it has no section fateflow"),
    ("fateflow: {}\nhook_module: my.hooks\n", "hook_module must hold lines such as `name: module`"),
    ("fateflow: {}\nfate_ext_plugin: 5\n", "fate_ext_plugin must be a mapping"),
])
def test_what_fate_itself_could_not_use_is_refused(fate: Fate, text: str, reason: str) -> None:
    fate.write(text)
    fails(fate.enable, says=reason)
    assert (fate.text, fate.files()) == (text, ["service_conf.yaml"])


def test_a_folder_without_fate(fate: Fate) -> None:
    fate.conf.unlink()
    for command in (fate.enable, fate.disable):
        fails(command, says=f"There is no {fate.conf}: --fate-base names the folder FATE is deployed")


def test_a_read_only_file_is_left_alone(fate: Fate) -> None:
    fate.conf.chmod(0o444)
    fails(fate.enable, says="Nothing was changed: .* is read-only; make it writable first")
    assert (fate.text, fate.files()) == (SHIPPED, ["service_conf.yaml"])


def test_a_link_stays_one(fate: Fate, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere.yaml"
    fate.conf.rename(real)
    fate.conf.symlink_to(real)
    assert f"Changed {real}; as it was: {real}." in fate.enable()
    assert fate.conf.is_symlink() and untouched(real.read_text("utf-8")) == LINES


@pytest.mark.parametrize("failing", ["fsync", "link", "replace"])
def test_a_failure_midway_leaves_both_files_as_they_were(
    fate: Fate, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """The second of two calls fails, that for the second file."""
    fate.local.write_text("hook_module:\n  permission: my.permission\n", "utf-8")
    before = {name: (fate.conf.parent / name).read_bytes() for name in fate.files()}
    real, calls = getattr(os, failing), []

    def second_fails(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(28, "No space left on device", str(arguments[0]))
        return real(*arguments, **options)
    monkeypatch.setattr(os, failing, second_fails)
    fails(fate.enable, says="Nothing was changed: .*: No space left on device")
    assert {name: (fate.conf.parent / name).read_bytes() for name in fate.files()} == before


def test_a_change_by_somebody_else_meanwhile_is_not_lost(fate: Fate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fate_ext_plugin.cli.enable.command._ask", lambda yes: fate.write(SHIPPED + "more: 1\n"))
    fails(fate.enable, says="was changed meanwhile; run this again")
    assert (fate.text, fate.files()) == (SHIPPED + "more: 1\n", ["service_conf.yaml"])


# -- any file --------------------------------------------------------------------------------------------------------

HOOK_NAMES = st.sampled_from(["client_authentication", "permission"])
NAMES = st.text("abcdefgh", min_size=1, max_size=5)
NOISE = st.sampled_from(["", "# a comment", "    # an indented one", "#key: 1", "# 中文", "   "])
BLOCK = "|\n      block\n\n      text"
VALUES = st.sampled_from(["1", "text", "'a: b'", '"#"', "", "[1, 2]", "{x: 1}", BLOCK, "~", "ö"])
MODULES = st.sampled_from([
    f"{STOCK}permission", f"'{STOCK}permission;my.check'   # why", "my.hooks", "my.hooks;my.more", "'my.hooks'",
    '"my.hooks"', "a.b   # why", ""])


@pytest.fixture
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes most of the time of a hundred examples."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


@st.composite
def files(draw: Callable[..., Any]) -> str:
    """A service_conf.yaml in block style with comments, blank lines and odd values anywhere."""
    width = draw(st.integers(1, 4))
    sections = draw(st.lists(NAMES, unique=True, max_size=4))
    lines: List[str] = ["fateflow:", "  host: x"]
    if draw(st.booleans()):
        sections.insert(draw(st.integers(0, len(sections))), "hook_module")
    for section in sections:
        names = draw(st.lists(NAMES | HOOK_NAMES, unique=True, max_size=3))
        lines += [draw(NOISE), f"{section}:"]
        for name in names:
            value = draw(MODULES if section == "hook_module" else VALUES)
            lines += [draw(NOISE), f"{' ' * width}{name}: {value}".rstrip()]
    return "\n".join([*lines, draw(NOISE)]) + draw(st.sampled_from(["\n", ""]))


@pytest.mark.usefixtures("no_fsync")
@examples(40)
@given(text=files(), authentication=st.booleans())
@example(text=SHIPPED, authentication=True)
def test_any_file_keeps_its_lines_and_says_what_was_meant(fate: Fate, text: str, authentication: bool) -> None:
    for name in fate.files():
        (fate.conf.parent / name).unlink()
    fate.write(text)
    before = yaml.safe_load(text)
    fate.enable(*["--authentication"] * authentication)
    after = yaml.safe_load(fate.text)
    hooks, old = after.pop("hook_module"), before.pop("hook_module", None) or {}
    section = after.pop("fate_ext_plugin")
    assert after == before
    assert section == {"data_dir": "fate_ext", **({"authentication": None} if authentication else {})}
    expected = {**old, "extension": "fate_ext_plugin.mount"}
    for kind in ("client_authentication", "site_authentication") if authentication else ():
        expected[kind] = ";".join(filter(None, [f"{HOOK}{kind}", old.get(kind)]))
    assert hooks == expected
    # Each line but those of hooks with a new value is still there, in its order.
    lines = iter(fate.text.splitlines())
    kept = [line for line in text.splitlines() if "_authentication:" not in line or not authentication]
    assert all(line in lines for line in kept)

    fate.disable("--purge")
    assert fate.text == text


@pytest.mark.usefixtures("no_fsync")
@examples(40)
@given(text=files(), times=st.lists(st.sampled_from(OPTIONS), min_size=1, max_size=3), crlf=st.booleans())
@example(text=SHIPPED, times=[("--permission",)], crlf=True)
def test_no_byte_of_any_file_is_lost_however_often_it_is_enabled(
    fate: Fate, text: str, times: List[Tuple[str, ...]], crlf: bool
) -> None:
    for name in fate.files():
        (fate.conf.parent / name).unlink()
    text = text.replace("\n", "\r\n") if crlf else text
    fate.write(text)
    for options in times:
        fate.enable(*options)
    fate.disable("--purge")
    assert fate.text == text
