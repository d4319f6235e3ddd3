"""The server's side of a job's child process: start it, give it a task, listen, stop it."""
import contextlib
import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

from fate_ext_plugin.errors import ExtError, WorkerError
from fate_ext_plugin.feature.engine.worker import Task
from fate_ext_plugin.feature.source import Counts
from fate_ext_plugin.util.secret_file import private_opener

logger = logging.getLogger(__name__)
TICK_SECONDS = 0.2
MAX_LOG_LINES = 20


class JobError(ExtError):
    """What a child said of its failure, with the code it said it under."""

    def __init__(self, code: int, message: str, public: str) -> None:
        super().__init__(message, public)
        self.code = code


class Stopped(Exception):
    """The job was canceled, or the server is going down."""


class Child:
    """A started child process that waits for its task."""

    def __init__(self, log: Path) -> None:
        """:param log: where the child's stderr goes; read for the reason when it crashes."""
        self._log = log
        self.started = time.monotonic()
        with open(log, "wb", opener=private_opener) as stderr:
            # In a session of its own: Ctrl-C in the server's terminal is for the server, which puts its jobs back.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "fate_ext_plugin.feature.engine.worker"], start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, close_fds=True)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def run(
        self, task: Task, timeout: float, progress: Callable[[int], None], stopped: Callable[[], bool]
    ) -> Counts:
        """Run ``task`` to its end; the process ends with it, whatever happens.

        :param progress: takes percent.
        :param stopped: asked several times a second; the child is killed when it says yes.
        :raises JobError: what the child reported.
        :raises WorkerError: it took too long, or died without a word.
        :raises Stopped: ``stopped`` said yes.
        """
        try:
            return self._run(task, timeout, progress, stopped)
        finally:
            self.kill()

    def _run(
        self, task: Task, timeout: float, progress: Callable[[int], None], stopped: Callable[[], bool]
    ) -> Counts:
        deadline = time.monotonic() + timeout
        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(task.to_bytes())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._died() from None
        unread = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while True:
                if stopped():
                    raise Stopped()
                if time.monotonic() > deadline:
                    raise WorkerError(
                        f"The job ran longer than job_timeout_seconds ({timeout:.0f}); raise it, or ask for less.")
                if not selector.select(TICK_SECONDS):
                    continue
                received = os.read(self._process.stdout.fileno(), 65536)
                if not received:
                    raise self._died()
                *lines, unread = (unread + received).split(b"\n")
                for line in lines:
                    message: Dict[str, Any] = json.loads(line)
                    if "progress" in message:
                        progress(message["progress"])
                    elif "error" in message:
                        raise JobError(**message["error"])
                    else:
                        return Counts(**message["done"])

    def _died(self) -> WorkerError:
        code = self._process.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"
        hint = ""
        if code == -signal.SIGKILL:
            hint = " (out of memory, most likely: lower job_memory_mb or concurrent_jobs)"
        said = self._said()
        public = f"The job's process {how}{hint}."
        return WorkerError(f"{public} It said: {said[-1]}" if said else public, public)

    def _said(self) -> List[str]:
        try:
            return [line[:300] for line in self._log.read_text("utf-8", "replace").strip().splitlines()]
        except OSError:
            return []

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):  # somebody else's SIGCHLD handler was first
            self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):  # a task the dead child never read
                    pipe.close()
        self._process.wait()
        for line in self._said()[-MAX_LOG_LINES:]:
            logger.warning("a job's process said: %s", line)
        with contextlib.suppress(OSError):  # the disk is read-only by now; the next start deletes it
            self._log.unlink(missing_ok=True)
