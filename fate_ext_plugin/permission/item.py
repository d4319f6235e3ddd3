"""What a permission is asked for: components and datasets, and patterns of them.

A pattern is a name in which ``*`` stands for any text, also for none. Nothing else is special, so that no pattern is
slow.

A database may find a table under other spellings of its name: MySQL's collations take thousands of characters for equal
to others, or ignore them. No list of those can be complete. So names are made of plain characters, of which it is known
what they are equal to; any other letter or sign must be written in the grant that allows it.
"""
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Iterator, Optional, Tuple

COMPONENT, DATASET = "component", "dataset"
STAR = "*"
# Beside printable ASCII. No collation takes one of these for another, or for anything else. Ideographs outside the
# basic plane are left out: utf8mb4_general_ci takes them all for one.
IDEOGRAPHS = (("\u3400", "\u4dbf"), ("\u4e00", "\u9fff"))
# General categories of what may be written in a grant: letters, numbers, punctuation and symbols. Marks, and characters
# that show nothing, are never part of a name.
WRITABLE = "LNPS"
# Hangul's fillers: letters by their category that show nothing.
FILLERS = "\u115f\u1160\u3164\uffa0"
# What a pattern is found by: the longest of these beginnings of what stands in front of its star. Few, as each is
# looked for in every check; close, so that not too many patterns share one.
LENGTHS = (0, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Item:
    """A component or dataset, or a pattern of one. ``parts``: (name,), or (namespace, name)."""

    kind: str
    parts: Tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind} {'/'.join(self.parts)}"

    def covers(self, item: "Item") -> bool:
        """Whether this pattern means ``item``, letter by letter; ``*`` stands for plain characters only."""
        return self.kind == item.kind and all(
            matches(pattern, part) and unplain(part) <= set(pattern) for pattern, part in zip(self.parts, item.parts))

    def covers_folded(self, item: "Item") -> bool:
        """The same without regard to case, accents and form: what is denied must not come in under such a spelling."""
        return self.kind == item.kind and all(map(matches, self.folded, item.folded))

    @cached_property
    def folded(self) -> Tuple[str, ...]:
        return tuple(map(fold, self.parts))

    def key(self, party: str) -> str:
        """Under what this pattern of a grant for ``party`` is found: one of :func:`keys` of every item it covers."""
        whole = ""
        for part in self.folded:
            beginning, star, _ = part.partition(STAR)
            if star:
                whole += beginning.rstrip(" ")
                length = max(length for length in LENGTHS if length <= len(whole))
                return _key(self.kind, party, "beginning", whole[:length])
            whole += f"{beginning}/"
        return _key(self.kind, party, "whole", whole)

    def keys(self, party: str) -> Iterator[str]:
        """The keys of all patterns that may cover this item; some of those found under them do not."""
        whole = "".join(f"{part}/" for part in self.folded)
        yield _key(self.kind, party, "whole", whole)
        for length in LENGTHS:
            if length < len(whole):
                yield _key(self.kind, party, "beginning", whole[:length])


def component(name: str) -> Item:
    """FATE Flow asks with lower-case module names (contract section 7)."""
    return Item(COMPONENT, (name.lower(),))


def dataset(namespace: str, name: str) -> Item:
    return Item(DATASET, (namespace, name))


def is_plain(character: str) -> bool:
    """Whether it is known what databases take this character for."""
    return " " <= character <= "~" or any(first <= character <= last for first, last in IDEOGRAPHS)


def unplain(text: str) -> "set[str]":
    """The characters of ``text`` for which no ``*`` stands."""
    return set() if text.isascii() else {character for character in text if not is_plain(character)}


def unusable(text: str) -> Optional[str]:
    """The first character that no name may hold, None where there is none: one that shows nothing, one that changes
    another, and one that has another spelling (Unicode's normal form C)."""
    if text.isascii() and text.isprintable():
        return None  # nearly all names
    for character in text:
        if is_plain(character):
            continue
        if character in FILLERS or unicodedata.category(character)[0] not in WRITABLE:
            return character
    normal = unicodedata.normalize("NFC", text)
    return next((given for given, kept in zip(text, normal) if given != kept), None)


def code_point(character: str) -> str:
    """``U+00E9``, for messages."""
    return f"U+{ord(character):04X}"


def matches(pattern: str, text: str) -> bool:
    """In one pass over ``text``."""
    first, *rest = pattern.split(STAR)
    if not rest:
        return pattern == text
    last = rest.pop()
    position, end = len(first), len(text) - len(last)
    if position > end or not text.startswith(first) or not text.endswith(last):
        return False
    for part in rest:
        found = text.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True


def fold(text: str) -> str:
    """MySQL takes letters for equal that differ in case, accents or width, and ignores blanks at the end: FATE Flow
    finds a table under such a spelling. Some of its collations know more of them, for letters that are not plain."""
    if text.isascii():
        return text.lower().rstrip(" ")
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(character for character in decomposed if not unicodedata.combining(character))
    return bare.casefold().rstrip(" ")


def _key(kind: str, party: str, form: str, text: str) -> str:
    return blake2b(
        "\n".join((kind, party, form, text)).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
