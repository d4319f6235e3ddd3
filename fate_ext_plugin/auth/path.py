"""Which paths are compared with a client's patterns: those that every server reads in the same way."""
import re

# A segment: letters of any language, digits and _ . ~ : @ # - of which FATE Flow's names and IDs are made, but neither
# "." nor "..". So no path holds an empty segment, a "%", a ";", a backslash, a blank or a control character.
_PLAIN = re.compile(r"/(?:(?!\.\.?(?:/|\Z))[\w.~:@#-]+(?:/|\Z))*")
_WILDCARDS = str.maketrans("*?[]!", "xxxxx")


def is_plain(path: str) -> bool:
    """Whether a path has one reading only.

    :param path: decoded, without its query.
    """
    return _PLAIN.fullmatch(path) is not None


def is_pattern(pattern: str) -> bool:
    """Whether it is a pattern, as :mod:`fnmatch` has them, that a plain path may match."""
    return is_plain(pattern.translate(_WILDCARDS))
