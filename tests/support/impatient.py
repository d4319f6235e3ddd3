"""``fate-ext`` with some of its constants changed, such as the seconds that it waits: the environment variable
FATE_EXT_TEST_CONSTANTS maps their full names to values, as JSON."""
import json
import os
from importlib import import_module

from fate_ext_plugin.cli import main


def change_constants() -> None:
    for name, value in json.loads(os.environ.get("FATE_EXT_TEST_CONSTANTS", "{}")).items():
        module, _, constant = name.rpartition(".")
        assert hasattr(import_module(module), constant), name
        setattr(import_module(module), constant, value)


if __name__ == "__main__":
    change_constants()
    main()
