"""A Python whose environments are made at once: `python quick_python.py SCRIPT ARGUMENTS` runs SCRIPT in such a Python.

Instead of a pip of its own, an environment gets the packages in the folder FATE_EXT_TEST_PACKAGES, or else those of the
tests, pip among them but not ours. Where FATE_EXT_TEST_REACHED names a file, making one gets no further than that: the
file is written, and this process waits for a signal.
"""
import os
import runpy
import signal
import sys
import venv
from pathlib import Path


def borrow(self, context):
    if "FATE_EXT_TEST_REACHED" in os.environ:
        Path(os.environ["FATE_EXT_TEST_REACHED"]).touch()
        signal.pause()
    packages = os.environ.get("FATE_EXT_TEST_PACKAGES") or str(links(Path(context.env_dir).with_name("borrowed")))
    own, = Path(context.env_dir).glob("lib/python*/site-packages")
    (own / "borrowed.pth").write_text(packages, "utf-8")


def links(folder):
    """A folder with links to this Python's packages. It is outside the environment, so pip never changes them."""
    folder.mkdir()
    for path in [path for place in sys.path if place.endswith("-packages") for path in Path(place).iterdir()]:
        if not path.name.startswith(("fate_ext_plugin", "__editable__")) and not (folder / path.name).exists():
            (folder / path.name).symlink_to(path)
    return folder


venv.EnvBuilder._setup_pip = borrow
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
