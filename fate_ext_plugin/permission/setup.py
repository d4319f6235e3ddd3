"""The room of permission, opened once in a process: both doors, HTTP and in-process, share it."""
import logging
from pathlib import Path

from fate_ext_plugin.audit.log import AuditLog
from fate_ext_plugin.db.base import Store
from fate_ext_plugin.db.migration import migrate
from fate_ext_plugin.errors import InvalidSettings
from fate_ext_plugin.permission.calendar import Calendar
from fate_ext_plugin.permission.check import OBSERVE, Permission
from fate_ext_plugin.permission.grants import Grants
from fate_ext_plugin.permission.usage import Uses
from fate_ext_plugin.settings.model import SECTION, PermissionSettings, Settings

logger = logging.getLogger(__name__)


def section_of(settings: Settings) -> PermissionSettings:
    """:raises InvalidSettings: there is none."""
    if settings.permission is None:
        raise InvalidSettings(
            f"{SECTION}.permission is missing in service_conf.yaml; add `permission:`, alone for its defaults.")
    return settings.permission


def open_permission(settings: Settings, store: Store, party_id: str) -> Permission:
    """For a server: makes the tables where they do not exist.

    :param party_id: this site's, '' where it is not known.
    :raises ExtError: settings or database can't be used.
    """
    chosen = section_of(settings)
    migrate(store)
    if chosen.mode == OBSERVE:
        logger.warning("permission is only observed: every job is allowed (%s.permission.mode: observe)", SECTION)
    audit_log = AuditLog(permission_audit_folder(settings))
    return Permission(Grants(store), Uses(store), Calendar(chosen.time_zone), audit_log, party_id, chosen.mode,
                      chosen.check_local)


def permission_audit_folder(settings: Settings) -> Path:
    """Beside the audit log of authentication, whose many lines would push its own out."""
    return settings.data_dir / "audit" / "permission"
