"""Requests and answers of /v1/ext/admin. An answer holds what stands here and nothing else: so none holds a secret."""
import re
from typing import Any, Optional

from marshmallow import Schema, fields, validate

from fate_ext_plugin.auth.client_signature import ALGORITHMS
from fate_ext_plugin.auth.client_store import ROLES
from fate_ext_plugin.auth.key_store import ENVELOPES
from fate_ext_plugin.db.base import now_ms
from fate_ext_plugin.feature.view import RESERVED_NAMES
from fate_ext_plugin.permission.calendar import Calendar
from fate_ext_plugin.schema.feature import Text
from fate_ext_plugin.schema.permission import (
    JOB_ROLES,
    PARTICIPANT,
    CalendarSchema,
    Dataset,
    GrantSchema,
    Party,
    When,
)
from fate_ext_plugin.settings.schema import NAME
from fate_ext_plugin.util.fields import Boolean, Integer, Scalar

STATUSES = ("waiting", "running", "success", "failed", "canceled", "expired")
CHECKS = ("client", "site", "signature", "permission", "admin")
SPANS = ("hour", "day", "week", "month")
MAX_PAGE = 1000
DAY_MS = 86_400_000
NAMES = validate.Length(max=100)
JOB_ID = validate.Regexp(r"\A[\x20-\x7e]{1,64}\Z", error="Is no job ID of FATE Flow's.")


class Number(fields.Integer):
    """Of a query, where every value is text."""

    def _deserialize(self, value: Any, attr: Optional[str], data: Any, **kwargs: Any) -> int:
        # int() would take spaces, signs, underscores and other scripts' digits, too.
        if not isinstance(value, str) or not value.isdigit() or not value.isascii() or len(value) > 9:
            raise self.make_error("invalid", input=value)
        return int(value)


class MachineWhen(When):
    """By this machine's clock, as the answers show it; or ``90d``, so many days from now."""

    def _deserialize(self, value: Any, attr: Optional[str], data: Any, **kwargs: Any) -> int:
        days = re.fullmatch("([0-9]{1,5})d", value) if isinstance(value, str) else None
        if days:
            return now_ms() + int(days.group(1)) * DAY_MS
        return super()._deserialize(value, attr, data, **kwargs)

    def _calendar(self) -> Calendar:
        return Calendar()


def one_of(choices: Any) -> validate.OneOf:
    return validate.OneOf(list(choices), error="Must be one of: {choices}.")


class Nothing(CalendarSchema):
    """A request that says nothing."""


class Page(CalendarSchema):
    page = Number(load_default=1, validate=validate.Range(1, 1_000_000))
    page_size = Number(load_default=50, validate=validate.Range(1, MAX_PAGE))


class Span(CalendarSchema):
    since = MachineWhen()
    until = MachineWhen()


class OverviewQuery(CalendarSchema):
    span = fields.String(load_default="day", validate=one_of(SPANS))


class JobsQuery(Page, Span):
    status = fields.String(load_default=None, validate=one_of(STATUSES))
    view = fields.String(load_default=None, validate=NAME)
    fate_job_id = fields.String(load_default=None, validate=JOB_ID)


class AuditQuery(Span):
    """``cursor``: of the answer before, to go on."""

    page_size = Number(load_default=50, validate=validate.Range(1, MAX_PAGE))
    cursor = Text(load_default=None, validate=validate.Length(1, 300))
    check = fields.String(load_default=None, validate=one_of(CHECKS))
    who = Text(load_default=None)
    allowed = fields.Boolean(load_default=None, truthy={"true"}, falsy={"false"})


class GrantsQuery(Page):
    """``party``: only those that may concern it."""

    party = fields.String(load_default=None, validate=PARTICIPANT)


class OwnKeysQuery(CalendarSchema):
    """``party``: instead of this site's own party ID."""

    party = fields.String(load_default=None, validate=PARTICIPANT)


