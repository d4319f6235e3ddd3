"""Requests and answers of /v1/ext/admin. An answer holds what stands here and nothing else: so none holds a secret."""
from marshmallow import Schema, fields, validate

from fate_ext_plugin.auth.clients import ROLES
from fate_ext_plugin.auth.keys import ENVELOPES
from fate_ext_plugin.auth.scheme import ALGORITHMS
from fate_ext_plugin.feature.view import RESERVED_NAMES
from fate_ext_plugin.schema.feature import Text
from fate_ext_plugin.schema.permission import CalendarSchema, Dataset, GrantSchema, Party, When
from fate_ext_plugin.schema.settings import Boolean, Integer, Scalar

STATUSES = ("waiting", "running", "success", "failed", "canceled", "expired")
CHECKS = ("client", "site", "signature", "permission", "admin")
SPANS = ("hour", "day", "week", "month")
MAX_PAGE = 1000
NAMES = validate.Length(max=100)


class Nothing(CalendarSchema):
    """A request that says nothing."""


class Page(CalendarSchema):
    """In a url every value is text."""

    page = fields.Integer(load_default=1, validate=validate.Range(1, 1_000_000))
    page_size = fields.Integer(load_default=50, validate=validate.Range(1, MAX_PAGE))


class Span(CalendarSchema):
    since = When()
    until = When()


class OverviewQuery(CalendarSchema):
    span = fields.String(load_default="day", validate=validate.OneOf(SPANS, error="Must be one of: {choices}."))


class JobsQuery(Page, Span):
    status = fields.String(load_default=None, validate=validate.OneOf(STATUSES, error="Must be one of: {choices}."))
    view = Text(load_default=None)


class AuditQuery(Span):
    page_size = fields.Integer(load_default=50, validate=validate.Range(1, MAX_PAGE))
    before = fields.Float(load_default=None, allow_none=True, metadata={
        "description": "next_before of the page before, to go on"})
    check = fields.String(load_default=None, validate=validate.OneOf(CHECKS, error="Must be one of: {choices}."))
    who = Text(load_default=None)
    allowed = fields.Boolean(load_default=None, truthy={"true"}, falsy={"false"})


class GrantsQuery(Page):
    party = Text(load_default=None)


class ViewTest(CalendarSchema):
    ids = fields.List(Text(validate=validate.Regexp(r"\A[^\r\n]{1,255}\Z", error="An ID is 1 to 255 characters.")),
                      required=True, validate=validate.Length(1, 100))
    features = fields.List(Text())
    parameters = fields.Dict(Text(validate=validate.NoneOf(RESERVED_NAMES, error="Is no parameter of a view.")),
                             Scalar(), load_default=dict)


class NewClient(CalendarSchema):
    app_key = Text(required=True)
    name = Text(required=True, validate=validate.Length(1, 200))
    role = fields.String(load_default=None, allow_none=True, validate=validate.OneOf(ROLES))
    algorithm = fields.String(load_default="hmac-sha1", validate=validate.OneOf(list(ALGORITHMS)))
    expires = When()
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
    valid_from = When()
    valid_until = When()


class PolicyChange(CalendarSchema):
    """What is missing stays as it is."""

    envelope = fields.String(load_default=None, allow_none=True, validate=validate.OneOf(ENVELOPES))
    md5 = Boolean(load_default=None, allow_none=True)


class GrantTerms(GrantSchema):
    """A grant whose name stands in the path."""

    class Meta:
        exclude = ("name",)


class Explain(CalendarSchema):
    """A job as it would be asked for; ``at``: now where it is missing."""

    party = Party(required=True)
    role = fields.String(load_default="host")
    components = fields.List(Text(), load_default=list, validate=NAMES)
    datasets = fields.List(Dataset(), load_default=list, validate=NAMES)
    initiator = Party(load_default=None)
    others = fields.List(Party(), load_default=list, validate=NAMES)
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
    fate_job_id = fields.String()
    attempt = fields.Integer()
    ids = fields.Integer()
    matched = fields.Integer()
    missing = fields.Integer()
    upload_bytes = fields.Integer()
    result_bytes = fields.Integer()
    created = fields.String()
    started = fields.String()
    ended = fields.String()
    elapsed_seconds = fields.Float()
    error_code = fields.Integer()
    error = fields.String()


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
    default = fields.String()
    column = fields.String()


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
    role = fields.String()
    algorithm = fields.String()
    expires = fields.String()
    paths = fields.List(fields.String())
    methods = fields.List(fields.String())
    networks = fields.List(fields.String())
    old_secret_until = fields.String()
    created = fields.String()
    changed = fields.String()


class ClientsAnswer(Schema):
    clients = fields.List(fields.Nested(ClientAnswer))


class NewSecretAnswer(Schema):
    """The only answer that holds a secret: the new one, which is found nowhere later."""

    app_key = fields.String()
    secret = fields.String()


class KeyAnswer(Schema):
    party_id = fields.String()
    kind = fields.String()
    fingerprint = fields.String()
    valid_from = fields.String()
    valid_until = fields.String()
    created = fields.String()


class KeysAnswer(Schema):
    keys = fields.List(fields.Nested(KeyAnswer))


class OwnKeyAnswer(Schema):
    """The public part of the key that signs now, for partners."""

    party_id = fields.String()
    fingerprint = fields.String()
    public_key = fields.String()


class PolicyAnswer(Schema):
    party_id = fields.String()
    envelope = fields.String()
    md5 = fields.Boolean()
    envelope_seen = fields.String()


class PoliciesAnswer(Schema):
    policies = fields.List(fields.Nested(PolicyAnswer))


class FingerprintAnswer(Schema):
    fingerprint = fields.String()
    parties = fields.List(fields.String())


class GrantAnswer(Schema):
    """The terms that are said, and who made it."""

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
    uses = fields.Integer()
    uses_today = fields.Integer()


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
    who = fields.String()
    what = fields.String()
    source = fields.String(data_key="from", attribute="from")
    reason = fields.String()
    request = fields.Dict()


class AuditAnswer(Schema):
    """``next_before``: where the next page, of older decisions, begins; null: there are no more."""

    decisions = fields.List(fields.Nested(EntryAnswer))
    next_before = fields.Float()


class JobTimes(Schema):
    """Of jobs that were accepted in one span of time, which begins at ``time``. ``statuses``: how many have each now;
    seconds from acceptance to the end, null where none has ended."""

    time = fields.String()
    statuses = fields.Dict(fields.String(), fields.Integer())
    ids = fields.Integer()
    matched = fields.Integer()
    mean_seconds = fields.Float()
    longest_seconds = fields.Float()


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
    time_zone = fields.String()


class SettingsAnswer(Schema):
    """Settings in force; neither paths of secrets nor urls of databases."""

    server_name = fields.String()
    data_dir = fields.String()
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
    default_view = fields.String()
    authentication = fields.Nested(AuthenticationAnswer)
    permission = fields.Nested(PermissionAnswer)


class HealthAnswer(Schema):
    """``problems``: each part that can't be used, and why."""

    status = fields.String()
    problems = fields.Dict(fields.String(), fields.String())
    version = fields.String()
    party_id = fields.String()
    free_bytes = fields.Integer()
    waiting_jobs = fields.Integer()
    running_jobs = fields.Integer()
