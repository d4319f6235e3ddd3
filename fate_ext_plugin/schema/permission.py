"""Requests for permission (contract section 1), and grants as people write them: in YAML, JSON, or as options."""
import hashlib
import json
from datetime import date, datetime
from typing import Any, Dict, Iterable, List, Mapping, Optional

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, validate, validates_schema

from fate_ext_plugin.errors import InvalidGrant
from fate_ext_plugin.permission.calendar import WEEKDAYS, Calendar, Hours, parse_hours
from fate_ext_plugin.permission.check import Decision
from fate_ext_plugin.permission.grant import Grant
from fate_ext_plugin.permission.grants import grant_of
from fate_ext_plugin.permission.item import COMPONENT, STAR, Item, code_point, component, dataset, unusable
from fate_ext_plugin.schema.feature import Text
from fate_ext_plugin.settings.load import explain
from fate_ext_plugin.util.fields import Integer

JOB_ROLES = ("guest", "host", "arbiter", "local")
# MySQL's TEXT holds 65,535 bytes.
MAX_ITEMS_BYTES = 60_000
NAME = validate.Regexp(
    r"\A[a-z0-9][a-z0-9._-]{0,63}\Z", error="A grant's name is 1 to 64 lower-case letters, digits, . _ or -.")
PARTY = validate.Regexp(
    r"\A([A-Za-z0-9_-]{1,20}|\*)\Z", error="A party is a party ID of 1 to 20 letters, digits, _ or -, or * for all.")
PARTICIPANT = validate.Regexp(r"\A[A-Za-z0-9_-]{1,20}\Z", error="A party ID is 1 to 20 letters, digits, _ or -.")
COMPONENT_PATTERN = validate.Regexp(
    r"\A[A-Za-z0-9_.*-]{1,100}\Z",
    error="A component is a name such as hetero_lr, in which * stands for any text; nothing else is special.")


class PermissionRequestSchema(Schema):
    """What FATE Flow sends of a job. The page requires src_role, which is always null, and lacks role and party_id; see
    :func:`fate_ext_plugin.permission.request.read_request` for what is read of it."""

    class Meta:
        unknown = EXCLUDE

    src_role = fields.Raw(allow_none=True)
    src_party_id = fields.Raw(allow_none=True)
    role = fields.Raw(allow_none=True)
    party_id = fields.Raw(allow_none=True)
    initiator = fields.Raw(allow_none=True)
    roles = fields.Raw(allow_none=True)
    component_list = fields.Raw(required=True)
    dataset_list = fields.Raw(allow_none=True)
    run_time_conf = fields.Raw(allow_none=True)
    dsl = fields.Raw(allow_none=True)
    component_parameters = fields.Raw(allow_none=True)


PERMISSION = PermissionRequestSchema()


class Party(fields.String):
    """YAML reads 9999 as a number."""

    def _deserialize(self, value: Any, attr: Optional[str], data: Any, **kwargs: Any) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        text: str = super()._deserialize(value, attr, data, **kwargs)
        return text


class Dataset(fields.Field):
    """``namespace/name``, or a mapping of both where a namespace holds a slash. Each may hold ``*``, which alone stands
    for all datasets."""

    def _deserialize(self, value: Any, attr: Optional[str], data: Any, **kwargs: Any) -> Item:
        if value == STAR:
            return dataset(STAR, STAR)
        if isinstance(value, str):
            namespace, slash, name = value.partition("/")
            value = {"namespace": namespace, "name": name} if slash else None
        if not isinstance(value, Mapping) or set(value) != {"namespace", "name"}:
            raise ValidationError(
                "Must be namespace/name, a mapping with namespace and name, or * for all datasets.")
        for part in value.values():
            if not isinstance(part, str) or not 1 <= len(part) <= 255:
                raise ValidationError("Namespace and name must be text of 1 to 255 characters.")
            character = unusable(part)
            if character is not None:
                raise ValidationError(f"{code_point(character)} is not part of any name that a job may ask for.")
        return dataset(value["namespace"], value["name"])


