"""Changes a few lines of a YAML text; every other byte stays as it is.

Each function takes the whole text and returns the changed one. PyYAML's marks say where a node stands. A caller reads
the result again to be sure that it says what was meant: an anchor may have made the same lines count elsewhere, too.
"""
from typing import Dict, Tuple

import yaml

from fate_ext_plugin.errors import ExtError
from fate_ext_plugin.settings.strict_yaml import UniqueKeyLoader

# What PyYAML counts as line ends beside LF.
OTHER_LINE_ENDS = "\r\x85\u2028\u2029"
# A comment that begins so holds the line that stood where the next one stands now.
REPLACED = "#replaced by fate-ext: "


class NotEditable(ExtError):
    """The text is in a form that only people should edit; the message goes on after "because"."""


def with_entry(text: str, section: str, entry: str) -> str:
    """The line ``entry`` as the first of the top-level mapping ``section``, which is there and may be empty."""
    key, value = _section(text, section)
    if isinstance(value, yaml.MappingNode) and not value.flow_style:
        column = value.value[0][0].start_mark.column
    elif _empty(value):
        column = key.start_mark.column + 2
    else:
        raise NotEditable(f"{section} is no mapping with one key a line")
    lines = text.split("\n")
    lines.insert(key.end_mark.line + 1, " " * column + entry)
    return "\n".join(lines)


def with_value(text: str, section: str, name: str, new: str) -> str:
    """``name`` in ``section`` with the value ``new``, in the quotes that are there; what follows it stays."""
    value = _entry(text, section, name)[1]
    start, end = value.start_mark.index, value.end_mark.index
    if _empty(value):
        return f"{text[:start]} {new}{text[end:]}"
    quote = text[start] if text[start] in "'\"" else ""
    if not isinstance(value, yaml.ScalarNode) or text[start:end] != f"{quote}{value.value}{quote}":
        raise NotEditable(f"{section}.{name} is no plain text")
    return f"{text[:start]}{quote}{new}{quote}{text[end:]}"


def without_entry(text: str, section: str, name: str) -> str:
    """Without the line ``name`` in ``section``, and its comment."""
    key, value = _entry(text, section, name)
    if key.start_mark.line != value.end_mark.line:
        raise NotEditable(f"{section}.{name} takes more than one line")
    lines = text.split("\n")
    del lines[key.start_mark.line]
    return "\n".join(lines)


def with_copy(text: str, section: str, name: str) -> str:
    """With a comment before the line ``name`` in ``section`` that holds this line as it is."""
    line = _entry(text, section, name)[0].start_mark.line
    lines = text.split("\n")
    bare = lines[line].lstrip(" ")
    lines.insert(line, f"{lines[line][:-len(bare)]}{REPLACED}{bare}")
    return "\n".join(lines)


def copies(text: str) -> Dict[str, str]:
    """The lines that :func:`with_copy` has kept in comments, without indentation, by name."""
    found = {}
    for line in text.split("\n"):
        comment, _, kept = line.strip(" ").partition(REPLACED)
        entry = _mapping_in(kept) if kept and not comment else {}
        found.update({str(name): kept for name in entry})
    return found


def without_copy(text: str, name: str) -> str:
    """Without the comment that holds the former line ``name``."""
    kept = copies(text)[name]
    return "\n".join(line for line in text.split("\n") if line.strip(" ") != f"{REPLACED}{kept}")


def with_former_line(text: str, section: str, name: str) -> str:
    """With the line ``name`` in ``section`` as its copy has it, and without the copy."""
    kept = copies(text)[name]
    text = without_copy(text, name)
    line = _entry(text, section, name)[0].start_mark.line
    lines = text.split("\n")
    lines[line] = lines[line][:-len(lines[line].lstrip(" "))] + kept
    return "\n".join(lines)


def _mapping_in(line: str) -> Dict[str, object]:
    try:
        found = yaml.load(line, Loader=UniqueKeyLoader)
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def with_section(text: str, block: str) -> str:
    """``block``, whole lines of the top level, at the end, which stays without a line feed where it has none."""
    _top_level(text)
    return f"{text}{block}" if text.endswith("\n") else f"{text}\n{block[:-1]}"


def without_section(text: str, section: str) -> str:
    """Without the lines from ``section`` up to the next key; what is written right before that key stays."""
    root = _top_level(text)
    lines = text.split("\n")
    starts = sorted(key.start_mark.line for key, _ in root.value)
    start = _section(text, section)[0].start_mark.line
    end = min((line for line in starts if line > start), default=len(lines))
    while not lines[end - 1].strip() or lines[end - 1].startswith("#"):
        end -= 1
    del lines[start:end]
    return "\n".join(lines)


def _top_level(text: str) -> yaml.MappingNode:
    if any(sign in text for sign in OTHER_LINE_ENDS):
        raise NotEditable("its lines end in something else than a line feed alone")
    root = yaml.compose(text, Loader=UniqueKeyLoader)
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise NotEditable("its keys do not stand one a line")
    return root


def _section(text: str, section: str) -> Tuple[yaml.Node, yaml.Node]:
    return _find(_top_level(text), section)


def _entry(text: str, section: str, name: str) -> Tuple[yaml.Node, yaml.Node]:
    return _find(_section(text, section)[1], name)


def _find(mapping: yaml.Node, name: str) -> Tuple[yaml.Node, yaml.Node]:
    if isinstance(mapping, yaml.MappingNode) and not mapping.flow_style:
        for key, value in mapping.value:
            if key.value == name:
                return key, value
    raise NotEditable(f"{name} has no line of its own")  # in braces, or merged from elsewhere


def _empty(value: yaml.Node) -> bool:
    return isinstance(value, yaml.ScalarNode) and value.start_mark.index == value.end_mark.index
