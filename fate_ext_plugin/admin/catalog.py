"""All operations. The REST interface, its OpenAPI document, the console and the command line are made of this list."""
from typing import Dict, List

from fate_ext_plugin.admin import clients, decisions, grants, jobs, keys, overview, site, views
from fate_ext_plugin.admin.operation import Operation

OPERATIONS: List[Operation] = [
    *overview.OPERATIONS, *jobs.OPERATIONS, *views.OPERATIONS, *clients.OPERATIONS, *keys.OPERATIONS,
    *grants.OPERATIONS, *decisions.OPERATIONS, *site.OPERATIONS]
BY_NAME: Dict[str, Operation] = {operation.name: operation for operation in OPERATIONS}
