"""YAML as FATE's own reader, ruamel.yaml, takes it, in the two points where PyYAML differs and it matters.

A key that stands twice in one mapping is refused; PyYAML would take the last. Only true and false are booleans: FATE
reads `switch: off` as a text, which counts as on.
"""
import re
from typing import Any, Dict, Tuple

import yaml


class DuplicateKey(yaml.MarkedYAMLError):
    """A key stands twice in one mapping."""

    def __str__(self) -> str:
        assert self.context_mark and self.problem_mark
        return (f"The key {self.problem!r} stands in line {self.context_mark.line + 1} "
                f"and again in line {self.problem_mark.line + 1}")


class UniqueKeyLoader(yaml.SafeLoader):
    # Looked at before merges (<<) are resolved: overriding a merged key is no mistake.
    def compose_mapping_node(self, anchor: Any) -> Any:
        """:raises DuplicateKey:"""
        node = super().compose_mapping_node(anchor)
        first: Dict[Tuple[str, str], Any] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                start = first.setdefault((key.tag, key.value), key.start_mark)
                if start is not key.start_mark:
                    raise DuplicateKey(context_mark=start, problem=key.value, problem_mark=key.start_mark)
        return node


BOOLEAN = "tag:yaml.org,2002:bool"
UniqueKeyLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != BOOLEAN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()}
UniqueKeyLoader.add_implicit_resolver(BOOLEAN, re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def load(text: str) -> Any:
    """The only document of ``text``.

    :raises yaml.YAMLError: it is not YAML; :class:`DuplicateKey` for a key that stands twice.
    """
    return yaml.load(text, Loader=UniqueKeyLoader)
