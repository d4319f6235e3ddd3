"""The Python environment that make works in: a broken one is made anew, and an unsuitable Python is told so.

pip only records here what it is called with.
"""
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from tests.support.checkout import QUICK_PYTHON, Checkout, Done
from tests.support.site import wait_until

RECORDING_PIP = """\
import os, sys
with open(os.environ["FATE_EXT_TEST_PIP_CALLS"], "a") as calls:
    print(*sys.argv[1:], file=calls)
sys.exit(os.environ.get("FATE_EXT_TEST_PIP_FAILS"))
"""
PYENV = Path("~/.pyenv/versions").expanduser()
Make = Callable[..., "Done[str]"]


def old_python(version: str) -> Path:
    """The newest one of that version there is."""
    found = sorted(PYENV.glob(f"{version}.*/bin/python"))
    if not found:
        pytest.skip(f"no Python {version} in {PYENV}")
    return found[-1]


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """Those of each new environment: a pip and nothing else."""
    packages = tmp_path / "packages"
    for name, text in {"pip/__main__.py": RECORDING_PIP, "pip-99.dist-info/METADATA": "Name: pip\nVersion: 99\n",
                       "pip-99.dist-info/RECORD": "pip/__main__.py,,\n"}.items():
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_text(text)
    return packages


@pytest.fixture
def environment(tmp_path: Path, packages: Path) -> Any:
    return {"FATE_EXT_TEST_PACKAGES": str(packages), "FATE_EXT_TEST_PIP_CALLS": str(tmp_path / "calls")}


@pytest.fixture
def venv(checkout: Checkout, tmp_path: Path) -> Iterator[Path]:
    """Where make expects its environment; moved away after the test, so that the next one finds none."""
    venv = checkout.folder / ".venv"
    yield venv
    if venv.exists():
        venv.rename(tmp_path / "used")


@pytest.fixture
def make(checkout: Checkout, environment: Any) -> Make:
    """Make the environment that `make demo` runs in."""
    def make(python: str = QUICK_PYTHON, *arguments: str, **changes: str) -> "Done[str]":
        return checkout.run(
            "make", ".venv/.installed-demo", f"PYTHON={python}", *arguments, environment={**environment, **changes})
    return make


def calls(environment: Any) -> str:
    return Path(environment["FATE_EXT_TEST_PIP_CALLS"]).read_text("utf-8")


def test_it_is_made_once_and_pip_installs_the_package_and_what_the_demo_needs(
    make: Make, venv: Path, environment: Any
) -> None:
    first = make()
    assert first.returncode == 0, first.stdout
    assert calls(environment) == "install -qq pip>=21.3\ninstall -qq --use-pep517 -e .[demo]\n"
    assert "is up to date" in make().stdout


def without_python(venv: Path) -> None:
    """As after an upgrade of the machine."""
    for name in ("python", "python3"):
        (venv / "bin" / name).unlink()
        (venv / "bin" / name).symlink_to("/no/longer/there/python3")


def with_another_python(venv: Path) -> None:
    """As after an upgrade of the machine, too: lib/ is of the Python that was there before."""
    lib, = (venv / "lib").iterdir()
    lib.rename(lib.with_name("python3.7"))


def interrupted(venv: Path) -> None:
    """While pip came in: RECORD is written last."""
    borrowed, = venv.glob("lib/*/*/borrowed.pth")
    packages = borrowed.with_name("pip")
    borrowed.unlink()
    packages.mkdir()
    (packages / "__main__.py").touch()


@pytest.mark.parametrize("damage", [without_python, with_another_python, interrupted])
def test_a_damaged_one_is_made_anew(make: Make, venv: Path, damage: Callable[[Path], None]) -> None:
    assert make().returncode == 0
    damage(venv)
    repaired = make()
    assert repaired.returncode == 0 and ".venv is broken or unfinished" in repaired.stdout
    assert "is up to date" in make().stdout


@pytest.mark.parametrize("version", ["3.6", "3.7"])
def test_one_of_an_old_python_is_made_anew(make: Make, venv: Path, version: str) -> None:
    subprocess.run([str(old_python(version)), "-m", "venv", "--without-pip", str(venv)], check=True, timeout=60)
    repaired = make()
    assert repaired.returncode == 0 and "its Python is older than 3.8: making it anew" in repaired.stdout
    assert subprocess.run([str(venv / "bin" / "python"), "--version"], stdout=subprocess.PIPE, text=True).stdout.split(
        )[1] == "{}.{}.{}".format(*sys.version_info[:3])


def test_ctrl_c_while_it_is_made_is_no_harm(
    make: Make, venv: Path, checkout: Checkout, environment: Any, tmp_path: Path
) -> None:
    reached = tmp_path / "reached"
    interrupted = subprocess.Popen(
        ["make", "demo", f"PYTHON={QUICK_PYTHON}"], cwd=checkout.folder, start_new_session=True,
        env=checkout.environment(**environment, FATE_EXT_TEST_REACHED=str(reached)), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)
    wait_until(reached.exists, 60, "the environment to be begun")
    os.killpg(interrupted.pid, signal.SIGINT)
    printed, _ = interrupted.communicate(timeout=60)
    assert interrupted.returncode and "Traceback" not in printed
    finished = make()
    assert finished.returncode == 0 and "making it anew" in finished.stdout


def test_a_folder_of_somebody_s_own_is_left_alone(make: Make, venv: Path) -> None:
    venv.mkdir()
    (venv / "thesis.txt").write_text("all of it")
    refused = make()
    assert refused.returncode and ".venv holds files, but no Python environment." in refused.stdout
    assert (venv / "thesis.txt").read_text() == "all of it"


def test_blanks_in_its_name_are_refused(make: Make) -> None:
    assert "VENV can't contain blanks: my environment" in make(QUICK_PYTHON, "VENV=my environment").stdout


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7"])
def test_a_python_older_than_3_8_is_told_so(make: Make, venv: Path, version: str) -> None:
    python = old_python(version)
    refused = make(str(python))
    assert refused.returncode and "Traceback" not in refused.stdout and not venv.exists()
    assert "\nPython 3.8 or newer is needed.\nThis Python is " + version in refused.stdout
    assert "choose another Python:\n    make demo PYTHON=/path/to/" in refused.stdout


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_python_without_venv_says_which_package_has_it(
    make: Make, venv: Path, tmp_path: Path, module: str
) -> None:
    """As Debian's is without python3-venv."""
    (tmp_path / "debian.py").write_text(
        f"import runpy, sys\nsys.modules[{module!r}] = None\ndel sys.argv[0]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n")
    refused = make(f"'{sys.executable}' '{tmp_path / 'debian.py'}'")
    assert refused.returncode and "Traceback" not in refused.stdout and not venv.exists()
    assert "apt-get install python{}.{}-venv".format(*sys.version_info) in refused.stdout
    assert "make demo PYTHON=/path/to/" in refused.stdout


def test_a_pip_that_fails_leads_to_the_package_index(make: Make, venv: Path) -> None:
    refused = make(FATE_EXT_TEST_PIP_FAILS="ERROR: no such package")
    assert "ERROR: no such package\nInstalling failed. pip needs a package index" in refused.stdout
    assert refused.returncode and not (venv / ".installed-demo").exists()
