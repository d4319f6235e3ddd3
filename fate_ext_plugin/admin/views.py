"""Feature views: list them, try one."""
from typing import Any, Dict

from fate_ext_plugin.admin.context import AdminContext
from fate_ext_plugin.admin.operation import Call, Operation, look
from fate_ext_plugin.schema import admin as schemas


def list_views(context: AdminContext, call: Call) -> Dict[str, Any]:
    return {"views": [context.settings.views[name] for name in sorted(context.settings.views)]}


def test_view(context: AdminContext, call: Call) -> Any:
    said = call.said
    body = dict(said["parameters"])
    if said.get("features") is not None:
        body["features"] = said["features"]
    return context.sampler.sample(call.path["name"], said["ids"], body)


OPERATIONS = [
    look("views.list", "/views", list_views, schemas.ViewsAnswer, "List the feature views of this server"),
    Operation("views.test", "POST", "/views/<name>/test", test_view, schemas.SampleAnswer,
              "Show the features that a few sample IDs would get", schemas.ViewTest, unkept=("ids", "parameters")),
]
