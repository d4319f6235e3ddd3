"""The console: each page of a site with 100,000 feature jobs, 1,000,000 audited decisions and 100,000 grants, beside
the same page of an empty site.

On SQLite and, where FATE_EXT_TEST_MYSQL_URL names one, MariaDB or MySQL; over HTTP, signed in, one page at a time. Of a
million decisions the audit log keeps those that its bounded files hold, as in operation; how many is printed. A
search of all of them ends within some answers, none of which takes long.
"""
import os
import random
import re
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import requests
from support import FOLDER, Server, show, verdict

from fate_ext_plugin.audit.log import AuditLog
from fate_ext_plugin.audit.search import Filter, read, search
from fate_ext_plugin.auth.client_store import Clients
from fate_ext_plugin.auth.setup import open_box, section_of
from fate_ext_plugin.db.base import Store, date_of
from fate_ext_plugin.db.feature_job import FeatureJob
from fate_ext_plugin.db.migration import MODELS, migrate
from fate_ext_plugin.host.standalone import open_database
from fate_ext_plugin.permission.grant import Grant
from fate_ext_plugin.permission.grants import Grants
from fate_ext_plugin.permission.item import component
from fate_ext_plugin.settings.load import read_settings_file

JOBS, DECISIONS, GRANTS = 100_000, 1_000_000, 100_000
RUNS = 15
DAY_MS = 86_400_000
PAGES = [
    "?span=hour", "?span=day", "?span=month", "jobs", "jobs?page=1000", "jobs?status=failed", "jobs?since=2026-01-01",
    "jobs/<job>", "views", "clients", "keys", "grants", "grants?page=1500", "grants?party=party-7", "grants/<grant>",
    "explain", "audit", "audit?check=permission", "audit?who=nobody", "site"]


def sections() -> Iterator[Tuple[str, Dict[str, Any]]]:
    section: Dict[str, Any] = {"authentication": {"party_id": "10000"}, "permission": {}, "min_free_bytes": 0}
    yield "SQLite", section
    if os.environ.get("FATE_EXT_TEST_MYSQL_URL"):
        yield "MariaDB or MySQL", {**section, "database": {
            "url": os.environ["FATE_EXT_TEST_MYSQL_URL"], "password_env": "FATE_EXT_TEST_MYSQL_PASSWORD"}}


def fill_jobs(store: Store) -> str:
    """In the order in which they came, over 30 days, so that the overview has to sum up all; returns the ID of one."""
    choice, now = random.Random(1), int(time.time() * 1000)
    rows: List[Dict[str, Any]] = []
    for number in range(JOBS):
        moment = now - (JOBS - number) * 30 * DAY_MS // (JOBS + 1)
        status = choice.choices(("success", "expired", "failed", "canceled"), (2, 90, 7, 1))[0]
        ids, took = choice.randrange(1, 10**6), choice.randrange(500, 10**5)
        rows.append({
            "f_job_id": uuid.UUID(int=choice.getrandbits(128)).hex, "f_fate_job_id": f"2026{number:017}",
            "f_status": status, "f_owner": "other", "f_view": f"view{number % 5}", "f_request": '{"month": "202201"}',
            "f_id_name": "id", "f_ids": ids, "f_matched": ids // 2, "f_missing": ids - ids // 2,
            "f_upload_bytes": ids * 20, "f_result_bytes": ids * 80, "f_create_time": moment,
            "f_create_date": date_of(moment), "f_start_time": moment, "f_end_time": moment + took, "f_elapsed": took,
            "f_error": "Something is wrong with it." if status == "failed" else None})
    with store.connection(), store.database.atomic():
        for start in range(0, JOBS, 40):
            FeatureJob.insert_many(rows[start:start + 40]).execute()
    return str(rows[0]["f_job_id"])


def fill_grants(store: Store) -> None:
    table = Grants(store)
    for start in range(0, GRANTS, 50_000):
        table.replace([Grant(f"grant-{number:06}", f"party-{number % 1000}", (component(f"component_{number}"),))
                       for number in range(start, start + 50_000)], [])


