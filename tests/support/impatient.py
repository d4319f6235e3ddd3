"""``fate-ext`` as a test wants it. The environment variable FATE_EXT_TEST_CONSTANTS maps full names of constants, such
as the seconds that it waits, to other values, as JSON. FATE_EXT_TEST_CLOCK names a file with the seconds by which the
clock is wrong; it may change at any time."""
import json
import os
import time
from importlib import import_module
from pathlib import Path


def set_clock() -> None:
    """Before anything of ours is imported, which may keep time.time."""
    true, wrong = time.time, Path(os.environ.get("FATE_EXT_TEST_CLOCK") or "/dev/null")
    time.time = lambda: true() + float(wrong.read_text() or 0)


def change_constants() -> None:
    for name, value in json.loads(os.environ.get("FATE_EXT_TEST_CONSTANTS") or "{}").items():
        module, _, constant = name.rpartition(".")
        assert hasattr(import_module(module), constant), name
        setattr(import_module(module), constant, value)


if __name__ == "__main__":
    set_clock()
    change_constants()
    import_module("fate_ext_plugin.cli").main()
