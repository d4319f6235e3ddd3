"""Writes fate_ext_plugin/openapi.json, the OpenAPI document of all endpoints, out of the schemas that they load and
answer with: `make openapi`. Needs apispec, which the plugin itself does not."""
import json
import re
from pathlib import Path
from typing import Any, Dict, List, Tuple, Type

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import EXCLUDE, Schema, fields

from fate_ext_plugin import __version__
from fate_ext_plugin.admin import ADMIN_PREFIX
from fate_ext_plugin.admin.catalog import OPERATIONS
from fate_ext_plugin.admin.operation import Operation
from fate_ext_plugin.permission.calendar import Calendar
from fate_ext_plugin.schema import admin, authentication, feature, permission
from fate_ext_plugin.schema.admin import MachineWhen
from fate_ext_plugin.schema.permission import Dataset, HoursField, Party, When
from fate_ext_plugin.util.fields import Scalar

FILE = Path(__file__).resolve().parent.parent / "fate_ext_plugin" / "openapi.json"
DESCRIPTION = """The services that FATE Flow calls, and administration.

FATE Flow's services need an allowed address and the token that the registered url holds. Administration needs an
allowed address and a signature, in the headers TIMESTAMP (ms since 1970), NONCE, APP-KEY and SIGNATURE: base64 of the
HMAC, SHA-1 or SHA-256 as the client was made, of TIMESTAMP, NONCE, APP-KEY, the path with its query, the raw body and
an empty line, joined by line feeds. Each signature counts once. The role admin may do all, viewer only look."""
# Answers of which a part may be missing.
PARTIAL = {"GrantAnswer": {"name", "party", "made_by", "made"}, "EntryAnswer": {
    "time", "check", "allowed", "who", "what", "from", "reason"}}
# Requests into which FATE Flow merges what a service was registered with.
OPEN = {"ClientAuthenticationRequest", "SiteAuthenticationRequest", "SignatureRequest", "PermissionRequestSchema"}
SIGNED = ["timestamp", "nonce", "appKey", "signature"]
FETCHED = {"text/csv": {"schema": {"type": "string"}}}
Plain = Dict[str, Any]


class SignatureRequest(Schema):
    """What the view itself reads without a schema, as it has nothing to check but that there is a body."""

    class Meta:
        unknown = EXCLUDE

    party_id = fields.Raw(allow_none=True)
    body = fields.Raw(required=True, allow_none=True)


class SiteAuthenticationRequest(Schema):
    """Likewise."""

    class Meta:
        unknown = EXCLUDE

    src_party_id = fields.Raw(allow_none=True)
    site_signature = fields.Raw(allow_none=True)
    body = fields.Raw(required=True, allow_none=True)


class VerdictAnswer(Schema):
    code = fields.Integer()
    msg = fields.String()
    message = fields.String()


class SignatureAnswer(VerdictAnswer):
    data = fields.String()
    site_signature = fields.String()


class ExplainAnswer(VerdictAnswer):
    data = fields.Nested(admin.DecisionAnswer)


def document() -> Plain:
    plugin = MarshmallowPlugin(schema_name_resolver=lambda schema: _class_of(schema).__name__)
    spec = APISpec("fate_ext_plugin", __version__, "3.0.3", [plugin], info={
        "description": DESCRIPTION, "license": {"name": "Apache-2.0"}}, tags=[
            {"name": "features", "description": "What ApiReader calls"}, {"name": "authentication"},
            {"name": "permission"}, {"name": "monitoring"}, {"name": "administration"}])
    _shape(plugin)
    _security(spec)
    _errors(spec)
    for path, operations in _services().items():
        spec.path(path, operations=operations)
    for operation in OPERATIONS:
        _add(spec, operation)
    return {**_tidy(spec.to_dict()), "x-generated-by": "make openapi"}


def text() -> str:
    return json.dumps(document(), separators=(",", ":"), sort_keys=True, ensure_ascii=False) + "\n"


