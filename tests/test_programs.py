"""tests/support/programs.py: what tests start ends with them, and what is missing is skipped, or fails in CI."""
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import programs
from tests.support.site import wait_until

STARTS_ONE = """
import sys, time
from tests.support import programs
print(programs.start(["sleep", "1000"]).pid, flush=True)
time.sleep(1000)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_program_outlives_killed_tests(how: signal.Signals) -> None:
    tests = subprocess.Popen([sys.executable, "-c", STARTS_ONE], stdout=subprocess.PIPE, text=True,
                             stderr=subprocess.DEVNULL)
    with tests:
        assert tests.stdout
        program = int(tests.stdout.readline())
        wait_until(lambda: Path(f"/proc/{program}/comm").read_text() == "sleep\n", what="the program to be on its own")
        tests.send_signal(how)
    wait_until(lambda: not Path(f"/proc/{program}").exists(), 60, "the program to end")


def test_a_missing_program_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="^no-such-server is not installed: apt-get install that-package$"):
        programs.find("no-such-server", "that-package")


def test_in_ci_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-server"):
        programs.find("no-such-server", "that-package")
    with pytest.raises(pytest.fail.Exception, match="pip install this"):
        programs.need_package("no_such_package", "this")
