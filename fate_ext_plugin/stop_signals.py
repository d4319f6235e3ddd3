"""How SIGTERM and SIGINT end ``fate-ext serve``: the first one lets it stop in good order, any other ends it at once.

Python runs signal handlers in the main thread alone, and only between two of its instructions: not while it waits for
a database. So nothing is done there. A byte in a pipe tells a thread of the signal, whichever thread the kernel
interrupted. The kernel's own way to end a process would not do: it ignores such signals to a container's first process.
"""
import os
import signal
import threading

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """Made by the main thread.

    A signal before :meth:`wait`, or after the one that ended it, ends the process at once, with 128 and the signal's
    number as exit status. What is half done then is taken up by the next start, as after SIGKILL.
    """

    def __init__(self) -> None:
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
        while True:
            number = os.read(self._pipe, 1)[0]
            if number not in SIGNALS:
                continue  # a library handles others
            if not self._waiting.is_set() or self._stopping.is_set():
                os._exit(128 + number)
            self.stop()
