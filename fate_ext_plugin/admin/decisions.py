"""The audit trail, searched."""
from typing import Any, Dict

from fate_ext_plugin.admin.desk import Desk
from fate_ext_plugin.admin.operation import Call, look
from fate_ext_plugin.audit import search
from fate_ext_plugin.schema import admin as schemas


def search_audit(desk: Desk, call: Call) -> Dict[str, Any]:
    said = call.said
    trails = [desk.authentication.audit]
    if desk.set_up_permission and desk.set_up_permission.audit:
        trails.append(desk.set_up_permission.audit)
    found, next_before = search(
        [trail.folder for trail in trails], limit=said["page_size"], before=said["before"], check=said["check"],
        who=said["who"], allowed=said["allowed"], since=said["since"], until=said["until"])
    return {"decisions": found, "next_before": next_before}


OPERATIONS = [
    look("audit.search", "/audit", search_audit, schemas.AuditAnswer, "Search the audit trail, the newest first",
         schemas.AuditQuery),
]
