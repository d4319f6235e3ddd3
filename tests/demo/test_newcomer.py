"""`make demo` by somebody who sees the project for the first time, and everything that it tells them to try next.

Their checkout is in a folder whose name has blanks and letters beyond ASCII, and their shell names a
proxy for everything.
"""
import os
import re
import socket
import subprocess
from pathlib import Path
from typing import Dict, Iterator, List

import pytest

from tests.support.checkout import QUICK_PYTHON, Checkout
from tests.support.fake_flow import SUCCESS, FakeFlow
from tests.support.service_conf import SHIPPED
from tests.support.site import free_port, wait_until

#: nobody answers there
PROXIES = dict.fromkeys(
    ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"], "http://127.0.0.1:1")


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("temporary é 数据")


@pytest.fixture(scope="module")
def printed(checkout: Checkout, temporary: Path) -> str:
    """What the first `make demo` prints."""
    demo = checkout.run(
        "make", "demo", f"PYTHON={QUICK_PYTHON}", environment={**PROXIES, "no_proxy": "", "TMPDIR": str(temporary)})
    assert demo.returncode == 0, demo.stdout
    return demo.stdout


def test_the_demo_shows_a_feature_job_from_its_upload_to_its_features(printed: str) -> None:
    for essential in (
        "accepted as feature job",
        "190 of 233 IDs have features, 43 are unknown here",
        "   id,mean_radius,mean_texture,worst_area\n   patient_",
        "190 rows and a header line",
        "refused with HTTP 400",
        "'year'. Parameters of view 'tumours': month;",
        "What to try next, in this folder:",
    ):
        assert essential in printed
    assert "token" not in printed and "arning" not in printed


def test_it_leaves_no_temporary_files(printed: str, temporary: Path) -> None:
    assert f"copied to {temporary}/fate-ext-demo-" in printed
    assert list(temporary.iterdir()) == []


def test_a_second_demo_has_nothing_to_install(printed: str, checkout: Checkout) -> None:
    assert checkout.run("make", "--question", ".venv/.installed-demo").returncode == 0


def test_the_demo_installs_none_of_what_the_tests_need(printed: str, checkout: Checkout) -> None:
    assert "Installing into .venv, extra 'demo'" in printed and "'test'" not in printed


def commands(printed: str) -> List[str]:
    """Those that stand under "What to try next"."""
    return re.findall(r"^    (.+)$", printed.partition("What to try next")[2], flags=re.MULTILINE)


class TestWhatToTryNext:
    """The printed commands work as they are; FILE, DIR and FATE-FLOW stand for the reader's own."""

    @pytest.fixture
    def port(self, checkout: Checkout) -> int:
        """The demo's settings have a fixed one, which may be taken on the tests' machine."""
        conf, port = checkout.folder / "conf" / "demo" / "service_conf.yaml", free_port()
        conf.write_text(conf.read_text("utf-8").replace("port: 9390", f"port: {port}"), "utf-8")
        return port

    @pytest.fixture
    def names(self, fake_flow: FakeFlow) -> Dict[str, str]:
        fake_flow.answer = SUCCESS
        return {"FILE": "conf/demo/service_conf.yaml", "DIR": "fate", "http://FATE-FLOW:9380": fake_flow.url}

    @pytest.fixture
    def fate(self, checkout: Checkout) -> Path:
        """FATE's folder; its own Python environment is the one that the demo made, with a program pip."""
        fate = checkout.folder / "fate"
        for name in ("conf", "bin"):
            (fate / name).mkdir(parents=True)
        (fate / "conf" / "service_conf.yaml").write_text(SHIPPED, "utf-8")
        (fate / "bin" / "pip").write_text('#!/bin/sh\nexec .venv/bin/python -m pip "$@"\n', "utf-8")
        (fate / "bin" / "pip").chmod(0o755)
        (fate / "bin" / "init_env.sh").write_text("PATH=$PWD/fate/bin:$PWD/.venv/bin:$PATH\n", "utf-8")
        return fate

    def test_all_are_tried_here(self, printed: str) -> None:
        assert [re.sub(r"--.*", "", command).strip() for command in commands(printed)] == [
            ".venv/bin/fate-ext check", ".venv/bin/fate-ext serve", ".venv/bin/fate-ext check",
            ".venv/bin/fate-ext serve", ".venv/bin/fate-ext register", "source DIR/bin/init_env.sh", "pip install .",
            "fate-ext enable"]

    def test_check_serve_and_register(
        self, printed: str, checkout: Checkout, port: int, names: Dict[str, str], fake_flow: FakeFlow
    ) -> None:
        alone = [here(command, names) for command in commands(printed) if command.startswith(".venv/")]
        for serve in sorted({command for command in alone if " serve " in command}):
            server = subprocess.Popen(["bash", "-c", f"exec {serve}"], cwd=checkout.folder, stderr=subprocess.DEVNULL,
                                      env=checkout.environment(**PROXIES))
            try:
                wait_until(lambda: answers(port), 60, "the server to answer")
                for command in sorted(set(alone) - {serve}):
                    done = checkout.run("bash", "-c", command, environment=PROXIES)
                    assert done.returncode == 0, f"{command}\n{done.stdout}"
            finally:
                server.terminate()
                server.wait(60)
        assert [path for path, _ in fake_flow.received] == ["/v1/service/registry"]

    def test_install_and_enable_in_fate(
        self, printed: str, checkout: Checkout, names: Dict[str, str], fate: Path, terminal: int
    ) -> None:
        start = next(place for place, command in enumerate(commands(printed)) if command.startswith("source"))
        script = "\n".join(["set -e", *commands(printed)[start:]])
        done = checkout.run("bash", "-c", here(script, names), stdin=terminal)
        assert done.returncode == 0, done.stdout
        assert "fate_ext_plugin.mount" in (fate / "conf" / "service_conf.yaml").read_text("utf-8")


def here(text: str, names: Dict[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(name, value)
    return text


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def terminal() -> Iterator[int]:
    """One at which somebody says yes."""
    keyboard, terminal = os.openpty()
    os.write(keyboard, b"y\n")
    yield terminal
    os.close(keyboard)
    os.close(terminal)
