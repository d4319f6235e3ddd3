"""A look at what may hang holds up nobody."""
import threading
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, List, Optional

import pytest

from fate_ext_plugin.errors import NoAnswerYet
from fate_ext_plugin.monitoring.probe import CachedProbe
from tests.support.clock import Clock


def test_a_flood_of_questions_is_one_look() -> None:
    looks = []
    watch = CachedProbe(lambda: looks.append(1) or len(looks), keep=3600, patience=60)
    assert {watch.get() for _ in range(1000)} == {1}


def test_it_looks_again_after_a_while() -> None:
    looks = []
    watch = CachedProbe(lambda: looks.append(1) or len(looks), keep=0, patience=60)
    assert [watch.get(), watch.get()] == [1, 2]


def test_what_a_look_raises_is_raised_to_all() -> None:
    def look() -> None:
        looks.append(1)
        raise OSError("no disk")
    looks: List[int] = []
    watch = CachedProbe(look, keep=3600, patience=60)
    for _ in range(3):
        with pytest.raises(OSError, match="no disk"):
            watch.get()
    assert looks == [1]


def test_a_look_that_hangs_is_waited_for_once_and_never_doubled(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, go, looks = Clock(), threading.Event(), []
    waits: List[Optional[float]] = []
    result = Future.result

    def noted(future: Any, timeout: Optional[float] = None) -> Any:
        """As much of the patience as is left passes."""
        waits.append(timeout)
        clock.now += timeout or 0.0
        return result(future, 0)

    def look() -> str:
        looks.append(1)
        go.wait()
        return "back"
    monkeypatch.setattr("fate_ext_plugin.monitoring.probe.time", SimpleNamespace(monotonic=clock))
    watch = CachedProbe(look, keep=60, patience=0.5)
    with monkeypatch.context() as patch:
        patch.setattr(Future, "result", noted)
        for _ in range(1000):
            with pytest.raises(NoAnswerYet, match="no answer within 0.5 s"):
                watch.get()
    assert waits == [0.5] + [0.0] * 999
    assert looks == [1]
    go.set()
    watch.begin().result(60)
    assert watch.get() == "back"
