"""Grants and requests, in few words."""
import json
from typing import Any, Dict, List, Sequence

from fate_ext_plugin.permission.calendar import Calendar
from fate_ext_plugin.permission.grant import Grant
from fate_ext_plugin.permission.item import component, dataset
from fate_ext_plugin.permission.request import PermissionRequest
from fate_ext_plugin.schema.permission import load_grant
from tests.support.recordings import lines_of

MACHINE = Calendar()


def recorded() -> List[Dict[str, Any]]:
    """What a real FATE Flow 1.11.2 asked: two uploads, then the two roles of an ApiReader job."""
    return [json.loads(line["body"]["text"]) for line in lines_of("fate_flow_1.11.2_permission.jsonl")]


def grant(name: str = "it", party: Any = "9999", calendar: Calendar = MACHINE, **terms: Any) -> Grant:
    """A grant by the words that people write; of all components where none is named."""
    if not {"components", "datasets"} & terms.keys():
        terms["components"] = ["*"]
    return load_grant({"name": name, "party": party, **terms}, calendar, "grant")


def asked(
    *components: str, datasets: Sequence[str] = (), party: str = "9999", role: str = "host", initiator: str = "9999",
    others: Sequence[str] = (), job: Any = "202611231038053132510",
) -> PermissionRequest:
    """``datasets``: as namespace/name."""
    items = (*map(component, components), *(dataset(*name.split("/", 1)) for name in datasets))
    return PermissionRequest(party, role, "10000", items, initiator, frozenset(others), job)
