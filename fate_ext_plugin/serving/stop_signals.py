"""How SIGTERM and SIGINT end ``fate-ext serve``: the first one lets it stop in good order, for some seconds; any other
ends it at once.

Python runs signal handlers in the main thread alone, and only between two of its instructions: not while it waits for
a database. So nothing is done there. A byte in a pipe tells a thread of the signal, whichever thread the kernel
interrupted. The kernel's own way to end a process would not do: it ignores such signals to a container's first process.
"""
import logging
import os
import signal
import threading

logger = logging.getLogger(__name__)
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """Made by the main thread.

    A signal before :meth:`wait`, or after the one that ended it, ends the process at once, with 128 and the signal's
    number as exit status. What is half done then is taken up by the next start, as after SIGKILL.

    :param seconds: from the signal until the process ends with exit status 1, whatever it still waits for.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting, self._stopping = threading.Event(), threading.Event()
        self._pipe, write = os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write)
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)
        threading.Thread(target=self._listen, name="fate-ext-signals", daemon=True).start()

    def wait(self) -> None:
        """Return when a signal came, or :meth:`stop` was called."""
        self._waiting.set()
        self._stopping.wait()

    def stop(self) -> None:
        self._stopping.set()

    def _listen(self) -> None:
        number = self._next()
        if not self._waiting.is_set() or self._stopping.is_set():
            os._exit(128 + number)
        self.stop()
        end = threading.Timer(self._seconds, self._end)
        end.daemon = True
        end.start()
        os._exit(128 + self._next())

    def _next(self) -> int:
        """Wait for one of the two; a library may handle others."""
        while True:
            number = os.read(self._pipe, 1)[0]
            if number in SIGNALS:
                return number

    def _end(self) -> None:
        logger.error("ended without waiting any longer")
        os._exit(1)
