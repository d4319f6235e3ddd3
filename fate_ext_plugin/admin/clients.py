"""Clients: list, show, add, enable or disable, rotate, remove."""
from typing import Any, Dict

from fate_ext_plugin.admin.context import AdminContext
from fate_ext_plugin.admin.operation import Call, Operation, read
from fate_ext_plugin.errors import KeyTaken
from fate_ext_plugin.schema import admin as schemas
from fate_ext_plugin.schema.serializers import client_dict


def list_clients(context: AdminContext, call: Call) -> Dict[str, Any]:
    return {"clients": [client_dict(row) for row in context.clients.rows()]}


def show_client(context: AdminContext, call: Call) -> Dict[str, Any]:
    return client_dict(context.clients.row(call.path["app_key"]))


def add_client(context: AdminContext, call: Call) -> Dict[str, Any]:
    made = context.clients.add(**call.payload)
    return {"app_key": call.payload["app_key"], "secret": None if call.payload["secret"] else made}


def change_client(context: AdminContext, call: Call) -> Dict[str, Any]:
    if not call.payload["enabled"]:
        _not_oneself(call)
    context.clients.enable(call.path["app_key"], call.payload["enabled"])
    return show_client(context, call)


def rotate_client(context: AdminContext, call: Call) -> Dict[str, Any]:
    app_key = call.path["app_key"]
    return {"app_key": app_key, "secret": context.clients.rotate(app_key, call.payload["keep_old_hours"] * 3600)}


def remove_client(context: AdminContext, call: Call) -> Dict[str, Any]:
    _not_oneself(call)
    found = show_client(context, call)
    context.clients.remove(call.path["app_key"])
    return found


def _not_oneself(call: Call) -> None:
    """So there is always an admin left.

    :raises KeyTaken: it is the client that asks."""
    if call.who == call.path["app_key"] and call.over_http:
        raise KeyTaken("A client can't shut itself out; let another admin do it, or `fate-ext client` on the server.")


OPERATIONS = [
    read("clients.list", "/clients", list_clients, schemas.ClientsAnswer, "List clients"),
    read("clients.show", "/clients/<app_key>", show_client, schemas.ClientAnswer, "Show a client"),
    Operation("clients.add", "POST", "/clients", add_client, schemas.NewSecretAnswer,
              "Let a client in; its secret is shown only now", schemas.NewClient, redacted_fields=("secret",)),
    Operation("clients.change", "PUT", "/clients/<app_key>", change_client, schemas.ClientAnswer,
              "Enable or disable a client", schemas.ClientChange),
    Operation("clients.rotate", "POST", "/clients/<app_key>/rotate", rotate_client, schemas.NewSecretAnswer,
              "Give a client a new secret, which is shown only now", schemas.ClientRotation),
    Operation("clients.remove", "DELETE", "/clients/<app_key>", remove_client, schemas.ClientAnswer,
              "Remove a client"),
]
