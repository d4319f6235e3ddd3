"""What people type into forms, made into what an operation's schema loads."""
from typing import Any, Dict, List, Mapping, Optional, Sequence

from marshmallow import Schema, ValidationError, fields

from fate_ext_plugin.errors import ExtError, InvalidRequestBody
from fate_ext_plugin.util.fields import Boolean, Integer

Typed = Mapping[str, Sequence[str]]


class InvalidForm(InvalidRequestBody):
    """``wrong``: messages by field."""

    def __init__(self, wrong: Mapping[str, List[str]]) -> None:
        super().__init__("; ".join(f"{name}: {' '.join(texts)}" for name, texts in wrong.items()))
        self.wrong = wrong


class Form:
    """As a page shows it: what was typed, and what is wrong with it.

    :param operation: its name; a page may have several forms.
    """

    def __init__(self, operation: str = "", typed: Optional[Typed] = None, error: Optional[ExtError] = None,
                 path: Optional[Mapping[str, str]] = None) -> None:
        self.operation, self._typed, self.path = operation, typed or {}, path or {}
        self.wrong: Mapping[str, List[str]] = error.wrong if isinstance(error, InvalidForm) else {}
        #: an error that belongs to no field
        self.message = error.message if error and not self.wrong else None

    def text(self, name: str, default: str = "") -> str:
        return self._typed.get(name, [default])[0]

    def texts(self, name: str) -> Sequence[str]:
        return self._typed.get(name, ())

    def for_(self, operation: str) -> "Form":
        """This one, where it is of that operation; else an empty one."""
        return self if self.operation == operation else Form(operation)


def load_form(schema: Schema, typed: Typed) -> Any:
    """:raises InvalidForm: says what is wrong, by field."""
    try:
        return schema.load(values_of(schema, typed))
    except ValidationError as error:
        messages = error.normalized_messages()
        raise InvalidForm({str(name): list(_flat(found)) for name, found in messages.items()}) from None


def values_of(schema: Schema, typed: Typed) -> Dict[str, Any]:
    """What was left empty is left out. A list has a line, or a box, for each item; a mapping a field ``name.key`` for
    each key."""
    values: Dict[str, Any] = {}
    for name, field in schema.fields.items():
        texts = typed.get(name, ())
        if isinstance(field, fields.Dict):
            prefix = f"{name}."
            values[name] = {key[len(prefix):]: given[0] for key, given in typed.items()
                            if key.startswith(prefix) and given[0]}
        elif isinstance(field, fields.List):
            items = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
            if items:
                values[name] = items
        elif texts and texts[0].strip():
            values[name] = _value(field, texts[0].strip() if "\n" not in texts[0] else texts[0])
    return values


def _value(field: fields.Field, text: str) -> Any:
    """A form knows texts only; some fields, made for JSON, take none for a number or a boolean."""
    if isinstance(field, Boolean):
        return {"true": True, "false": False}.get(text, text)
    if isinstance(field, Integer) and text.isdigit() and len(text) < 19:
        return int(text)
    return text


def _flat(messages: Any) -> List[str]:
    if isinstance(messages, Mapping):
        return [text for inner in messages.values() for text in _flat(inner)]
    return [str(text) for text in messages]
