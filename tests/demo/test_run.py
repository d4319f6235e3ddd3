"""demo/run.py where something comes in between: a signal, a full disk, a reader who has seen enough."""
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest

from tests.support.disk import run, tmpfs
from tests.support.documents import ROOT
from tests.support.site import processes_with

STARTED, ACCEPTED = "2. fate-ext serve starts", "   accepted as feature job"
Demo = Callable[..., subprocess.Popen]


@pytest.fixture
def mark(tmp_path: Path) -> str:
    """Names the processes of the demo, also those that outlive it."""
    return f"FATE_EXT_TEST_DEMO={tmp_path}"


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.fixture
def demo(temporary: Path, mark: str) -> Iterator[Demo]:
    """Start the demo, in a process group of its own as a shell does."""
    started: List[subprocess.Popen] = []

    def demo(**changes: str) -> subprocess.Popen:
        environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT), **dict([mark.split("=")])}
        started.append(subprocess.Popen(
            [sys.executable, "demo/run.py"], cwd=ROOT, env={**environment, **changes}, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield demo
    for process in started:
        process.kill()
        process.communicate()


def read_until(demo: subprocess.Popen, start: str) -> None:
    assert demo.stdout
    assert any(line.startswith(start) for line in demo.stdout)


@pytest.mark.parametrize(("stop", "number", "when"), [
    (os.killpg, signal.SIGINT, STARTED),
    (os.kill, signal.SIGTERM, ACCEPTED),
    (os.kill, signal.SIGHUP, STARTED),
], ids=["Ctrl-C", "SIGTERM", "a terminal that is closed"])
def test_a_signal_ends_it_with_its_server(
    demo: Demo, temporary: Path, mark: str, stop: Callable[[int, int], None], number: signal.Signals, when: str
) -> None:
    running = demo()
    read_until(running, when)
    stop(running.pid, number)
    printed, complaint = running.communicate(timeout=60)
    assert (running.returncode, complaint) == (128 + number, "")
    assert "The server is stopped, and the temporary folder removed" in printed and "What to try next" not in printed
    assert processes_with(mark) == [] and list(temporary.iterdir()) == []


def test_a_reader_may_leave(demo: Demo, temporary: Path, mark: str) -> None:
    """`make demo | head`"""
    running = demo()
    read_until(running, STARTED)
    assert running.stdout and running.stderr
    running.stdout.close()
    assert running.stderr.read() == ""
    assert running.wait(60) == 128 + signal.SIGPIPE
    assert processes_with(mark) == [] and list(temporary.iterdir()) == []


def test_nothing_deprecated_is_called_in_the_demo_or_its_server(demo: Demo) -> None:
    running = demo(PYTHONWARNINGS="error::DeprecationWarning,error::PendingDeprecationWarning")
    printed, complaint = running.communicate(timeout=60)
    assert (running.returncode, complaint) == (0, "") and "190 rows and a header line" in printed


class TestFullDisk:
    @pytest.fixture
    def small(self, temporary: Path) -> Iterator[Any]:
        """The temporary folder, with so much space."""
        def small(size: str) -> None:
            tmpfs(temporary, size)
        yield small
        run("umount", "-l", str(temporary))

    def test_without_space_for_its_files_it_asks_for_another_folder(self, small: Any, demo: Demo) -> None:
        small("40k")
        _, complaint = (running := demo()).communicate(timeout=60)
        assert running.returncode == 1
        assert complaint.startswith("\nThe demo can't use its temporary folder: [Errno 28] No space left on device")
        assert complaint.endswith("Name another one, with 100 MB free: make demo TMPDIR=FOLDER\n")

    def test_without_space_for_a_job_it_shows_the_server_s_reason(
        self, small: Any, demo: Demo, temporary: Path, mark: str
    ) -> None:
        small("32m")
        _, complaint = (running := demo()).communicate(timeout=60)
        assert running.returncode == 1
        assert complaint.startswith("\nThe server refused this request with HTTP 507: The disk of data_dir has 3")
        assert processes_with(mark) == [] and list(temporary.iterdir()) == []