class CalendarSchema(Schema):
    """:param calendar: the site's, for dates."""

    def __init__(self, calendar: Calendar) -> None:
        super().__init__()
        self.calendar = calendar


class When(fields.Field):
    """A date, or a date and time, at the site; YAML makes dates of some."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_none=True, load_default=None, **kwargs)

    def _deserialize(self, value: Any, attr: Optional[str], data: Any, **kwargs: Any) -> int:
        if isinstance(value, datetime):
            value = value.isoformat(" ")
        elif isinstance(value, date):
            value = value.isoformat()
        if not isinstance(value, str):
            raise ValidationError("Must be a date such as 2027-01-31 or '2027-01-31 18:00'.")
        try:
            return self._calendar().parse(value)
        except (ValueError, OverflowError, OSError) as error:
            raise ValidationError(str(error)) from None

    def _calendar(self) -> Calendar:
        assert isinstance(self.parent, CalendarSchema)
        return self.parent.calendar


class HoursField(fields.Field):
    def _deserialize(self, value: Any, attr: Optional[str], data: Any, **kwargs: Any) -> Hours:
        try:
            return parse_hours(str(value))
        except ValueError as error:
            raise ValidationError(str(error)) from None


class GrantSchema(CalendarSchema):
    """One grant."""

    name = fields.String(load_default=None, validate=NAME)
    party = Party(required=True, validate=PARTY)
    role = fields.String(load_default=STAR, validate=validate.OneOf(
        (*JOB_ROLES, STAR), error="Must be one of: {choices}."))
    effect = fields.String(load_default="allow", validate=validate.OneOf(
        ("allow", "deny"), error="Must be one of: {choices}."))
    components = fields.List(fields.String(validate=COMPONENT_PATTERN), load_default=list)
    datasets = fields.List(Dataset(), load_default=list)
    valid_from = When()
    valid_until = When()
    weekdays = fields.List(fields.String(validate=validate.OneOf(
        WEEKDAYS, error="Must be one of: {choices}.")), load_default=list)
    hours = HoursField(load_default=None, allow_none=True)
    max_uses = Integer(load_default=None, allow_none=True, validate=validate.Range(1, 10**9))
    max_uses_per_day = Integer(load_default=None, allow_none=True, validate=validate.Range(1, 10**9))
    initiators = fields.List(Party(validate=PARTICIPANT), load_default=list)
    partners = fields.List(Party(validate=PARTICIPANT), load_default=list)
    note = Text(load_default="", validate=[validate.Length(max=1000), validate.Predicate(
        "isprintable", error="Must be printable text, in one line.")])

    @validates_schema
    def sound(self, data: Mapping[str, Any], **_: Any) -> None:
        if not data["components"] and not data["datasets"]:
            raise ValidationError("Missing, and so are datasets: there is nothing to grant.", "components")
        if data["effect"] == "deny" and (data["max_uses"] or data["max_uses_per_day"]):
            raise ValidationError("Must be allow where uses are limited.", "effect")
        start, end = data["valid_from"], data["valid_until"]
        if start is not None and end is not None and start >= end:
            raise ValidationError("Must be later than valid_from.", "valid_until")

    @post_load
    def build(self, data: Dict[str, Any], **_: Any) -> Grant:
        items = (*map(component, data.pop("components")), *data.pop("datasets"))
        data["items"] = tuple(dict.fromkeys(items))
        listed = json.dumps([[item.kind, *item.parts] for item in data["items"]])
        if len(listed.encode("unicode_escape")) > MAX_ITEMS_BYTES:
            raise ValidationError("Too many or too long; make several grants of them.", "datasets")
        data["allow"] = data.pop("effect") == "allow"
        data["weekdays"] = tuple(day for day in WEEKDAYS if day in data["weekdays"])
        for key in ("initiators", "partners"):
            data[key] = tuple(dict.fromkeys(data[key]))
        data["name"] = data.get("name") or _name_for(data)
        return Grant(**data)


def _name_for(terms: Mapping[str, Any]) -> str:
    """The same for the same terms, so that what is granted already is seen."""
    said = repr(sorted((key, value) for key, value in terms.items() if key not in ("name", "note")))
    return f"grant-{hashlib.sha256(said.encode('utf-8', 'replace')).hexdigest()[:10]}"


def load_grant(given: Any, calendar: Calendar, *path: str) -> Grant:
    """:param path: where it stands, for messages.
    :raises InvalidGrant: names each wrong key, what was found and what is allowed."""
    schema = GrantSchema(calendar)
    try:
        grant: Grant = schema.load(given)
    except ValidationError as error:
        raise InvalidGrant("; ".join(explain(error.normalized_messages(), given, schema, path))) from None
    return grant


def load_policy(content: Any, calendar: Calendar) -> List[Grant]:
    """The grants of a policy file.

    :param content: what YAML gave: a mapping with the key ``grants``.
    :raises InvalidGrant: names what is wrong.
    """
    listed = content.get("grants") if isinstance(content, Mapping) and set(content) == {"grants"} else None
    if not isinstance(listed, list):
        raise InvalidGrant(
            "A policy file is a mapping with one key, `grants:`, a list; `fate-ext grant export` makes one.")
    grants = [load_grant(given, calendar, "grants", str(number)) for number, given in enumerate(listed, start=1)]
    names: Dict[str, int] = {}
    for number, grant in enumerate(grants, start=1):
        if grant.name in names:
            raise InvalidGrant(f"grants.{number}: {grant.name} stands at {names[grant.name]}, too.")
        names[grant.name] = number
    return grants


def grant_dict(grant: Grant, calendar: Calendar) -> Dict[str, Any]:
    """As :func:`load_grant` reads it, without what is not said."""
    def when(ms: Optional[int]) -> Optional[str]:
        return None if ms is None else calendar.text(ms)

    found = {
        "name": grant.name, "party": grant.party, "role": grant.role, "effect": "allow" if grant.allow else "deny",
        "components": [item.parts[0] for item in grant.items if item.kind == COMPONENT],
        "datasets": list(_datasets(grant.items)), "valid_from": when(grant.valid_from),
        "valid_until": when(grant.valid_until), "weekdays": list(grant.weekdays),
        "hours": str(grant.hours) if grant.hours else None, "max_uses": grant.max_uses,
        "max_uses_per_day": grant.max_uses_per_day, "initiators": list(grant.initiators),
        "partners": list(grant.partners), "note": grant.note,
    }
    unsaid = {"role": STAR, "effect": "allow"}
    return {key: value for key, value in found.items() if value and value != unsaid.get(key)}


def grant_row_dict(row: Mapping[str, Any], calendar: Calendar) -> Dict[str, Any]:
    """Of a row of the table, with who made it and when."""
    return {**grant_dict(grant_of(row), calendar), "made_by": row["f_maker"], "made": row["f_create_date"]}


def decision_dict(decision: Decision) -> Dict[str, Any]:
    """Of what is asked for, each with the grants that allow it, the one that denies it, and why others do not count."""
    return {
        "allowed": decision.allowed, "message": decision.message(), "local": decision.local,
        "grants": [grant.name for grant in decision.spent] if decision.allowed else [],
        "items": [{
            "kind": verdict.item.kind, "name": "/".join(verdict.item.parts), "allowed": verdict.allowed,
            "allowed_by": [grant.name for grant in verdict.grants], "denied_by": verdict.denied_by,
            "near_misses": [{"grant": miss.grant, "reason": miss.reason} for miss in verdict.near],
        } for verdict in decision.verdicts],
    }


def _datasets(items: Iterable[Item]) -> Iterable[Any]:
    for item in items:
        if item.kind != COMPONENT:
            namespace, name = item.parts
            yield {"namespace": namespace, "name": name} if "/" in namespace else f"{namespace}/{name}"
