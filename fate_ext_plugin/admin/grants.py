"""Grants: list, show, add, change, remove, and explain what they would answer."""
from dataclasses import replace
from typing import Any, Dict

from fate_ext_plugin.admin.context import Desk
from fate_ext_plugin.admin.operation import Call, Operation, look
from fate_ext_plugin.errors import InvalidGrant
from fate_ext_plugin.permission.grants import grant_of
from fate_ext_plugin.permission.item import component
from fate_ext_plugin.permission.request import PermissionRequest
from fate_ext_plugin.schema import admin as schemas
from fate_ext_plugin.schema.permission import GrantSchema, decision_dict, grant_row_dict


def list_grants(desk: Desk, call: Call) -> Dict[str, Any]:
    said = call.said
    size = said["page_size"]
    rows = desk.grants.rows(said["party"], size, (said["page"] - 1) * size)
    return {"grants": [grant_row_dict(row, desk.calendar) for row in rows], "count": desk.grants.count(said["party"]),
            "page": said["page"], "page_size": size}


def show_grant(desk: Desk, call: Call) -> Dict[str, Any]:
    name = call.path["name"]
    row = desk.grants.row(name)
    counted = grant_of(row).limited
    uses, uses_today = desk.permission.used(name) if counted else (None, None)
    return {**grant_row_dict(row, desk.calendar), "uses": uses, "uses_today": uses_today}


def add_grant(desk: Desk, call: Call) -> Dict[str, Any]:
    grant = call.said
    desk.grants.add(grant, call.who)
    return grant_row_dict(desk.grants.row(grant.name), desk.calendar)


def change_grant(desk: Desk, call: Call) -> Dict[str, Any]:
    grant = replace(call.said, name=call.path["name"])
    desk.grants.change(grant, call.who)
    return grant_row_dict(desk.grants.row(grant.name), desk.calendar)


def remove_grant(desk: Desk, call: Call) -> Dict[str, Any]:
    name = call.path["name"]
    found = grant_row_dict(desk.grants.row(name), desk.calendar)
    desk.grants.remove(name)
    return found


def explain(desk: Desk, call: Call) -> Dict[str, Any]:
    said = call.said
    items = (*map(component, said["components"]), *said["datasets"])
    if not items:
        raise InvalidGrant("Name a component, a dataset, or several.")
    request = PermissionRequest(
        said["party"], said["role"], desk.party_id, items, said["initiator"] or said["party"],
        frozenset(said["others"]))
    return decision_dict(desk.permission.explain(request, said["at"]))


OPERATIONS = [
    look("grants.list", "/grants", list_grants, schemas.GrantsAnswer, "List grants", schemas.GrantsQuery),
    look("grants.show", "/grants/<name>", show_grant, schemas.GrantAnswer, "Show a grant, and how often it was used"),
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
