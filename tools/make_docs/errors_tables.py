"""The codes of docs/errors.md, out of the classes of fate_ext_plugin/errors.py and their docstrings."""
import inspect
import re
from typing import List, Type

from markdown import table

from fate_ext_plugin import errors
from fate_ext_plugin.errors import ExtError


def tables() -> str:
    rows = [
        [str(error.code), str(error.status), told(error, "Cause"), told(error, "Cure"), told(error, "Seen")]
        for error in sorted(classes(), key=lambda error: error.code)]
    return table(["code", "HTTP", "cause", "cure", "seen at"], rows)


def classes() -> List[Type[ExtError]]:
    return [found for _, found in inspect.getmembers(errors, inspect.isclass) if issubclass(found, ExtError)]


def told(error: Type[ExtError], label: str) -> str:
    """The docstring's line ``label``, with those that go on with it; for the cause its first paragraph will do."""
    text = inspect.getdoc(error) or ""
    found = re.search(rf"^{label}: (.*(?:\n  .*)*)", text, flags=re.MULTILINE)
    if found is None and label != "Cause":
        raise SystemExit(f"fate_ext_plugin/errors.py: the docstring of {error.__name__} needs a line '{label}: ...'")
    words = found.group(1) if found else text.split("\n\n")[0].rstrip(".")
    return " ".join(words.split()).replace("``", "`")