class ViewTest(CalendarSchema):
    ids = fields.List(Text(validate=validate.Regexp(r"\A[^\r\n]{1,255}\Z", error="An ID is 1 to 255 characters.")),
                      required=True, validate=validate.Length(1, 100))
    features = fields.List(Text())
    parameters = fields.Dict(Text(validate=validate.NoneOf(RESERVED_NAMES, error="Is no parameter of a view.")),
                             Scalar(), load_default=dict)


class NewClient(CalendarSchema):
    """``role``: what it may do under /v1/ext/admin: all, or look; without one nothing. ``secret``: one that it has
    already; without it a new one is made."""

    app_key = Text(required=True)
    name = Text(required=True, validate=validate.Length(1, 200))
    role = fields.String(load_default=None, allow_none=True, validate=one_of(ROLES))
    algorithm = fields.String(load_default="hmac-sha1", validate=one_of(ALGORITHMS))
    secret = Text(load_default=None, allow_none=True, validate=validate.Length(max=256))
    expires = MachineWhen()
    paths = fields.List(Text(validate=validate.Length(max=256)), load_default=list, validate=NAMES)
    methods = fields.List(Text(), load_default=list, validate=NAMES)
    networks = fields.List(Text(), load_default=list, validate=NAMES)


class ClientChange(CalendarSchema):
    enabled = Boolean(required=True)


class ClientRotation(CalendarSchema):
    keep_old_hours = Integer(load_default=24, validate=validate.Range(0, 8760))


class NewKey(CalendarSchema):
    party_id = Party(required=True)
    public_key = Text(required=True, validate=validate.Length(max=20_000))
    valid_from = MachineWhen()
    valid_until = MachineWhen()


class PolicyChange(CalendarSchema):
    """What is missing stays as it is."""

    envelope = fields.String(load_default=None, allow_none=True, validate=one_of(ENVELOPES))
    md5 = Boolean(load_default=None, allow_none=True)


class GrantTerms(GrantSchema):
    """A grant whose name stands in the path."""

    class Meta:
        exclude = ("name",)


class Explain(CalendarSchema):
    """A job as it would be asked for; ``at``: now where it is missing."""

    party = Party(required=True, validate=PARTICIPANT)
    role = fields.String(load_default="host", validate=one_of(JOB_ROLES))
    components = fields.List(Text(validate=validate.Length(1, 100)), load_default=list, validate=NAMES)
    datasets = fields.List(Dataset(), load_default=list, validate=NAMES)
    initiator = Party(load_default=None, allow_none=True, validate=PARTICIPANT)
    others = fields.List(Party(validate=PARTICIPANT), load_default=list, validate=NAMES)
    at = When()


# -- answers ---------------------------------------------------------------------------------------------------------


class JobAnswer(Schema):
    """As `fate-ext jobs show --json`."""

    job_id = fields.String()
    status = fields.String()
    progress = fields.Integer()
    view = fields.String()
    request = fields.Dict()
    id_name = fields.String()
    fate_job_id = fields.String(allow_none=True)
    attempt = fields.Integer()
    ids = fields.Integer(allow_none=True)
    matched = fields.Integer(allow_none=True)
    missing = fields.Integer(allow_none=True)
    upload_bytes = fields.Integer()
    result_bytes = fields.Integer(allow_none=True)
    created = fields.String()
    started = fields.String(allow_none=True)
    ended = fields.String(allow_none=True)
    elapsed_seconds = fields.Float()
    error_code = fields.Integer(allow_none=True)
    error = fields.String(allow_none=True)


class ListAnswer(Schema):
    """One page; ``count``: of all pages."""

    count = fields.Integer()
    page = fields.Integer()
    page_size = fields.Integer()


class JobsAnswer(ListAnswer):
    jobs = fields.List(fields.Nested(JobAnswer))


class ParameterAnswer(Schema):
    pattern = fields.String()
    required = fields.Boolean()
    default = fields.String(allow_none=True)
    column = fields.String(allow_none=True)


