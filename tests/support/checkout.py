"""A checkout of a newcomer's own, and make in it."""
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict

from tests.support.documents import ROOT

QUICK_PYTHON = f"'{sys.executable}' '{Path(__file__).with_name('quick_python.py')}'"
#: what make says to the makes that it starts, and what leads to the tests' own package
NOT_PASSED_ON = ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "PYTHONPATH", "VENV", "PYTHON", "CONSTRAINTS")
#: as on a plain terminal; pip takes nothing from an index
NEWCOMER = {"LC_ALL": "C.UTF-8", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
Done = subprocess.CompletedProcess


class Checkout:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ignored = shutil.ignore_patterns("__pycache__", "data")
        for name in ("fate_ext_plugin", "conf", "demo", "tools"):
            shutil.copytree(str(ROOT / name), str(folder / name), ignore=ignored)
        for name in ("Makefile", "setup.py", "setup.cfg", "README.md", "LICENSE"):
            shutil.copy(str(ROOT / name), str(folder))

    def environment(self, **changes: str) -> Dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON}
        return {**kept, **NEWCOMER, **changes}

    def run(self, *command: str, environment: Any = (), **options: Any) -> "Done[str]":
        return subprocess.run(
            command, cwd=self.folder, env=self.environment(**dict(environment)), encoding="utf-8", timeout=300,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
