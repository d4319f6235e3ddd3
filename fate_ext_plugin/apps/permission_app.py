"""permission over HTTP: what FATE Flow asks (contract section 1), and why it would be allowed or not."""
from typing import Any

from flask import jsonify

from fate_ext_plugin.apps.authentication_app import read_body
from fate_ext_plugin.apps.blueprint import ServiceBlueprint
from fate_ext_plugin.errors import NotPermitted
from fate_ext_plugin.permission.check import Permission
from fate_ext_plugin.permission.request import read_request
from fate_ext_plugin.schema.authentication import load
from fate_ext_plugin.schema.permission import PERMISSION, decision_dict


def add_permission_service(blueprint: ServiceBlueprint, permission: Permission) -> None:

    def check() -> Any:
        body = load(PERMISSION, read_body())
        try:
            permission.check(body)
        except NotPermitted as error:
            return jsonify(code=error.detail, msg=error.message, message=error.message)
        return jsonify(code=0, msg="success", message="success")

    def explain() -> Any:
        request = read_request(load(PERMISSION, read_body()), permission.own_party)
        return jsonify(code=0, msg="success", message="success", data=decision_dict(permission.explain(request)))

    blueprint.add("permission", ["POST"], check)
    blueprint.add("permission", ["POST"], explain, "/explain")
