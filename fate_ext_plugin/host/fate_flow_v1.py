"""FATE Flow 1.9 to 1.11 as our host, and what differs between them."""
import sys
import threading
from functools import lru_cache
from typing import Any, Iterable, Iterator, List, Optional, Tuple

from fate_ext_plugin.db.base import Store
from fate_ext_plugin.host import resolve

# FATE's own statuses of a job that an ApiReader may run in (fate_flow.entity.run_status).
RUNNING_STATUSES = ("waiting", "running")
# Of our own to MySQL, beside FATE Flow's 100: MySQL takes 151 by default.
MAX_CONNECTIONS = 20
_opening = threading.Lock()


class FateFlowV1:
    """The server process we are imported into. Everything of FATE Flow is imported here and nowhere else."""

    def __init__(self) -> None:
        with _opening:  # hooks are first asked by several requests at once
            self.store = Store(_database())
        self.frame = None if _werkzeug_speaks_chunked() else frame_chunks

    @property
    def address(self) -> Tuple[str, int]:
        """nginx's where service_conf.yaml has one: jobs of all servers are then sent through it."""
        from fate_flow.settings import NGINX_HOST, NGINX_HTTP_PORT

        return str(NGINX_HOST), int(NGINX_HTTP_PORT)

    @property
    def own_address(self) -> Tuple[str, int]:
        from fate_flow.settings import HOST, HTTP_PORT

        return str(HOST), int(HTTP_PORT)

    def own_addresses(self) -> List[str]:
        from fate_flow.settings import HOST

        return resolve(HOST)

    def party_id(self) -> str:
        from fate_flow.settings import PARTY_ID

        return str(PARTY_ID or "")

    def own_client(self) -> Optional[Tuple[str, str]]:
        from fate_flow.settings import HTTP_APP_KEY, HTTP_SECRET_KEY

        return (str(HTTP_APP_KEY), str(HTTP_SECRET_KEY)) if HTTP_APP_KEY and HTTP_SECRET_KEY else None

    def site_keys(self) -> List[Tuple[str, str, str]]:
        from fate_flow.db.db_models import SiteKeyInfo

        database = self.store.database
        # FATE Flow makes its tables at its start; fate-ext may come before.
        return self.store.call(
            lambda: [(row.f_party_id, row.f_key_name, row.f_key) for row in SiteKeyInfo.select().bind(database)]
            if database.table_exists(SiteKeyInfo._meta.table_name) else [])

    def permission_switches(self) -> Tuple[bool, bool, bool]:
        """Those of site authentication, and of permission for components and for datasets."""
        from fate_flow.settings import COMPONENT_PERMISSION, DATASET_PERMISSION, SITE_AUTHENTICATION

        return bool(SITE_AUTHENTICATION), bool(COMPONENT_PERMISSION), bool(DATASET_PERMISSION)

    def permission_rules(self) -> List[Tuple[str, str, str]]:
        """The grants of FATE Flow's built-in check: party, ``component`` or ``dataset``, value."""
        from fate_flow.settings import CASBIN_TABLE_NAME

        database = self.store.database
        return self.store.call(lambda: [
            (str(party), str(kind), str(value)) for party, kind, value in database.execute_sql(
                f"SELECT v0, v1, v2 FROM {CASBIN_TABLE_NAME} WHERE ptype = 'p' ORDER BY id").fetchall()
        ] if database.table_exists(CASBIN_TABLE_NAME) else [])

    def fate_job_running(self, fate_job_id: str) -> Optional[bool]:
        from fate_flow.db.db_models import Job

        return self.store.call(lambda: Job.select().where(
            (Job.f_job_id == fate_job_id) & Job.f_status.in_(RUNNING_STATUSES)).bind(self.store.database).exists())

    def inheritance_info(self, job_id: str, role: str, party_id: str) -> Any:
        """Of the outputs that a FATE job was created to take from another one; None where there is no such job."""
        from fate_flow.db.db_models import Job

        jobs = self.store.call(lambda: list(Job.select(Job.f_inheritance_info).where(
            Job.f_job_id == job_id, Job.f_role == role, Job.f_party_id == party_id).bind(self.store.database)))
        return jobs[0].f_inheritance_info if jobs else None

    def register(self, server_name: str, host: str, port: int, uris: Any) -> None:
        """Write our server and services into FATE Flow's registry, without its test that the port answers already."""
        from fate_flow.db.service_registry import ServerRegistry, ServiceRegistry

        for service, uri in uris.items():
            ServiceRegistry.save_service_info(
                server_name, service, uri=uri, method="POST",
                server_info={"host": host, "port": port, "protocol": "http"})
        ServerRegistry.save_server_info_to_db(server_name, host, port, protocol="http")


