"""Something done again and again beside the work of a job."""
import threading
from contextlib import contextmanager
from typing import Callable, Iterator


@contextmanager
def run_periodically(action: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call ``action`` so often in a thread of its own, first after ``seconds``."""
    done = threading.Event()

    def call() -> None:
        while not done.wait(seconds):
            action()

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
