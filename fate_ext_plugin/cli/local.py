"""Administration on this machine, on the database and the files that service_conf.yaml names."""
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Iterator, Optional

from fate_ext_plugin.cli.backend import Backend, Payload, as_query, spoken

# Operations that store what must be under the right master key, or what is believed like it.
STORING = ("clients.add", "clients.rotate", "keys.add", "policies.change")
# How the audit log calls where a command on this machine came from.
COMMAND = "command"


class LocalBackend(Backend):
    """On the database and the files that service_conf.yaml names."""

    here = True

    def __init__(self, conf: Path) -> None:
        self.conf = conf

    def perform(self, name: str, payload: Optional[Payload] = None, /, **path: str) -> Any:
        from fate_ext_plugin.admin.catalog import BY_NAME
        from fate_ext_plugin.admin.operation import Call, not_audited
        from fate_ext_plugin.permission.grants import user

        operation, values = BY_NAME[name], spoken(payload)
        context = self.context()
        if name in STORING:
            context.prove()
        audit = partial(self._note, f"{operation.method} {operation.url(path)}") if operation.changes else not_audited
        return operation.perform(
            context, Call(user(), path, audit, over_http=False),
            as_query(values) if operation.method == "GET" else values)

    def context(self) -> Any:
        """An :class:`fate_ext_plugin.admin.context.AdminContext`."""
        from fate_ext_plugin.cli.context import open_context

        return open_context(self.conf)

    @contextmanager
    def audited(self, what: str) -> Iterator[None]:
        """Put what is done meanwhile into the audit log, with what came of it."""
        from fate_ext_plugin.admin.operation import reason_of

        try:
            yield
        except BaseException as error:
            self._note(what, False, reason_of(error), None)
            raise
        self._note(what, True, "ok", None)

    def _note(self, what: str, allowed: bool, reason: str, payload: Optional[Payload]) -> None:
        """Beside what the running server writes there."""
        from fate_ext_plugin.audit.log import note_beside
        from fate_ext_plugin.auth.client_auth import ADMIN_CHECK
        from fate_ext_plugin.permission.grants import user

        context = self.context()
        context.storage  # noqa: B018 - made, readable by its owner alone
        note_beside(context.audit_folders[0], ADMIN_CHECK, allowed, user(), what, COMMAND, reason, payload)
