"""What a test of ``fate-ext check`` says: it returns what is fine, or raises."""
from typing import Callable, List, Tuple

from fate_ext_plugin.errors import ExtError

Test = Callable[[], str]
Tests = List[Tuple[str, Test]]


class Problem(ExtError):
    """The services can't work as they are meant to."""


class Doubtful(ExtError):
    """Worth a warning, but the services may work as they are meant to."""


class Findings:
    """All that one test finds, to be told in one line."""

    def __init__(self) -> None:
        self.problems: List[str] = []
        self.doubts: List[str] = []

    def told(self, fact: str) -> str:
        """``fact``, where there is nothing to add.

        :raises Problem: there is one. :raises Doubtful: there are doubts only.
        """
        text = " ".join([f"{fact}.", *self.problems, *self.doubts])
        if self.problems:
            raise Problem(text)
        if self.doubts:
            raise Doubtful(text)
        return fact
