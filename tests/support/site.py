"""A site of its own for a test: a folder with data and settings, and a real server process."""
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, List, Optional

import requests
import yaml

from fate_ext_plugin.access.guard import AccessGuard
from fate_ext_plugin.apps.service_urls import FEATURE_SERVICES, service_uris
from fate_ext_plugin.feature.storage import Storage
from fate_ext_plugin.settings.load import read_settings_file
from fate_ext_plugin.settings.model import SECTION, Settings
from tests.support import programs

# How long a test waits for what must come: only a fault takes so long, however busy the machine is.
PATIENCE_SECONDS = 120.0
# A server that stops is not cut short, however busy the machine is.
UNHURRIED = {"fate_ext_plugin.server.REQUESTS_SECONDS": PATIENCE_SECONDS,
             "fate_ext_plugin.server.END_SECONDS": PATIENCE_SECONDS}
# Below those that the kernel gives away by itself.
PORTS = range(10_000, 30_000)
ALL = [*FEATURE_SERVICES, "client_authentication", "site_authentication", "signature", "permission", "metrics"]


def free_port() -> int:
    """A port that stays free until the test uses it: each is given to one of all tests on this machine, in turn."""
    with open(Path(tempfile.gettempdir()) / f"fate-ext-test-ports-{os.getuid()}", "a+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        port = int(file.read() or PORTS.start)
        while not _is_free(port):
            port = _next(port)
        file.truncate(0)
        file.write(str(_next(port)))
    return port


def _next(port: int) -> int:
    return port + 1 if port + 1 in PORTS else PORTS.start


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def wait_until(condition: Any, seconds: float = PATIENCE_SECONDS, what: str = "it") -> Any:
    """Poll ``condition`` until it is true, and return what it gave."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s in vain for {what}")


class Site:
    """``fate-ext serve`` on a folder; ``settings`` is the section as YAML holds it."""

    def __init__(self, folder: Path, settings: Dict[str, Any]) -> None:
        self.folder = folder
        self.port = free_port()
        self.section = {"data_dir": "ext", "listen": {"port": self.port}, **settings}
        self.conf = folder / "service_conf.yaml"
        self.log = folder / "serve.log"
        self.process: Optional[subprocess.Popen] = None
        #: folders of packages that only this site's processes see
        self.pythonpath: List[Path] = []
        #: constants of the server that are others here, by their full names
        self.constants: Dict[str, Any] = {}
        #: the file that says how wrong the server's clock is
        self.clock: Optional[Path] = None
        #: of its clients, by app key
        self.secrets: Dict[str, str] = {}
        #: another program that takes the same arguments
        self.module = ""
        self.write_settings()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def data_dir(self) -> Path:
        return self.folder / self.section["data_dir"]

    @property
    def settings(self) -> Settings:
        return read_settings_file(self.conf)

    def write_settings(self, **changes: Any) -> None:
        self.section.update(changes)
        self.conf.write_text(yaml.safe_dump({SECTION: self.section}), "utf-8")

    def start(self) -> "Site":
        self.launch()
        wait_until(self._answers, what=f"the server to start; its log: {self.log}")
        return self

    def launch(self) -> subprocess.Popen:
        """Like :meth:`start`, without waiting until it answers."""
        module = self.module or "tests.support.impatient"
        constants = {**({} if self.module else UNHURRIED), **self.constants}
        with open(self.log, "ab") as log:
            self.process = programs.start(
                [sys.executable, "-m", module, "serve", "--conf", str(self.conf)], stdout=log, stderr=log,
                start_new_session=True, env={**self.environment(), "FATE_EXT_TEST_CONSTANTS": json.dumps(constants)})
        return self.process

    def environment(self) -> Dict[str, str]:
        path = os.pathsep.join([*map(str, self.pythonpath), os.environ.get("PYTHONPATH", "")])
        return dict(os.environ, PYTHONUNBUFFERED="1", PYTHONPATH=path, FATE_EXT_TEST_SITE=str(self.folder),
                    FATE_EXT_TEST_CLOCK=str(self.clock or ""))

    def set_clock(self, seconds: float) -> None:
        """Let the server's clock be wrong by so much; needs a :attr:`clock` from the start on."""
        assert self.clock
        new = self.clock.with_suffix(".new")
        new.write_text(str(seconds))
        os.replace(new, self.clock)

    def _answers(self) -> bool:
        assert self.process and self.process.poll() is None, self.log.read_text("utf-8")
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/v1/ext/", timeout=PATIENCE_SECONDS).status_code == 404
        except requests.ConnectionError:
            return False

    def stop(self) -> None:
        """As an operator does: SIGTERM."""
        if self.process and self.runs():
            self.resume()
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(PATIENCE_SECONDS)

    def kill(self) -> None:
        """As bad luck does: SIGKILL to the server alone; its children must notice by themselves."""
        assert self.process
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)

    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def pause(self) -> None:
        """As a machine does that swaps, or is moved: SIGSTOP to the server alone, not to its children."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self.process and self.runs():
            self.process.send_signal(signal.SIGCONT)

    def url(self, service: str) -> str:
        """As FATE Flow's registry holds it."""
        guard = AccessGuard(Storage(self.data_dir, 0).secret(), (), ())
        return f"http://127.0.0.1:{self.port}{service_uris(guard, '127.0.0.1', self.port, ALL)[service]}"

    def instance(self) -> str:
        """Its name in the database."""
        return Storage(self.data_dir, 0).instance_id()

    def probe(self, path: str) -> requests.Response:
        """As a load balancer asks: without a token."""
        return requests.get(f"http://127.0.0.1:{self.port}/v1/ext/{path}", timeout=PATIENCE_SECONDS)

    def metric(self, name: str) -> float:
        """Its value now; needs the setting ``metrics``. :param name: with its labels"""
        text = requests.get(self.url("metrics"), timeout=PATIENCE_SECONDS).text
        return float(re.findall(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)[0])

    def held_queries(self) -> float:
        """How many it holds now."""
        return self.metric("fate_ext_held_queries")

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run ``fate-ext`` on this site's settings."""
        return subprocess.run(
            [sys.executable, "-m", "fate_ext_plugin.cli", *arguments, "--conf", str(self.conf)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment(),
            timeout=PATIENCE_SECONDS)

    def files(self) -> List[str]:
        """What lies in data_dir of uploads, jobs and child processes, relative and sorted."""
        return sorted(
            str(path.relative_to(self.data_dir))
            for name in ("incoming", "jobs") for path in (self.data_dir / name).rglob("*") if path.is_file())

    def processes(self) -> List[int]:
        """The server and its children, also those that outlived it."""
        return processes_with(f"FATE_EXT_TEST_SITE={self.folder}")


def processes_with(mark: str) -> List[int]:
    """Those whose environment holds ``mark``, NAME=value."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it ended meanwhile
            if mark.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found
