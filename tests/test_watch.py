"""A look at what may hang holds up nobody."""
import threading
import time
from typing import List

import pytest

from fate_ext_plugin.errors import NoAnswerYet
from fate_ext_plugin.watch import Watch


def test_a_flood_of_questions_is_one_look() -> None:
    looks = []
    watch = Watch(lambda: looks.append(1) or len(looks), keep=60)
    assert {watch.get() for _ in range(1000)} == {1}


def test_it_looks_again_after_a_while() -> None:
    looks = []
    watch = Watch(lambda: looks.append(1) or len(looks), keep=0)
    assert [watch.get(), watch.get()] == [1, 2]


def test_what_a_look_raises_is_raised_to_all() -> None:
    def look() -> None:
        looks.append(1)
        raise OSError("no disk")
    looks: List[int] = []
    watch = Watch(look, keep=60)
    for _ in range(3):
        with pytest.raises(OSError, match="no disk"):
            watch.get()
    assert looks == [1]


def test_a_look_that_hangs_is_waited_for_once_and_never_doubled() -> None:
    go, looks = threading.Event(), []

    def look() -> str:
        looks.append(1)
        go.wait(20)
        return "back"
    watch = Watch(look, keep=60, patience=0.3)
    began = time.monotonic()
    with pytest.raises(NoAnswerYet, match="no answer within 0.3 s"):
        watch.get()
    assert 0.3 <= time.monotonic() - began < 2
    began = time.monotonic()
    for _ in range(1000):
        with pytest.raises(NoAnswerYet):
            watch.get()
    assert time.monotonic() - began < 1
    assert looks == [1]
    go.set()
    watch.begin().result(5)
    assert watch.get() == "back"