class ViewAnswer(Schema):
    name = fields.String()
    id_column = fields.String()
    columns = fields.List(fields.String())
    parameters = fields.Dict(fields.String(), fields.Nested(ParameterAnswer))
    null_value = fields.String()
    missing_ids = fields.String()
    duplicate_rows = fields.String()
    misread_values = fields.String()


class ViewsAnswer(Schema):
    views = fields.List(fields.Nested(ViewAnswer))


class SampleAnswer(Schema):
    """What the IDs would get; the first column is the ID."""

    columns = fields.List(fields.String())
    rows = fields.List(fields.List(fields.String()))
    missing = fields.Integer()


class ClientAnswer(Schema):
    app_key = fields.String()
    name = fields.String()
    status = fields.String()
    role = fields.String(allow_none=True)
    algorithm = fields.String()
    expires = fields.String(allow_none=True)
    paths = fields.List(fields.String())
    methods = fields.List(fields.String())
    networks = fields.List(fields.String())
    old_secret_until = fields.String(allow_none=True)
    created = fields.String()
    changed = fields.String(allow_none=True)


class ClientsAnswer(Schema):
    clients = fields.List(fields.Nested(ClientAnswer))


class NewSecretAnswer(Schema):
    """The only answer that holds a secret: the new one, which is found nowhere later; null where it was given."""

    app_key = fields.String()
    secret = fields.String(allow_none=True)


class KeyAnswer(Schema):
    party_id = fields.String()
    kind = fields.String()
    fingerprint = fields.String()
    valid_from = fields.String(allow_none=True)
    valid_until = fields.String(allow_none=True)
    created = fields.String()


class KeysAnswer(Schema):
    keys = fields.List(fields.Nested(KeyAnswer))


class OwnKeyAnswer(Schema):
    """A public key, for partners. ``signs``: now or later."""

    party_id = fields.String()
    fingerprint = fields.String()
    signs = fields.String()
    valid_from = fields.String(allow_none=True)
    valid_until = fields.String(allow_none=True)
    public_key = fields.String()


class OwnKeysAnswer(Schema):
    keys = fields.List(fields.Nested(OwnKeyAnswer))


class PolicyAnswer(Schema):
    party_id = fields.String()
    envelope = fields.String()
    md5 = fields.Boolean()
    envelope_seen = fields.String(allow_none=True)


class PoliciesAnswer(Schema):
    policies = fields.List(fields.Nested(PolicyAnswer))


class GrantAnswer(Schema):
    """The terms that are said, and who made it. `uses` are null where no term limits them, as they are not counted."""

    name = fields.String()
    party = fields.String()
    role = fields.String()
    effect = fields.String()
    components = fields.List(fields.String())
    datasets = fields.List(fields.Raw())
    valid_from = fields.String()
    valid_until = fields.String()
    weekdays = fields.List(fields.String())
    hours = fields.String()
    max_uses = fields.Integer()
    max_uses_per_day = fields.Integer()
    initiators = fields.List(fields.String())
    partners = fields.List(fields.String())
    note = fields.String()
    made_by = fields.String()
    made = fields.String()
    uses = fields.Integer(allow_none=True)
    uses_today = fields.Integer(allow_none=True)


class GrantsAnswer(ListAnswer):
    grants = fields.List(fields.Nested(GrantAnswer))


class DecisionAnswer(Schema):
    """As `fate-ext grant explain --json`."""

    allowed = fields.Boolean()
    message = fields.String()
    local = fields.Boolean()
    grants = fields.List(fields.String())
    items = fields.List(fields.Dict())


class EntryAnswer(Schema):
    """``time``: s since 1970."""

    time = fields.Float()
    check = fields.String()
    allowed = fields.Boolean()
    who = fields.String(allow_none=True)
    what = fields.String(allow_none=True)
    source = fields.String(data_key="from", attribute="from", allow_none=True)
    reason = fields.String(allow_none=True)
    request = fields.Dict()