def _shape(plugin: MarshmallowPlugin) -> None:
    """Of fields that are neither text nor number to marshmallow."""
    shapes = {
        When: {"type": "string", "example": "2027-01-31 18:00"},
        HoursField: {"type": "string", "example": "08:00-18:00"},
        MachineWhen: {"type": "string", "example": "2027-01-31 18:00:00"},
        Party: {"oneOf": [{"type": "string"}, {"type": "integer"}]}, Scalar: {
            "oneOf": [{"type": "string"}, {"type": "number"}]},
        Dataset: {"oneOf": [{"type": "string", "example": "namespace/name"}, {
            "type": "object", "required": ["namespace", "name"], "additionalProperties": False,
            "properties": {"namespace": {"type": "string"}, "name": {"type": "string"}}}]}}

    def shape(self: Any, field: fields.Field, **_: Any) -> Plain:
        return next((found for kind, found in shapes.items() if type(field) is kind), {})
    assert plugin.converter is not None
    plugin.converter.add_attribute_function(shape)


def _security(spec: APISpec) -> None:
    spec.components.security_scheme("token", {"type": "apiKey", "in": "query", "name": "token"})
    for name, header in zip(SIGNED, ("TIMESTAMP", "NONCE", "APP-KEY", "SIGNATURE")):
        spec.components.security_scheme(name, {"type": "apiKey", "in": "header", "name": header})


