"""Symbolic links among a view's files: a link leads no job out of the view's folder, unless the settings name it.

Whoever may write into a folder of features, or unpacks an archive there, could otherwise have the server read any file
that its own user can read.
"""
import os
import re
from pathlib import Path
from typing import Dict, Iterable, List, Set, Tuple

from fate_ext_plugin.errors import SourceError

# What makes a part of a path stand for many names: those that it stands for are not named by the settings.
OPEN = re.compile(r"[{*?\[]")


def fixed_folder(template: str) -> str:
    """The folder above the first placeholder or wildcard; of a path without any, the file's own."""
    fixed = OPEN.split(template, maxsplit=1)[0]
    return os.path.dirname(fixed) or "."


def require_no_way_out(template: str, files: Iterable[str]) -> None:
    """Every link on the way to ``files`` stays in the view's folder, or is written out in ``template``.

    :param template: the configured path, with placeholders and wildcards.
    :raises SourceError: names the first link that leads out.
    """
    if not OPEN.search(template):
        return
    base = fixed_folder(template)
    above = len(Path(base).parts)
    pattern = Path(template).parts[above:]
    found: Dict[Tuple[str, ...], _Place] = {(): _Place(os.path.realpath(base), os.path.realpath(base))}
    for file in files:
        parts = Path(file).parts[above:]
        named = _named(pattern, parts)
        for end in range(1, len(parts) + 1):
            if parts[:end] not in found:
                found[parts[:end]] = found[parts[:end - 1]].step(parts[end - 1], end - 1 in named, base, parts[:end])


def _named(pattern: Tuple[str, ...], parts: Tuple[str, ...]) -> Set[int]:
    """Which ``parts`` of a file's path the pattern writes out; ``**`` stands for any number of them."""
    deep = [index for index, part in enumerate(pattern) if part == "**"]
    before: List[str] = list(pattern[:deep[0]] if deep else pattern)
    after: List[str] = list(pattern[deep[-1] + 1:] if deep else ())
    start = len(parts) - len(after)
    written = [*enumerate(before), *enumerate(after, start=start)]
    return {index for index, part in written if not OPEN.search(part)}


class _Place:
    """Where a part of a path really is, and the folder that it may not leave from there on."""

    def __init__(self, real: str, folder: str) -> None:
        self._real, self._folder = real, folder

    def step(self, name: str, is_named: bool, base: str, shown: Tuple[str, ...]) -> "_Place":
        """One part further.

        :param is_named: the settings write this part out. :param shown: the parts so far, for the message.
        """
        path = os.path.join(self._real, name)
        if not os.path.islink(path):
            return _Place(path, self._folder)
        target = os.path.realpath(path)
        if is_named:
            return _Place(target, target)
        if target != self._folder and not target.startswith(os.path.join(self._folder, "")):
            link = os.path.join(*shown)
            raise SourceError(
                f"The link {os.path.join(base, link)} leads out of the view's folder {self._folder}, to {target}. Put "
                "the data into that folder, or write the link's own name into the view's path.",
                f"The link {link} leads out of the view's folder, so it is not followed.")
        return _Place(target, self._folder)
