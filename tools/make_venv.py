"""Make the Python environment that the Makefile works in: `python3 tools/make_venv.py FOLDER`.

A broken environment in FOLDER is replaced; any other folder with files in it is left alone. This file also runs on
Pythons that are too old, so that it can say so.
"""

import os
import platform
import sys

HINT = """
This Python is {version}: {path}
{advice} choose another Python:
    make demo PYTHON=/path/to/python3.11"""


def main(folder):
    if sys.version_info < (3, 8):  # noqa: UP036 - see above
        stop("Python 3.8 or newer is needed.", "Install a newer one, or")
    try:
        import ensurepip  # noqa: F401 - Debian keeps it in a package of its own
        import venv
    except ImportError:
        package = "python" + ".".join(platform.python_version_tuple()[:2]) + "-venv"
        stop("This Python lacks the module venv or ensurepip, so it can't make an environment.",
             "On Debian and Ubuntu: apt-get install " + package + ". Or")
    if any(files for _, _, files in os.walk(folder)):
        if not is_environment(folder):
            sys.exit(folder + " holds files, but no Python environment. Name another folder: make demo VENV=FOLDER")
        print(folder + " is broken or unfinished, or its Python is older than 3.8: making it anew.")
    venv.main(["--clear", folder])


def is_environment(folder):
    """Whether ``folder`` was begun as an environment: pyvenv.cfg is the first file that venv writes; old virtualenvs
    have bin/activate alone."""
    return any(os.path.lexists(os.path.join(folder, *path)) for path in (["pyvenv.cfg"], ["bin", "activate"]))


def stop(reason, advice):
    sys.exit(reason + HINT.format(version=platform.python_version(), path=sys.executable, advice=advice))


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except KeyboardInterrupt:
        sys.exit(130)