def _errors(spec: APISpec) -> None:
    number, words = {"type": "integer"}, {"type": "string"}
    spec.components.schema("Error", {
        "type": "object", "required": ["code", "message"], "additionalProperties": False,
        "properties": {"code": number, "message": words}})
    spec.components.schema("AdminError", {
        "type": "object", "required": ["retcode", "retmsg", "code"], "additionalProperties": False,
        "properties": {"retcode": number, "retmsg": words, "code": number}})
    for name in ("Error", "AdminError"):
        spec.components.response(name, {"description": "The message says what to do", "content": {
            "application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}})


# -- FATE Flow's services ----------------------------------------------------------------------------------------------


def _services() -> Dict[str, Dict[str, Plain]]:
    return {f"/v1/ext/{path}": operations for path, operations in {
        "upload": {"post": _service(
            "features", "Accept an ID file as a feature job", feature.UploadAnswer, (507, 429, 415, 411, 413),
            parameters=[_in_query("requestBody", "The view's parameters as JSON", feature.UploadRequest)],
            requestBody={"required": True, "content": {
                "multipart/form-data": {"schema": {"type": "object", "required": ["file"], "properties": {
                    "file": {"type": "string", "format": "binary"}}}},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}})},
        "query": {"post": _service(
            "features", "Say how a feature job goes, when it has ended", feature.QueryAnswer, (),
            parameters=[{"name": "wait", "in": "query", "description": "Seconds to hold it at most", "schema": {
                "type": "number", "minimum": 0, "maximum": 43200}}], requestBody=_json(feature.QueryRequest))},
        "download": {method: _service(
            "features", "Stream the features of a job that succeeded", FETCHED, (404, 409, 410, 505),
            parameters=[_in_query("requestBody", "The job as JSON", feature.DownloadRequest)])
            for method in ("get", "post")},
        "client_authentication": {"post": _service(
            "authentication", "Is this client request genuine?", VerdictAnswer, (413,),
            requestBody=_json(authentication.ClientAuthenticationRequest))},
        "site_authentication": {"post": _service(
            "authentication", "Is this request of another party genuine?", VerdictAnswer, (413,),
            requestBody=_json(SiteAuthenticationRequest))},
        "signature": {"post": _service(
            "authentication", "Sign for this party; served only with signature_over_http",
            SignatureAnswer, (413, 401), requestBody=_json(SignatureRequest))},
        "permission": {"post": _service(
            "permission", "May this party run this job here?", VerdictAnswer, (413,),
            requestBody=_json(permission.PermissionRequestSchema))},
        "permission/explain": {"post": _service(
            "permission", "Would it be allowed, by which grants, or why not?", ExplainAnswer, (413,),
            requestBody=_json(permission.PermissionRequestSchema))},
        "health": {"get": _probe("Is the process alive?")},
        "ready": {"get": _probe("Can it do its work?")},
        "metrics": {"get": _service(
            "monitoring", "Metrics for Prometheus", {"text/plain": {"schema": {"type": "string"}}}, ())},
        "openapi.json": {"get": {**_probe("This document"), "responses": {
            "200": {"description": "OpenAPI 3", "content": {"application/json": {"schema": {"type": "object"}}}},
            **_failures("Error", (403, 405))}}},
    }.items()}


def _service(tag: str, summary: str, answer: Any, failures: Tuple[int, ...], **more: Any) -> Plain:
    content = answer if isinstance(answer, dict) else {"application/json": {"schema": answer}}
    return {"tags": [tag], "summary": summary, "security": [{"token": []}], **more, "responses": {
        "200": {"description": "Done; what is refused is told by code", "content": content},
        **_failures("Error", (400, 403, 404, 405, 500, 503, *failures))}}


def _probe(summary: str) -> Plain:
    yes = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {"tags": ["monitoring"], "summary": summary, "security": [], "responses": {
        "200": {"description": "Yes", "content": yes}, **_failures("Error", (403, 405, 503))}}


def _in_query(name: str, description: str, schema: Type[Schema]) -> Plain:
    return {"name": name, "in": "query", "required": True, "description": description, "content": {
        "application/json": {"schema": schema}}}


def _json(schema: Any) -> Plain:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _failures(kind: str, statuses: Tuple[int, ...]) -> Plain:
    return {str(status): {"$ref": f"#/components/responses/{kind}"} for status in statuses}


# -- administration ----------------------------------------------------------------------------------------------------


def _add(spec: APISpec, operation: Operation) -> None:
    said = operation.request_schema(Calendar())
    method = operation.method.lower()
    parameters: List[Plain] = []
    if method == "get":
        parameters += [{"in": "query", "schema": said}]
    else:
        parameters += [{"name": "method", "in": "query", "required": True, "description": "So that it is signed",
                        "schema": {"type": "string", "enum": [operation.method]}}]
    names = re.findall("<([a-z_]+)>", operation.path)
    parameters += [{"name": name, "in": "path", "required": True, "schema": {
        "type": "string", "pattern": "^[A-Za-z0-9_~:-][A-Za-z0-9._~:-]*$", "maxLength": 128}} for name in names]
    failures = (400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 503, 507)
    described: Plain = {
        "tags": ["administration"], "operationId": operation.name, "summary": operation.summary,
        "description": f"Role {' or '.join(operation.roles)}.", "parameters": parameters,
        "security": [{name: [] for name in SIGNED}], "responses": {
            "200": {"description": "Done", "content": {"application/json": {"schema": {
                "type": "object", "required": ["retcode", "retmsg", "data"], "additionalProperties": False,
                "properties": {"retcode": {"type": "integer", "enum": [0]}, "retmsg": {"type": "string"},
                               "data": operation.response_schema}}}}}, **_failures("AdminError", failures)}}
    if method != "get" and said.fields:
        described["requestBody"] = _json(said)
    path = operation.path.replace("<", "{").replace(">", "}")
    spec.path(f"{ADMIN_PREFIX}{path}", operations={method: described})


# -- the whole ---------------------------------------------------------------------------------------------------------


def _class_of(schema: Any) -> Type[Schema]:
    return schema if isinstance(schema, type) else type(schema)


def _tidy(spec: Plain) -> Plain:
    for name, schema in spec["components"]["schemas"].items():
        schema.setdefault("additionalProperties", name in OPEN)
        if name.endswith("Answer"):
            schema["required"] = sorted(PARTIAL.get(name, schema.get("properties", {})))
    for operations in spec["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                parameter.get("schema", {}).pop("nullable", None)  # a query has no null
    tidied: Plain = _portable(spec)
    return tidied


def _portable(value: Any) -> Any:
    """Python's patterns as JSON Schema has them; what versions of apispec say in two ways, in one."""
    if isinstance(value, list):
        return [_portable(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {key: _portable(one) for key, one in value.items()
             if (key, one) not in (("default", None), ("additionalProperties", {}))}
    if "oneOf" in found:
        found.pop("type", None)
    if {"nullable": True, "type": "object"} in found.get("anyOf", ()):
        return {"allOf": [one for one in found["anyOf"] if "$ref" in one], "nullable": True}
    if isinstance(found.get("pattern"), str):
        found["pattern"] = re.sub(r"^\\A", "^", re.sub(r"\\Z$", "$", found["pattern"]))
    if isinstance(found.get("enum"), list):
        found["enum"] = [one for one in found["enum"] if one is not None] + [None] * bool(found.get("nullable"))
    return found


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8")
