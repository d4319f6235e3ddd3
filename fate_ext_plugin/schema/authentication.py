"""Requests and answers of client_authentication, signature and site_authentication (contract section 1)."""
import json
from typing import Any, Dict, Mapping

from marshmallow import EXCLUDE, Schema, ValidationError, fields

from fate_ext_plugin.errors import InvalidRequestBody
from fate_ext_plugin.schema.feature import no_duplicates
from fate_ext_plugin.schema.json_text import parse_json

MAX_BODY_BYTES = 32 * 2**20


class Headers(fields.Field):
    """An object, or the text of one, as the published page has it."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Mapping[str, Any]:
        if isinstance(value, str):
            try:
                value = parse_json(DECODER.decode, value, "headers")
            except InvalidRequestBody:
                raise ValidationError("Must be an object, or JSON text of one.") from None
        if not isinstance(value, dict):
            raise ValidationError("Must be an object, or JSON text of one.")
        return value


class ClientAuthenticationRequest(Schema):
    """``data`` is the raw body's text; where it is missing, ``json`` is written as FATE's clients write it."""

    class Meta:
        unknown = EXCLUDE  # a service's registered data is merged in

    full_path = fields.String(required=True)
    headers = Headers(required=True)
    form = fields.Dict(keys=fields.String(), values=fields.Raw(), load_default=None, allow_none=True)
    data = fields.String(load_default=None, allow_none=True)
    json = fields.Raw(load_default=None, allow_none=True)


# Made once: making one for each request took a third of its view's time.
CLIENT_AUTHENTICATION = ClientAuthenticationRequest()
DECODER = json.JSONDecoder(object_pairs_hook=no_duplicates)


def load(schema: Schema, text: bytes) -> Dict[str, Any]:
    """:raises InvalidRequestBody: no JSON object of this schema."""
    return _loaded(schema, parse(text))


def load_client_request(text: bytes) -> Dict[str, Any]:
    """A :class:`ClientAuthenticationRequest`. One that is plainly of its form, as FATE Flow sends it, does without
    marshmallow, which takes longer than all checks of the client together.

    :raises InvalidRequestBody: no JSON object of this schema.
    """
    value = parse(text)
    full_path, headers = value.get("full_path"), value.get("headers")
    form, data = value.get("form"), value.get("data")
    if (isinstance(full_path, str) and isinstance(headers, dict) and (form is None or isinstance(form, dict))
            and (data is None or isinstance(data, str))):
        return {"full_path": full_path, "headers": headers, "form": form, "data": data, "json": value.get("json")}
    return _loaded(CLIENT_AUTHENTICATION, value)


def _loaded(schema: Schema, value: Dict[str, Any]) -> Dict[str, Any]:
    try:
        loaded: Dict[str, Any] = schema.load(value)
    except ValidationError as error:
        raise InvalidRequestBody(f"The body: {json.dumps(error.messages)}") from None
    return loaded


def load_site_request(text: bytes) -> Dict[str, Any]:
    """A request of signature or site_authentication: ``party_id``, or ``src_party_id`` and ``site_signature``, each
    anything or missing, and ``body``, which must be there. It has no schema: marshmallow takes long to check nothing.

    :raises InvalidRequestBody: no JSON object, or one without ``body``.
    """
    value = parse(text)
    if "body" not in value:
        raise InvalidRequestBody('The body: {"body": ["Missing data for required field."]}')
    return value


def parse(text: bytes) -> Dict[str, Any]:
    """:raises InvalidRequestBody: no JSON object."""
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequestBody(f"The body is not valid JSON: {error}.") from None
    value = parse_json(DECODER.decode, decoded, "The body")
    if not isinstance(value, dict):
        raise InvalidRequestBody("The body must be a JSON object.")
    return value
