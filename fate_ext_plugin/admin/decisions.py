"""The audit log, searched."""
from typing import Any, Dict

from fate_ext_plugin.admin.context import AdminContext
from fate_ext_plugin.admin.operation import Call, read
from fate_ext_plugin.audit.search import Filter, search
from fate_ext_plugin.errors import AuditLogUnreadable
from fate_ext_plugin.schema import admin as schemas


def search_audit(context: AdminContext, call: Call) -> Dict[str, Any]:
    payload = dict(call.payload)
    limit, cursor = payload.pop("page_size"), payload.pop("cursor")
    try:
        found = search(context.audit_folders, Filter(**payload), limit, cursor)
    except OSError as error:
        raise AuditLogUnreadable(f"The audit log can't be read: {error.strerror}: {error.filename}") from None
    return {"decisions": found.decisions, "cursor": found.cursor}


OPERATIONS = [
    read("audit.search", "/audit", search_audit, schemas.AuditAnswer, "Search the audit log, the newest first",
         schemas.AuditQuery),
]
