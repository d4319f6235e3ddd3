"""Grants: list, show, add, change, remove, and explain what they would answer."""
from dataclasses import replace
from typing import Any, Dict

from fate_ext_plugin.admin.context import AdminContext
from fate_ext_plugin.admin.operation import Call, Operation, read
from fate_ext_plugin.errors import InvalidGrant
from fate_ext_plugin.permission.grants import grant_of
from fate_ext_plugin.permission.item import component
from fate_ext_plugin.permission.request import PermissionRequest
from fate_ext_plugin.schema import admin as schemas
from fate_ext_plugin.schema.permission import GrantSchema, decision_dict, grant_row_dict


def list_grants(context: AdminContext, call: Call) -> Dict[str, Any]:
    payload = call.payload
    size = payload["page_size"]
    rows = context.grants.rows(payload["party"], size, (payload["page"] - 1) * size)
    return {"grants": [grant_row_dict(row, context.calendar) for row in rows],
            "count": context.grants.count(payload["party"]), "page": payload["page"], "page_size": size}


def show_grant(context: AdminContext, call: Call) -> Dict[str, Any]:
    name = call.path["name"]
    row = context.grants.row(name)
    counted = grant_of(row).limited
    uses, uses_today = context.permission.used(name) if counted else (None, None)
    return {**grant_row_dict(row, context.calendar), "uses": uses, "uses_today": uses_today}


def add_grant(context: AdminContext, call: Call) -> Dict[str, Any]:
    grant = call.payload
    context.grants.add(grant, call.who)
    return grant_row_dict(context.grants.row(grant.name), context.calendar)


def change_grant(context: AdminContext, call: Call) -> Dict[str, Any]:
    grant = replace(call.payload, name=call.path["name"])
    context.grants.change(grant, call.who)
    return grant_row_dict(context.grants.row(grant.name), context.calendar)


def remove_grant(context: AdminContext, call: Call) -> Dict[str, Any]:
    name = call.path["name"]
    found = grant_row_dict(context.grants.row(name), context.calendar)
    context.grants.remove(name)
    return found


def explain(context: AdminContext, call: Call) -> Dict[str, Any]:
    payload = call.payload
    items = (*map(component, payload["components"]), *payload["datasets"])
    if not items:
        raise InvalidGrant("Name a component, a dataset, or several.")
    request = PermissionRequest(
        payload["party"], payload["role"], context.party_id, items, payload["initiator"] or payload["party"],
        frozenset(payload["others"]))
    return decision_dict(context.permission.explain(request, payload["at"]))


OPERATIONS = [
    read("grants.list", "/grants", list_grants, schemas.GrantsAnswer, "List grants", schemas.GrantsQuery),
    read("grants.show", "/grants/<name>", show_grant, schemas.GrantAnswer, "Show a grant, and how often it was used"),
    Operation("grants.add", "POST", "/grants", add_grant, schemas.GrantAnswer,
              "Grant components, datasets or both to a party", GrantSchema),
    Operation("grants.change", "PUT", "/grants/<name>", change_grant, schemas.GrantAnswer,
              "Put other terms in place of a grant's; its uses stay counted", schemas.GrantTerms),
    Operation("grants.remove", "DELETE", "/grants/<name>", remove_grant, schemas.GrantAnswer,
              "Take a grant back, and forget its uses"),
    Operation("grants.explain", "POST", "/explain", explain, schemas.DecisionAnswer,
              "Say whether a job would be allowed, by which grants, or why none counts", schemas.Explain,
              changes=False),
]
