"""A machine as the documents take it for granted: a checkout, FATE's folder, a FATE Flow, and our server at work."""
import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple
from unittest import mock

import pytest
import yaml

from fate_ext_plugin.auth.rsa import parse_key
from fate_ext_plugin.cli import main
from fate_ext_plugin.settings.model import SECTION
from tests.support.api_reader import ApiReader
from tests.support.documents import ROOT
from tests.support.fake_flow import FakeFlow
from tests.support.recordings import vectors
from tests.support.service_conf import SHIPPED
from tests.support.site import Site

VIEW = {
    "source": {"type": "file", "path": "features/{stat_month}/*.csv"},
    "columns": ["balance"],
    "parameters": {"stat_month": {"pattern": r"\d{6}", "default": "202201"}},
}
SETTINGS: Dict[str, Any] = {
    "views": {"credit": VIEW}, "authentication": {"party_id": "8888"}, "permission": {"party_id": "8888"},
    "metrics": True}
#: what the operator wrote into FATE's own file
NAMED = {"data_dir": "fate_ext", "views": {"credit": VIEW}}
#: pip takes nothing from an index
PIP = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
SERVICES = ("upload", "query", "download")
SUCCESS = {"retcode": 0, "retmsg": "success", "data": {}}


@dataclass(frozen=True)
class Before:
    """What was done before: the plugin was built and installed, and our server had its first start."""

    wheels: Path
    data_dir: Path


def prepare(folder: Path) -> Before:
    wheels = folder / "wheels"
    checkout(folder / "checkout")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(wheels), str(folder / "checkout")],
        env=dict(os.environ, **PIP), check=True, timeout=600)
    (folder / "conf").mkdir()
    site = Site(folder / "conf", SETTINGS).start()
    site.stop()
    return Before(wheels, site.data_dir)


def checkout(folder: Path) -> None:
    shutil.copytree(
        str(ROOT / "fate_ext_plugin"), str(folder / "fate_ext_plugin"), ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(str(ROOT / name), str(folder))


class Terminal(io.StringIO):
    """Somebody who says yes to everything."""

    def __init__(self) -> None:
        super().__init__("y\n" * 10)

    def isatty(self) -> bool:
        return True


class Sandbox:
    """``folder`` is where commands run. What documents write in capitals, and addresses, stand for what is here."""

    def __init__(self, folder: Path, flow: FakeFlow, before: Before) -> None:
        self.folder, self.flow, self._wheels = folder / "checkout", flow, before.wheels
        folder = self.folder
        checkout(folder)
        self._programs()
        self._fate()
        (folder / "conf" / "features" / "202201").mkdir(parents=True)
        (folder / "conf" / "features" / "202201" / "part.csv").write_text("id,balance\nu1,12.5\n", "utf-8")
        for wheel in before.wheels.iterdir():
            shutil.copy(str(wheel), str(folder))
        (folder / "ids.csv").write_text("id\nu1\nu2\n", "utf-8")
        partner = vectors("1.11.2")["public_key"]
        (folder / "partner.pem").write_text(partner, "ascii")
        self._fingerprint = parse_key(partner).fingerprint
        self.site = Site(folder / "conf", SETTINGS)
        shutil.copytree(str(before.data_dir), str(self.site.data_dir))
        self.flow.services = {"/v1/service/registry": (200, SUCCESS), "/v1/job/query": (200, SUCCESS)}
        self._job: Optional[str] = None

    def stop(self) -> None:
        self.site.stop()

    def _programs(self) -> None:
        programs = self.folder / "bin"
        programs.mkdir()
        for name, module in (("pip", "pip"), ("fate-ext", "fate_ext_plugin.cli")):
            (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n', "utf-8")
            (programs / name).chmod(0o755)
        # A status that says no is a failure, and nothing is drawn.
        (self.folder / ".curlrc").write_text("fail\nsilent\nshow-error\n", "utf-8")

    def _fate(self) -> None:
        base = self.folder / "fate"
        (base / "conf").mkdir(parents=True)
        (base / "conf" / "service_conf.yaml").write_text(SHIPPED + yaml.safe_dump({SECTION: NAMED}), "utf-8")
        (base / "bin").mkdir()
        (base / "bin" / "init_env.sh").touch()

    def serve(self) -> Site:
        """Our server, started at its first use and registered."""
        if self.site.process is None:
            self.site.start()
            self.flow.registry = {name: self.site.url(name) for name in SERVICES}
        return self.site

    @property
    def job(self) -> str:
        """A feature job that has ended."""
        if self._job is None:
            reader = ApiReader(self.serve())
            self._job = reader.job(["u1", "u2"])
            assert reader.status(self._job)["status"] == "success"
        return self._job

    def here(self, text: str) -> str:
        """With what stands here for an example's names and addresses."""
        for name, value in (
                (r"\bFILE\b", lambda _: "conf/service_conf.yaml"), (r"\bDIR\b", lambda _: "fate"),
                (r"\bJOB\b", lambda _: self.job), (r"\bFINGERPRINT\b", lambda _: self._fingerprint),
                (r"http://(FLOW|10\.0\.0\.5):9380", lambda _: self.flow.url),
                (r"http://(HOST|127\.0\.0\.1):9390", lambda _: f"http://127.0.0.1:{self.serve().port}")):
            text = re.sub(name, value, text)
        return text

    def run(self, command: str) -> Tuple[int, str]:
        """Exit status and output. ``fate-ext`` runs in this process, which is faster, unless a shell is needed."""
        command = self.here(command)
        words = shlex.split(command)
        if words[:2] == ["fate-ext", "serve"]:
            self.serve()
            return 0, ""
        if words[0] == "fate-ext" and not re.search(r"[>|&]", command):
            return self._run_here(words[1:])
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self._environment(words[0] == "curl"), timeout=600,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.returncode, done.stdout

    def _run_here(self, arguments: List[str]) -> Tuple[int, str]:
        printed = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, mock.patch.dict(os.environ):
            patch.chdir(self.folder)
            patch.setattr(sys, "stdin", Terminal())
            patch.setattr(sys, "path", [*sys.path])  # looking for FATE Flow, a command adds to it
            try:
                with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                    main(arguments)
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 1 if end.code else 0
                return status, f"{printed.getvalue()}{end.code or ''}"
        return 0, printed.getvalue()

    def _environment(self, calls: bool) -> Dict[str, str]:
        """pip installs beside Python's own packages. Who calls has our urls."""
        urls = {name.upper(): self.serve().url(name) for name in SERVICES} if calls else {}
        return dict(
            os.environ, PATH=f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}", CURL_HOME=str(self.folder),
            PIP_FIND_LINKS=str(self._wheels), PIP_TARGET=str(self.folder / "site-packages"), **PIP, **urls)
