"""The section ``fate_ext_plugin`` of service_conf.yaml, key by key.

``metadata["help"]`` is the operator's documentation of a key; docs and error messages come from here.
"""
import ipaddress
import os
import re
import sys
from importlib.util import find_spec
from typing import Any, Dict, Mapping, Optional

from marshmallow import Schema, ValidationError, fields, post_load, pre_load, validate, validates_schema

from fate_ext_plugin.db.url_schema import DatabaseSchema
from fate_ext_plugin.feature.source import source_types
from fate_ext_plugin.feature.view import RESERVED_NAMES, Parameter, View
from fate_ext_plugin.settings.model import AuthenticationSettings, Listen, PermissionSettings, Settings
from fate_ext_plugin.util.fields import BasePath, Boolean, Integer, Scalar

if sys.version_info >= (3, 9):
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError
else:
    from backports.zoneinfo import ZoneInfo, ZoneInfoNotFoundError

NAME = validate.Regexp(r"\A[A-Za-z][A-Za-z0-9_-]{0,63}\Z", error="A name is 1 to 64 letters, digits, _ or -.")
PARTY = validate.Regexp(r"\A[A-Za-z0-9_-]{1,20}\Z", error="A party ID is 1 to 20 letters, digits, _ or -.")
# What an output header can hold: FATE splits it by the delimiter and strips it, without any quoting.
COLUMN = validate.Regexp(
    r"\A[^\x00-\x1f,\"']{1,255}\Z", error="A column name holds no comma, quote or control character."
)


class Network(fields.Field):
    def _deserialize(self, value: Any, attr: Optional[str], data: Any, **kwargs: Any) -> Any:
        try:
            return ipaddress.ip_network(value)
        except (ValueError, TypeError):
            raise ValidationError("Must be an IP address or network, such as 10.0.3.7 or 10.0.0.0/16.") from None


def has_prometheus_client(wanted: bool) -> None:
    if wanted and find_spec("prometheus_client") is None:
        raise ValidationError("Needs the package prometheus_client: pip install 'fate-ext-plugin[metrics]'.")


class ListenSchema(Schema):
    host = fields.String(load_default="127.0.0.1", metadata={"help": "address that `fate-ext serve` listens on"})
    port = Integer(load_default=9390, validate=validate.Range(1, 65535), metadata={"help": "its port"})
    public_host = fields.String(load_default=None, validate=validate.Length(1, 255), metadata={
        "help": "name or address under which FATE Flow reaches it, where that is not `host`"})
    public_port = Integer(load_default=None, validate=validate.Range(1, 65535), allow_none=True, metadata={
        "help": "port there, where that is not `port`: nginx's, for one"})

    @post_load
    def build(self, data: Dict[str, Any], **_: Any) -> Listen:
        return Listen(**data)


class ParameterSchema(Schema):
    pattern = fields.String(required=True, metadata={"help": "regular expression that the whole value must match"})
    required = Boolean(load_default=False, metadata={"help": "refuse an upload that does not give it"})
    default = Scalar(load_default=None, metadata={"help": "value where the upload gives none"})
    column = fields.String(load_default=None, validate=COLUMN, metadata={
        "help": "column of the source that must equal the value; where absent, the value fills {name} in the path"})

    @validates_schema
    def sound(self, data: Mapping[str, Any], **_: Any) -> None:
        try:
            pattern = re.compile(data["pattern"])
        except re.error as error:
            raise ValidationError(f"Not a regular expression: {error}.", "pattern") from None
        if data["default"] is not None and not pattern.fullmatch(data["default"]):
            raise ValidationError("Does not match the pattern.", "default")

    @post_load
    def build(self, data: Dict[str, Any], **_: Any) -> Parameter:
        return Parameter(**data)


