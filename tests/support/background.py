"""A call that a test makes while it does something else."""
import threading
from concurrent.futures import Future
from typing import Callable, Generic, TypeVar

from tests.support.site import PATIENCE_SECONDS

T = TypeVar("T")


class Background(Generic[T]):
    """Runs ``call`` in a thread of its own."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._future: Future[T] = Future()
        self._call = call
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self._future.set_result(self._call())
        except BaseException as error:
            self._future.set_exception(error)

    @property
    def ended(self) -> bool:
        return self._future.done()

    def result(self) -> T:
        """Wait for what the call returns; whatever it raised is raised here."""
        return self._future.result(PATIENCE_SECONDS)
