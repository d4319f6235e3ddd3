"""Grants of FATE Flow's built-in check, taken over as ours."""
import json
import re
from collections import defaultdict
from typing import Dict, Iterable, Iterator, List, NamedTuple, Sequence, Tuple

from fate_ext_plugin.permission.grant import Grant
from fate_ext_plugin.permission.item import COMPONENT, DATASET, STAR, Item, code_point, component, dataset, unusable

PARTY = re.compile(r"[A-Za-z0-9_-]{1,20}", re.A)
PREFIX = "fate-flow-"
# In one grant, for a person to read; a party with more has several.
ITEMS_IN_ONE = 100


class TakenOver(NamedTuple):
    """``left``: rules that can't be read or would mean something else here, each with the reason."""

    grants: List[Grant]
    left: List[str]


def take_over(rules: Iterable[Tuple[str, str, str]]) -> TakenOver:
    """:param rules: party, ``component`` or ``dataset``, and the value as FATE Flow keeps it."""
    items: Dict[str, List[Item]] = defaultdict(list)
    left = []
    for party, kind, value in rules:
        try:
            if not PARTY.fullmatch(party):
                raise ValueError("it is no party ID")
            items[party].append(_item(kind, value))
        except ValueError as error:
            left.append(f"party {party}, {kind} {value}: {error}")
    return TakenOver([grant for party in sorted(items) for grant in _grants(party, items[party])], left)


def _grants(party: str, items: Sequence[Item]) -> Iterator[Grant]:
    unique = sorted(dict.fromkeys(items), key=lambda item: item.kind)  # as in a policy file
    for number, start in enumerate(range(0, len(unique), ITEMS_IN_ONE), start=1):
        yield Grant(f"{PREFIX}{party.lower()}-{number}", party, tuple(unique[start:start + ITEMS_IN_ONE]),
                    note="from FATE Flow's own permissions")


def _item(kind: str, value: str) -> Item:
    if STAR in value:
        raise ValueError("* stands for any text here")
    character = unusable(value)
    if character is not None:
        raise ValueError(f"no job may ask for a name with {code_point(character)}")
    if kind == COMPONENT:
        return component(value)
    if kind == DATASET:
        return dataset(*_names(value))
    raise ValueError("it is neither a component nor a dataset")


def _names(value: str) -> Tuple[str, str]:
    """Out of ``{"name"-"ids";"namespace"-"exp"}``: JSON with other separators, which names may hold, too."""
    decoder, found, position = json.JSONDecoder(), [], 1
    while value[position:position + 1] == '"':
        text, position = decoder.raw_decode(value, position)
        found.append(text)
        position += 1
    if len(found) != 4 or (found[0], found[2]) != ("name", "namespace"):
        raise ValueError("it can't be read")
    return found[3], found[1]