class AuditAnswer(Schema):
    """``cursor``: ask again with it for older ones; null: there are no more. A search ends after a tenth of a second,
    with as many as it found, perhaps none."""

    decisions = fields.List(fields.Nested(EntryAnswer))
    cursor = fields.String(allow_none=True)


class JobTimes(Schema):
    """Of jobs that were accepted in one span of time, which begins at ``time``. ``statuses``: how many have each now;
    seconds from acceptance to the end, null where none has ended."""

    time = fields.String()
    statuses = fields.Dict(fields.String(), fields.Integer())
    ids = fields.Integer()
    matched = fields.Integer()
    mean_seconds = fields.Float(allow_none=True)
    longest_seconds = fields.Float(allow_none=True)


class DecisionTimes(Schema):
    """Of one span of time: how many each check allowed and refused."""

    time = fields.String()
    allowed = fields.Dict(fields.String(), fields.Integer())
    refused = fields.Dict(fields.String(), fields.Integer())


class DiskAnswer(Schema):
    """In bytes: of the disk that holds data_dir, and of results that can still be downloaded."""

    total = fields.Integer()
    used = fields.Integer()
    free = fields.Integer()
    min_free = fields.Integer()
    results = fields.Integer()


class OverviewAnswer(Schema):
    """What happened in a span of time until now, by this server's clock; ``decisions`` are this server's own."""

    span = fields.String()
    jobs = fields.List(fields.Nested(JobTimes))
    decisions = fields.List(fields.Nested(DecisionTimes))
    disk = fields.Nested(DiskAnswer)


class AuthenticationAnswer(Schema):
    client_window_seconds = fields.Integer()
    digest = fields.String()
    site_window_seconds = fields.Integer()
    clock_skew_seconds = fields.Integer()
    nonces = fields.String()
    signature_over_http = fields.Boolean()


class PermissionAnswer(Schema):
    mode = fields.String()
    check_local = fields.Boolean()
    time_zone = fields.String(allow_none=True)


class ListenAnswer(Schema):
    """Where `fate-ext serve` listens; FATE Flow, where mounted, does so itself."""

    host = fields.String()
    port = fields.Integer()
    public_host = fields.String(allow_none=True)
    public_port = fields.Integer(allow_none=True)


class SettingsAnswer(Schema):
    """Settings in force; neither paths of secrets nor urls of databases."""

    server_name = fields.String()
    listen = fields.Nested(ListenAnswer)
    data_dir = fields.String()
    shared_dir = fields.String(allow_none=True)
    server_timeout_seconds = fields.Integer()
    allowed_networks = fields.List(fields.String())
    trusted_proxies = fields.List(fields.String())
    verify_job = fields.Boolean()
    max_upload_bytes = fields.Integer()
    max_ids = fields.Integer()
    max_waiting_jobs = fields.Integer()
    min_free_bytes = fields.Integer()
    header_names = fields.List(fields.String())
    concurrent_jobs = fields.Integer()
    job_threads = fields.Integer()
    job_memory_mb = fields.Integer()
    job_timeout_seconds = fields.Integer()
    result_retention_seconds = fields.Integer()
    job_history_days = fields.Integer()
    long_poll_seconds = fields.Float()
    max_held_queries = fields.Integer()
    gzip = fields.Boolean()
    metrics = fields.Boolean()
    default_view = fields.String(allow_none=True)
    authentication = fields.Nested(AuthenticationAnswer, allow_none=True)
    permission = fields.Nested(PermissionAnswer, allow_none=True)


class HealthAnswer(Schema):
    """``problems``: each part that can't be used, and why."""

    status = fields.String()
    problems = fields.Dict(fields.String(), fields.String())
    version = fields.String()
    party_id = fields.String()
    free_bytes = fields.Integer()
    waiting_jobs = fields.Integer()
    running_jobs = fields.Integer()