@lru_cache(maxsize=None)
def _database() -> Any:
    """FATE Flow's database. A MySQL is reached over connections of our own: FATE Flow's wait for an answer without end,
    and its requests to us would wait with them."""
    from fate_flow.db.db_models import DB
    from peewee import MySQLDatabase

    if not isinstance(DB, MySQLDatabase):
        return DB
    from fate_flow.settings import DATABASE

    from fate_ext_plugin.db import patience

    options = {**DATABASE, "max_connections": MAX_CONNECTIONS, "read_timeout": patience.ANSWER_SECONDS,
               "write_timeout": patience.ANSWER_SECONDS}
    return patience.ImpatientMySQL(options.pop("name"), **options)


def flask_app() -> Any:
    """FATE Flow's Flask app, or None in a process that serves nothing, such as a task worker."""
    return getattr(sys.modules.get("fate_flow.apps"), "app", None)


def exempt(prefix: str) -> None:
    """Take our paths out of FATE Flow's own authentication, which would call us to authenticate a call to us.

    Both lists, under 1.9's and 1.10's names. The match is startswith, so the prefix ends in a slash: no neighbour
    is exempted with it.
    """
    apps = sys.modules["fate_flow.apps"]
    for name in ("client_urls_prefix", "scheduling_urls_prefix", "client_url_prefix", "scheduling_url_prefix"):
        prefixes = getattr(apps, name, None)
        if prefixes is not None and prefix not in prefixes:
            prefixes.append(prefix)


def check_scheduling_requests() -> None:
    """With both authentication switches on, 1.10 and 1.11 check scheduling requests not at all (contract section 3):
    their one ``before_request`` ends after the client's part, which passes them. This adds the site's for them."""
    apps = sys.modules["fate_flow.apps"]
    if not hasattr(apps, "scheduling_urls_prefix"):
        return  # 1.9 checks both
    checks = apps.app.before_request_funcs.setdefault(None, [])
    if apps.CLIENT_AUTHENTICATION and apps.SITE_AUTHENTICATION and _check_scheduling_request not in checks:
        checks.append(_check_scheduling_request)


def _check_scheduling_request() -> Any:
    """Exactly the paths that the client's part passes: /v1/version/get, for one, is in neither list."""
    from flask import request

    apps = sys.modules["fate_flow.apps"]
    if request.path.startswith(tuple(apps.scheduling_urls_prefix)):
        return apps.site_authentication_before_request()
    return None


def read_section(name: str) -> Any:
    """A key of service_conf.yaml, local.service_conf.yaml first, by FATE's own reader."""
    from fate_arch.common.conf_utils import get_base_config

    return get_base_config(name)


def base_dir() -> str:
    """The folder FATE is deployed in."""
    from fate_arch.common.file_utils import get_project_base_directory

    return str(get_project_base_directory())


def read_settings() -> Any:
    """Our section of service_conf.yaml, as :class:`fate_ext_plugin.settings.model.Settings`.

    :raises InvalidSettings: it can't be used.
    """
    from pathlib import Path

    from fate_ext_plugin.settings.load import parse_settings
    from fate_ext_plugin.settings.model import SECTION

    return parse_settings(read_section(SECTION), Path(base_dir()))


def server_logger() -> Any:
    """The log that FATE Flow's operators look at first, fate_flow_stat.log."""
    from fate_flow.settings import stat_logger

    return stat_logger


def _werkzeug_speaks_chunked() -> bool:
    """Since 2.1 its server answers in HTTP/1.1 and chunks a body without a length; before, it just closes."""
    from importlib.metadata import version

    return tuple(int(part) for part in version("werkzeug").split(".")[:2]) >= (2, 1)


def frame_chunks(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """RFC 9112 section 7.1. requests reads it whatever version stands in the status line."""
    for block in blocks:
        if block:
            yield b"%x\r\n%s\r\n" % (len(block), block)
    yield b"0\r\n\r\n"
