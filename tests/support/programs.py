"""Programs of this machine that tests start: looked for, and ended with the tests whatever ends those."""
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from typing import Any, NoReturn, Sequence

import pytest

#: marks tests that CI runs, once, and others when they ask for it
takes_long = pytest.mark.skipif(
    "FATE_EXT_TEST_LONG" not in os.environ, reason="it takes long, and CI tries it: FATE_EXT_TEST_LONG=true")
# Debian keeps servers where only root looks for programs.
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def missing(what: str) -> NoReturn:
    """Skip the test, as something that it needs is not here. In CI all is here, so there the test fails.

    :param what: what is missing, and how to get it.
    """
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


def need_package(name: str, install: str, fate_python: bool = False) -> None:
    """Skip the test where a package of Python's is missing.

    :param install: what pip is to install.
    :param fate_python: CI has it in FATE's Python 3.8 alone: it is large, or has no wheels for others.
    """
    if find_spec(name) is None:
        what = f"{name} is not installed: pip install {install}"
        if fate_python and sys.version_info >= (3, 9):
            pytest.skip(what)
        missing(what)


def find(name: str, package: str) -> str:
    """The path of a program.

    :param package: Debian's name of what it comes with.
    """
    found = shutil.which(name, path=PATH)
    if found is None:
        missing(f"{name} is not installed: apt-get install {package}")
    return found


def start(arguments: Sequence[str], at_our_death: str = "KILL", **options: Any) -> "subprocess.Popen[Any]":
    """``subprocess.Popen``, but the kernel ends the program when these tests end without having stopped it.

    :param at_our_death: the signal that it gets then.
    :param options: those of ``subprocess.Popen``.
    """
    return subprocess.Popen([find("setpriv", "util-linux"), "--pdeathsig", at_our_death, *arguments], **options)