class SourceField(fields.Field):
    """``{type: file, ...}``: the type names the class, the class's own schema validates the rest."""

    def _deserialize(self, value: Any, attr: Optional[str], data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValidationError("Must be a mapping with a type.")
        types = source_types()
        name = value.get("type")
        if name not in types:
            raise ValidationError({"type": [f"Must be one of: {', '.join(sorted(types))}."]})
        source_class = types[name].load()
        options = source_class.settings_schema().load({k: v for k, v in value.items() if k != "type"})
        return source_class(options)


class ViewSchema(Schema):
    source = SourceField(required=True, metadata={"help": "where the features are; see the source types"})
    id_column = fields.String(load_default="id", validate=COLUMN, metadata={
        "help": "column of the source that holds the ID"})
    columns = fields.List(fields.String(validate=COLUMN), required=True, validate=validate.Length(min=1), metadata={
        "help": "columns to serve, in the order of the answer; nothing else of the source can be asked for"})
    parameters = fields.Dict(fields.String(validate=NAME), fields.Nested(ParameterSchema), load_default=dict, metadata={
        "help": "what an upload may say in requestBody beside view and features"})
    null_value = fields.String(load_default="", validate=validate.Regexp(
        r"\A[^\x00-\x20,\"]*\Z", error="Must hold no comma, quote, space or control character."),
        metadata={"help": "text written for NULL"})
    missing_ids = fields.String(load_default="omit", validate=validate.OneOf(["omit", "keep"]), metadata={
        "help": "IDs without features: leave them out and count them, or keep them with NULLs"})
    duplicate_rows = fields.String(load_default="fail", validate=validate.OneOf(["fail", "first"]), metadata={
        "help": "two rows for one ID: fail the job, or take the first one read"})
    misread_values = fields.String(load_default="fail", validate=validate.OneOf(["fail", "replace"]), metadata={
        "help": "a value FATE would misread (comma, quote, line break): fail the job, or replace each such sign by _"})

    @validates_schema
    def consistent(self, data: Mapping[str, Any], **_: Any) -> None:
        if len(set(data["columns"])) < len(data["columns"]):
            raise ValidationError("Names a column twice.", "columns")
        if data["id_column"] in data["columns"]:
            raise ValidationError("Names the ID column, which is always the first of the answer.", "columns")
        filtered = [parameter.column for parameter in data["parameters"].values() if parameter.column]
        if len(set(filtered)) < len(filtered):
            raise ValidationError("Two parameters filter the same column.", "parameters")
        reserved = RESERVED_NAMES & set(data["parameters"])
        if reserved:
            raise ValidationError(f"{', '.join(sorted(reserved))}: the service uses this name itself.", "parameters")
        data["source"].check_parameters(data["parameters"])


class AuthenticationSchema(Schema):
    master_key_file = BasePath(load_default=None, metadata={
        "help": "file of mode 0600 with the key under which client secrets and private keys are stored; made where "
                "it does not exist; default: master_key in data_dir"})
    master_key_env = fields.String(load_default=None, metadata={
        "help": "environment variable that holds that key instead, 64 hexadecimal digits"})
    party_id = fields.String(load_default=None, validate=PARTY, metadata={
        "help": "`fate-ext serve` only: this site's party ID. Mounted in FATE Flow its own is used"})
    client_window_seconds = Integer(load_default=60, validate=validate.Range(1, 3600), metadata={
        "help": "how far a client's clock may be off; FATE's own window is 60"})
    digest = fields.String(load_default="sha256", validate=validate.OneOf(["sha256", "md5"]), metadata={
        "help": "of our signatures; md5 only where a partner still runs FATE Flow 1.9 or 1.10"})
    site_window_seconds = Integer(load_default=120, validate=validate.Range(10, 3600), metadata={
        "help": "how long a site's request may take to arrive; FATE Flow's retries take up to 96 s"})
    clock_skew_seconds = Integer(load_default=60, validate=validate.Range(0, 3600), metadata={
        "help": "how far a partner's clock may be off"})
    nonces = fields.String(load_default="memory", validate=validate.OneOf(["memory", "database"]), metadata={
        "help": "where used nonces and failed attempts are kept: database, where several servers share one"})
    signature_over_http = Boolean(load_default=False, metadata={
        "help": "serve and register `signature`: whoever reaches it can sign in our name"})

    @validates_schema
    def one_key(self, data: Mapping[str, Any], **_: Any) -> None:
        if data.get("master_key_file") and data.get("master_key_env"):
            raise ValidationError("Give master_key_file or master_key_env, not both.", "master_key_env")
        if data.get("master_key_env") and data["master_key_env"] not in os.environ:
            raise ValidationError("This environment variable is not set.", "master_key_env")


class TimeZone(fields.Field):
    def _deserialize(self, value: Any, attr: Optional[str], data: Any, **kwargs: Any) -> Any:
        try:
            return ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, TypeError, AttributeError, OSError):
            raise ValidationError("Must be a time zone such as Asia/Shanghai.") from None