def fill_trails(folder: Path) -> None:
    """Three of four are of authentication; one of twenty was refused."""
    for audit_log, share, check in ((AuditLog(folder), 0.75, "site"), (AuditLog(folder / "permission"), 0.25,
                                                                     "permission")):
        for number in range(int(DECISIONS * share)):
            audit_log.write(check, number % 20 > 0, f"party-{number % 1000}", "guest 10000: dataset experiment/breast",
                        "10.0.0.5", "ok")
        audit_log.flush()
        audit_log.counters.save(time.time())


def measured(section: Dict[str, Any], full: bool) -> Tuple[Dict[str, float], int]:
    """Milliseconds of each page by its path, and how many decisions the audit log holds."""
    server = Server(section)
    settings = read_settings_file(server.conf)
    settings.data_dir.mkdir(mode=0o700)
    store = Store(open_database(settings))
    store.bind(MODELS)
    drop_tables(store)
    migrate(store)
    secret = Clients(store, open_box(section_of(settings), make=True)).add("ops", "Operations", role="admin")
    Grants(store).add(Grant("grant-000000" if not full else "one-more", "party-7", (component("hetero_lr"),)))
    job_id = ""
    if full:
        job_id = fill_jobs(store)
        fill_grants(store)
        fill_trails(settings.data_dir / "audit")
    kept = sum(1 for _ in read(settings.data_dir / "audit", settings.data_dir / "audit" / "permission"))
    with server:
        browser = signed_in(server, secret)
        found = {path: milliseconds(browser, server, path.replace("<job>", job_id).replace("<grant>", "grant-000000"))
                 for path in PAGES if full or path != "jobs/<job>"}
        drop_tables(store)  # the server's end removes its folder
    return found, kept


def drop_tables(store: Store) -> None:
    store.call(lambda: [model.drop_table(safe=True) for model in MODELS])


def signed_in(server: Server, secret: str) -> requests.Session:
    browser = requests.Session()
    url = f"http://127.0.0.1:{server.port}/v1/ext/console/sign-in"
    token = re.search('name="form_token" value="([^"]+)"', browser.get(url).text)
    assert token
    answer = browser.post(url, data={"app_key": "ops", "secret": secret, "form_token": token.group(1)},
                          headers={"Origin": f"http://127.0.0.1:{server.port}"})
    assert answer.status_code == 200, answer.text
    return browser


def milliseconds(browser: requests.Session, server: Server, path: str) -> float:
    """The median of a page."""
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        answer = browser.get(f"http://127.0.0.1:{server.port}/v1/ext/console/{path}")
        times.append(time.perf_counter() - started)
        assert answer.status_code == 200, (path, answer.status_code)
    return statistics.median(times) * 1e3


def search_for_nobody() -> Tuple[int, float]:
    """Answers until all decisions of an audit log as large as it gets are searched, and the ms of the slowest."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as name:
        fill_trails(Path(name))
        times: List[float] = []
        cursor = None
        while cursor or not times:
            started = time.perf_counter()
            cursor = search([Path(name), Path(name) / "permission"], Filter(who="nobody"), 50, cursor).cursor
            times.append(time.perf_counter() - started)
    return len(times), max(times) * 1e3


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    answers, slowest = search_for_nobody()
    verdict("answers until all decisions are searched", answers, 20)
    verdict("slowest of these answers, ms", slowest, 200)
    for database, section in sections():
        empty, _ = measured(section, full=False)
        full, kept = measured(section, full=True)
        show(f"Python {sys.version.split()[0]}, {database}, {JOBS:,} jobs, {GRANTS:,} grants, {kept:,} of "
             f"{DECISIONS:,} decisions kept; median of a page",
             ["page", "empty, ms", "full, ms", "ratio"],
             [[path or "overview", empty.get(path, ""), full[path],
               full[path] / empty[path] if path in empty else ""] for path in PAGES])
        verdict("slowest page, ms", max(full.values()), 200)


if __name__ == "__main__":
    main()
