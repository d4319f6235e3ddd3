"""This site's server: settings in force and health."""
from typing import Any, Dict

from fate_ext_plugin import __version__
from fate_ext_plugin.admin.context import AdminContext
from fate_ext_plugin.admin.operation import Call, read
from fate_ext_plugin.feature.job import RUNNING, WAITING, JobFilter
from fate_ext_plugin.schema import admin as schemas


def show_settings(context: AdminContext, call: Call) -> Any:
    return context.settings


def show_health(context: AdminContext, call: Call) -> Dict[str, Any]:
    problems = context.readiness.problems()
    _, _, free = context.storage.disk_usage()
    return {
        "status": "not ready" if problems else "ready", "problems": problems, "version": __version__,
        "party_id": context.party_id, "free_bytes": free,
        "waiting_jobs": context.jobs.count(JobFilter(WAITING)), "running_jobs": context.jobs.count(JobFilter(RUNNING))}


OPERATIONS = [
    read("settings.show", "/settings", show_settings, schemas.SettingsAnswer, "Show the settings in force"),
    read("health.show", "/health", show_health, schemas.HealthAnswer, "Say whether this server can do its work"),
]