class PermissionSchema(Schema):
    mode = fields.String(load_default="enforce", validate=validate.OneOf(["enforce", "observe"]), metadata={
        "help": "observe: allow everything, and only log what would be refused, for a safe roll-out"})
    party_id = fields.String(load_default=None, allow_none=True, validate=PARTY, metadata={
        "help": "`fate-ext serve` only: this site's party ID, whose own jobs need no grant"})
    check_local = Boolean(load_default=False, metadata={
        "help": "ask for grants for this site's own jobs, too"})
    time_zone = TimeZone(load_default=None, allow_none=True, metadata={
        "help": "of the dates, weekdays and hours in grants, such as Asia/Shanghai; default: the machine's"})

    @post_load
    def build(self, data: Dict[str, Any], **_: Any) -> PermissionSettings:
        return PermissionSettings(**data)


class SettingsSchema(Schema):
    data_dir = BasePath(required=True, metadata={
        "help": "folder of our own: ID files, results, the secret of the capability tokens"})
    shared_dir = BasePath(load_default=None, metadata={
        "help": "folder for ID files and results that all servers of one database share, so that each serves and "
                "finishes the others' jobs; default: data_dir, which no other server sees"})
    server_timeout_seconds = Integer(load_default=60, validate=validate.Range(2, 86400), metadata={
        "help": "a server that shows no life for so long is taken for gone by the others on its database: they run its "
                "jobs where they share shared_dir with it, and let them fail otherwise"})
    server_name = fields.String(load_default="fate_ext", validate=[NAME, validate.Length(max=30)], metadata={
        "help": "name in FATE Flow's registry; an ApiReader's server_name"})
    allowed_networks = fields.List(Network(), load_default=list, metadata={
        "help": "callers beside this machine and FATE Flow's own addresses"})
    trusted_proxies = fields.List(Network(), load_default=list, metadata={
        "help": "proxies whose X-Forwarded-For is believed; it is ignored otherwise"})
    verify_job = Boolean(load_default=True, metadata={
        "help": "mounted in FATE Flow: refuse an upload whose job_id is no running FATE job"})
    max_upload_bytes = Integer(load_default=10 * 2**30, validate=validate.Range(min=1), metadata={
        "help": "bytes of one upload"})
    max_ids = Integer(load_default=100_000_000, validate=validate.Range(min=1), metadata={
        "help": "lines with an ID in one upload"})
    max_waiting_jobs = Integer(load_default=100, validate=validate.Range(min=1), metadata={
        "help": "jobs that may wait for their turn, uploads under way included; a further upload is refused"})
    min_free_bytes = Integer(load_default=2**30, validate=validate.Range(min=0), metadata={
        "help": "free bytes to leave on the disk of data_dir"})
    header_names = fields.List(fields.String(validate=COLUMN), load_default=lambda: ["id", "sid"], metadata={
        "help": "first lines taken for a header, in any case; the view's ID column always is"})
    concurrent_jobs = Integer(load_default=2, validate=validate.Range(1, 64), metadata={
        "help": "jobs that run at once, each in a process of its own"})
    job_threads = Integer(load_default=None, validate=validate.Range(1, 1024), allow_none=True, metadata={
        "help": "threads of one job; default: one a core"})
    job_memory_mb = Integer(load_default=4096, validate=validate.Range(min=256), metadata={
        "help": "memory of one job in MiB; a join that needs more spills to data_dir"})
    job_timeout_seconds = Integer(load_default=4 * 3600, validate=validate.Range(min=1), metadata={
        "help": "a job that runs longer fails"})
    result_retention_seconds = Integer(load_default=24 * 3600, validate=validate.Range(min=0), metadata={
        "help": "a result is deleted so long after its job ended"})
    job_history_days = Integer(load_default=90, validate=validate.Range(min=1), metadata={
        "help": "an ended job is forgotten after so many days"})
    long_poll_seconds = fields.Float(load_default=30.0, validate=validate.Range(min=0, max=43200), metadata={
        "help": "a query is held open until the job ends, at most so long, unless its url says otherwise (wait=)"})
    max_held_queries = Integer(load_default=64, validate=validate.Range(1, 4096), metadata={
        "help": "queries held open at once; a further one is answered at once"})
    gzip = Boolean(load_default=False, metadata={"help": "compress a download for a client that asks for it"})
    metrics = Boolean(load_default=False, validate=has_prometheus_client, metadata={
        "help": "serve metrics for Prometheus at /v1/ext/metrics; `fate-ext metrics-url` prints the url with token"})
    default_view = fields.String(load_default=None, metadata={"help": "view of an upload that names none"})
    views = fields.Dict(fields.String(validate=NAME), fields.Nested(ViewSchema), load_default=dict, metadata={
        "help": "feature views by name; without any, upload, query and download are not served"})
    authentication = fields.Nested(AuthenticationSchema, load_default=None, metadata={
        "help": "client and site authentication. Without this section they are not served, and their hooks refuse "
                "everything"})
    permission = fields.Nested(PermissionSchema, load_default=None, metadata={
        "help": "which party may run what on which data. Without this section it is not served, and its hook refuses "
                "everything"})
    database = fields.Nested(DatabaseSchema, load_default=None, metadata={
        "help": "`fate-ext serve` only: where job status lives; default: SQLite in data_dir. "
                "Mounted in FATE Flow its own database is used"})
    listen = fields.Nested(ListenSchema, load_default=lambda: Listen(), metadata={"help": "`fate-ext serve` only"})

    @pre_load
    def empty_section(self, data: Any, **_: Any) -> Any:
        """YAML reads a section whose lines are all commented out as null; it is meant to be there."""
        if not isinstance(data, Mapping):
            return data
        return {key: {} if value is None and key in ("authentication", "permission") else value
                for key, value in data.items()}

    @validates_schema
    def default_exists(self, data: Mapping[str, Any], **_: Any) -> None:
        if data["default_view"] is not None and data["default_view"] not in data["views"]:
            raise ValidationError(f"Must be one of: {', '.join(sorted(data['views']))}.", "default_view")

    @validates_schema
    def something(self, data: Mapping[str, Any], **_: Any) -> None:
        if not data["views"] and data["authentication"] is None and data["permission"] is None:
            raise ValidationError(
                "Missing, and so are authentication and permission: there is nothing to serve.", "views")

    @post_load
    def build(self, data: Dict[str, Any], **_: Any) -> Settings:
        data["views"] = {name: View(name=name, **view) for name, view in data["views"].items()}
        for key in ("allowed_networks", "trusted_proxies", "header_names"):
            data[key] = tuple(data[key])
        authentication = data["authentication"]
        if authentication is not None:
            authentication["master_key_file"] = authentication["master_key_file"] or data["data_dir"] / "master_key"
            data["authentication"] = AuthenticationSettings(**authentication)
        data["job_threads"] = data["job_threads"] or os.cpu_count() or 1
        return Settings(**data)
