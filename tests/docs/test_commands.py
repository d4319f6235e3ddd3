"""Every command in README and docs/ works: each document's, in its order, on a machine of its own."""
import json
import re
import subprocess
from pathlib import Path
from typing import Any, Iterator, List, Tuple

import click
import pytest

from fate_ext_plugin.cli.commands import cli
from tests.docs.sandbox import Before, Sandbox, prepare
from tests.support.documents import DOCUMENTS, ROOT, blocks, inline_commands
from tests.support.fake_flow import FakeFlow

#: beginnings of commands that are not run, and why
NOT_RUN = {
    "make": "tests/demo and CI run them; here only that there is such a target",
    "docker": "no container engine where the tests run",
    "systemctl": "the tests' machine may have another init",
    "journalctl": "likewise",
    "cp conf/systemd/": "writes to /etc",
    "useradd": "changes the machine's users",
    "python3 -m venv": "another environment would have to download all packages",
    "/opt/fate_ext/": "likewise",
    "pip uninstall": "it would take the plugin away from the tests",
    "bash DIR/": "FATE's own script",
    "flow": "FATE's own client",
    "mysqldump": "tests/docs/test_examples.py looks at the tables it names",
}
#: commands that say no on the tests' machine, and what they say
SAYS_NO = {
    # It goes through in FATE's own environment: tests/fate_flow/test_enable.py.
    "fate-ext check --conf DIR/conf/service_conf.yaml": "FATE Flow can't be imported",
    "fate-ext grant explain --party 9999 --component hetero_lr --dataset credit/customers": "refused:",
    "fate-ext grant explain --party 9999 --role guest --component homo_nn --other 10001 --at '2026-12-24 23:00'":
        "refused:",
}


def commands(document: Path) -> List[Tuple[str, str]]:
    """Each with the place where it stands."""
    return [(str(block), command) for block in blocks(document) for command in block.commands or ()]


WITH_COMMANDS = [document for document in DOCUMENTS if commands(document)]
ALL = [command for document in DOCUMENTS for _, command in commands(document)]


def is_usage(command: str) -> bool:
    """Whether it only shows how a command is written: [--options] and a|choice."""
    return command.startswith("fate-ext ") and any(sign in command for sign in ("[", "|", "..."))


def reason_not_to_run(command: str) -> str:
    return next((reason for start, reason in NOT_RUN.items() if command.startswith(start)), "")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Before:
    return prepare(tmp_path_factory.mktemp("before"))


@pytest.fixture
def sandbox(tmp_path: Path, fake_flow: FakeFlow, before: Before) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path, fake_flow, before)
    yield sandbox
    sandbox.stop()


@pytest.mark.parametrize("document", WITH_COMMANDS, ids=lambda document: document.name)
def test_the_commands_of_a_document_work_in_their_order(document: Path, sandbox: Sandbox) -> None:
    for place, command in commands(document):
        if is_usage(command) or reason_not_to_run(command):
            continue
        status, printed = sandbox.run(command)
        if command in SAYS_NO:
            assert status == 1 and SAYS_NO[command] in printed, f"{place}: {command}\n{printed}"
        else:
            assert status == 0, f"{place}: {command}\n{printed}"


@pytest.mark.parametrize("command", sorted({command for command in ALL if command.startswith("make ")}))
def test_make_has_such_a_target(command: str) -> None:
    subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL, timeout=60)


@pytest.mark.parametrize("start", NOT_RUN)
def test_what_is_not_run_is_still_there(start: str) -> None:
    assert any(command.startswith(start) for command in ALL)


@pytest.mark.parametrize("command", SAYS_NO)
def test_what_says_no_is_still_there(command: str) -> None:
    assert command in ALL


USAGES = sorted({command for command in ALL if is_usage(command)}
                | {command for document in DOCUMENTS for command in inline_commands(document)})


@pytest.mark.parametrize("usage", USAGES)
def test_commands_and_options_that_are_named_exist(usage: str) -> None:
    check_usage(usage)


def test_the_unit_and_the_image_start_a_server() -> None:
    """conf/systemd/ and conf/docker/, which nothing here can run."""
    unit = (ROOT / "conf" / "systemd" / "fate-ext.service").read_text("utf-8")
    started, = re.findall(r"^ExecStart=/opt/fate_ext/bin/(.*)$", unit, flags=re.MULTILINE)
    image = (ROOT / "conf" / "docker" / "Dockerfile").read_text("utf-8")
    parts = dict(re.findall(r"^(ENTRYPOINT|CMD) (.*)$", image, flags=re.MULTILINE))
    assert json.loads(parts["ENTRYPOINT"]) + json.loads(parts["CMD"]) == started.split()
    check_usage(started)


def check_usage(usage: str) -> None:
    named: List[Any] = [cli]
    for word in usage.translate(str.maketrans("[]", "  ")).replace("...", " ").split()[1:]:
        if word.startswith("--"):
            assert all(word in options(command) for command in named), word
        elif all(isinstance(command, click.Group) for command in named):
            named = [command.commands[name] for command in named for name in word.split("|")]


def options(command: click.Command) -> List[str]:
    return ["--help", *(name for parameter in command.params for name in [*parameter.opts, *parameter.secondary_opts])]
