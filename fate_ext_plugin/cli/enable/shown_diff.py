"""A change as people look at it: a unified diff, without the secrets that stand around."""
import difflib
import re
from typing import Iterator, List, Set, Tuple

import yaml

HIDDEN = "***"
SECRET = re.compile(r"pass|secret|key|token|credential", re.IGNORECASE)
# FATE's own file has sections that are commented out, with their passwords.
COMMENTED = re.compile(r"(#.*?[\w-]*(?:pass|secret|key|token|credential)[\w-]*['\"]?\s*:)\s*\S.*", re.IGNORECASE)


def shown_diff(old: str, new: str, name: str) -> str:
    """:param name: of the file, for both sides."""
    lines = difflib.unified_diff(without_secrets(old), without_secrets(new), name, name, lineterm="")
    return "\n".join(lines)


def without_secrets(text: str) -> List[str]:
    """The lines of a YAML text; a value under a name such as ``passwd`` or ``private_key`` is hidden, and the rest of
    its lines with it."""
    lines = text.rstrip("\n").split("\n")
    root = yaml.compose(text)
    for first, column, last in sorted(_secrets(root, False, set()) if root else (), reverse=True):
        lines[first] = lines[first][:column] + HIDDEN
        lines[first + 1:last + 1] = [HIDDEN] * (last - first)
    return [COMMENTED.sub(rf"\1 {HIDDEN}", line) for line in lines]


def _secrets(node: yaml.Node, secret: bool, seen: Set[int]) -> Iterator[Tuple[int, int, int]]:
    """First line, column and last line of each hidden value."""
    if id(node) in seen:  # an alias, which may even stand in itself
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode) and secret and node.value:
        start, end = node.start_mark, node.end_mark
        # A block's end is where the next token starts.
        last = end.line if end.column or end.line == start.line else end.line - 1
        yield start.line, start.column, last
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _secrets(item, secret, seen)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _secrets(value, secret or bool(SECRET.search(str(key.value))), seen)
