"""Feature views: list them, try one."""
from typing import Any, Dict

from fate_ext_plugin.admin.context import AdminContext
from fate_ext_plugin.admin.operation import Call, Operation, read
from fate_ext_plugin.schema import admin as schemas


def list_views(context: AdminContext, call: Call) -> Dict[str, Any]:
    return {"views": [context.settings.views[name] for name in sorted(context.settings.views)]}


def test_view(context: AdminContext, call: Call) -> Any:
    payload = call.payload
    body = dict(payload["parameters"])
    if payload.get("features") is not None:
        body["features"] = payload["features"]
    return context.sampler.sample(call.path["name"], payload["ids"], body)


OPERATIONS = [
    read("views.list", "/views", list_views, schemas.ViewsAnswer, "List the feature views of this server"),
    Operation("views.test", "POST", "/views/<name>/test", test_view, schemas.SampleAnswer,
              "Show the features that a few sample IDs would get", schemas.ViewTest,
              redacted_fields=("ids", "parameters")),
]
