"""Requests and answers of upload, query and download (contract section 1)."""
import json
from functools import partial
from typing import Any, Dict, List, Mapping, Tuple, Type

from marshmallow import INCLUDE, Schema, ValidationError, fields, validate

from fate_ext_plugin.errors import InvalidRequestBody
from fate_ext_plugin.schema.json_text import parse_json

MAX_REQUEST_BODY = 16_000


class Text(fields.String):
    """Text without lone surrogates or NUL, which no database stores."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        text: str = super()._deserialize(value, attr, data, **kwargs)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise ValidationError("Is not valid Unicode.") from None
        if "\0" in text:
            raise ValidationError("Holds a NUL character.")
        return text


class UploadRequest(Schema):
    """``requestBody`` of an upload; other keys are the view's parameters."""

    class Meta:
        unknown = INCLUDE

    view = Text()
    features = fields.List(Text())
    head = fields.Boolean(truthy={1}, falsy={0})  # true and false are equal to them
    job_id = Text(validate=validate.Regexp(r"\A[\x20-\x7e]{0,64}\Z", error="Is no job ID of FATE Flow's."))
    sign = Text(validate=validate.Length(max=64))


class QueryRequest(Schema):
    jobId = Text(required=True, validate=validate.Length(1, 64))


class DownloadRequest(Schema):
    class Meta:
        unknown = INCLUDE

    jobId = Text(required=True, validate=validate.Length(1, 64))
    sign = Text(validate=validate.Length(max=64))


class UploadData(Schema):
    jobId = fields.String()


class UploadAnswer(Schema):
    code = fields.Integer()
    message = fields.String()
    data = fields.Nested(UploadData)


class JobData(Schema):
    """How a job goes; ``status`` is ``running`` also while it waits, for ApiReader knows no other."""

    jobId = fields.String()
    status = fields.String()
    progress = fields.Integer()
    ids = fields.Integer(allow_none=True)
    matched = fields.Integer(allow_none=True)
    missing = fields.Integer(allow_none=True)
    elapsedSeconds = fields.Float()
    message = fields.String()


class QueryAnswer(Schema):
    """``status`` stands at the top for FATE's published page and in ``data`` for ApiReader."""

    code = fields.Integer()
    message = fields.String()
    status = fields.String()
    data = fields.Nested(JobData)


class ErrorAnswer(Schema):
    code = fields.Integer()
    message = fields.String()


def load_json(schema: Type[Schema], text: str, what: str) -> Mapping[str, Any]:
    """Parse and validate a JSON object.

    :raises InvalidRequestBody: says what is wrong with ``what``.
    """
    if len(text) > MAX_REQUEST_BODY:
        raise InvalidRequestBody(f"{what} is longer than {MAX_REQUEST_BODY} characters.")
    value = parse_json(partial(json.loads, object_pairs_hook=no_duplicates, parse_constant=_no_constant), text, what)
    if not isinstance(value, dict):
        raise InvalidRequestBody(f"{what} must be a JSON object, such as {{\"view\": \"credit\"}}.")
    for key, inner in value.items():
        # Values of undeclared keys are quoted in errors and stored: the same rule for them.
        for part in (key, inner):
            if isinstance(part, str):
                _check_text(part, what)
    try:
        loaded: Mapping[str, Any] = schema().load(value)
    except ValidationError as error:
        raise InvalidRequestBody(f"{what}: {json.dumps(error.messages, ensure_ascii=False)}") from None
    return loaded


def _check_text(text: str, what: str) -> None:
    try:
        Text().deserialize(text)
    except ValidationError as error:
        raise InvalidRequestBody(f"{what}: a text in it: {error.messages[0]}") from None


def no_duplicates(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    """:raises ValueError: a key stands twice; the hook of json.loads."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
