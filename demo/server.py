"""A `fate-ext serve` of the demo's own: its settings, its process, and the urls of its services."""

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict

import yaml

from fate_ext_plugin.access.guard import AccessGuard
from fate_ext_plugin.apps.service_urls import service_uris
from fate_ext_plugin.feature.storage import Storage
from fate_ext_plugin.settings.load import read_settings_file

DEMO_CONF = Path(__file__).resolve().parent.parent / "conf" / "demo"
START_SECONDS = 60
STOP_SECONDS = 30


class Failed(Exception):
    """The demo can't go on; the message is for the user."""


def prepare(folder: Path) -> Path:
    """Copy conf/demo to ``folder`` and choose a free port; returns the settings file.

    :raises OSError: the folder can't be written to.
    """
    try:
        shutil.copytree(DEMO_CONF, folder / "conf", ignore=shutil.ignore_patterns("data"))
    except shutil.Error as error:
        raise OSError(error.args[0][0][2]) from None  # the reason why the first file could not be copied
    conf = folder / "conf" / "service_conf.yaml"
    content = yaml.safe_load(conf.read_text("utf-8"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        content["fate_ext_plugin"]["listen"]["port"] = probe.getsockname()[1]
    conf.write_text(yaml.safe_dump(content), "utf-8")
    return conf


class Server:
    """A running `fate-ext serve`.

    :param conf: its settings file; its output is written beside it.
    """

    def __init__(self, conf: Path) -> None:
        self._settings = read_settings_file(conf)
        self._log = conf.with_name("serve.log")
        with open(self._log, "wb") as log:
            # In a session of its own: Ctrl-C reaches the demo alone, which then stops its server.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "fate_ext_plugin.cli", "serve", "--conf", str(conf)], stdout=log, stderr=log,
                start_new_session=True)

    @property
    def address(self) -> str:
        return f"{self._settings.listen.host}:{self._settings.listen.port}"

    @property
    def output(self) -> str:
        """What the server has printed and logged."""
        return self._log.read_text("utf-8", errors="replace").strip()

    def wait_until_it_answers(self) -> None:
        """:raises Failed: it ended, or needs more than a minute."""
        listen = self._settings.listen
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection((listen.host, listen.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise Failed(f"The server did not start. It said:\n{self.output}")

    def urls(self) -> Dict[str, str]:
        """What `fate-ext register` writes into FATE Flow's registry: each service's url, with the token it asks for."""
        listen = self._settings.listen
        guard = AccessGuard(Storage(self._settings.data_dir, 0).secret(), (), ())
        uris = service_uris(guard, listen.host, listen.port)
        return {service: f"http://{self.address}{uri}" for service, uri in uris.items()}

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
