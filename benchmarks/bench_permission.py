"""Permission: a check of 5 components and 2 datasets, at 10 to 1,000,000 grants, beside FATE Flow's built-in check.

In process, with an audit log, on SQLite and, where FATE_EXT_TEST_MYSQL_URL names one, MySQL. Each grant is of one
component or dataset for one of 1,000 parties (fewer where there are few grants), as the built-in's are. *known*: what a
party asked for before is asked again; *new*: each request is one that was never made, so its rows are read. Where
FATE_PROJECT_BASE names an installation, the built-in check beside them, its rules in SQLite instead of MySQL.
"""
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import yaml
from support import FOLDER, MIB, show, verdict

from fate_ext_plugin.audit.log import AuditLog
from fate_ext_plugin.db.base import Store
from fate_ext_plugin.db.migration import MODELS, migrate
from fate_ext_plugin.host.standalone import open_database
from fate_ext_plugin.permission.calendar import Calendar
from fate_ext_plugin.permission.check import Permission
from fate_ext_plugin.permission.grant import Grant
from fate_ext_plugin.permission.grants import Grants
from fate_ext_plugin.permission.item import component, dataset
from fate_ext_plugin.permission.usage import Uses
from fate_ext_plugin.settings.load import read_settings_file
from fate_ext_plugin.settings.model import SECTION

COUNTS = [int(count) for count in os.environ.get("FATE_EXT_BENCH_GRANTS", "10 1000 100000 1000000").split()]
BUILT_IN_COUNTS = [count for count in COUNTS if count <= 10_000]
COMPONENTS, ITEMS, REQUESTS = 5, 7, 300
PARTIES = 1000

BUILT_IN = """
import json, sys, time
import sqlalchemy
create = sqlalchemy.create_engine
sqlalchemy.create_engine = lambda url: create("sqlite:///" + sys.argv[1])
from fate_flow import settings
settings.PERMISSION_SWITCH = settings.COMPONENT_PERMISSION = settings.DATASET_PERMISSION = True
from fate_flow.hook import HookManager
import fate_flow.hook.flow.permission
from fate_flow.controller.permission_controller import PermissionController
from fate_flow.entity.permission_parameters import DataSet
from fate_flow.hook.common.parameters import PermissionCheckParameters
count, names = json.loads(sys.argv[2])
rules = PermissionController("any").casbin_controller
values = [("component", name) for name in names[:5]]
values += [("dataset", DataSet(*name.split("/")).casbin_value) for name in names[5:]]
from sqlalchemy.orm import sessionmaker
from fate_flow.db.fate_casbin import FateCasbinRule
session = sessionmaker(bind=rules.engine)()
rows = [("party-0", kind, value) for kind, value in values]
rows += [("party-%d" % (number % 1000), "component", "other_%d" % number) for number in range(count - len(rows))]
session.bulk_save_objects([FateCasbinRule(ptype="p", v0=a, v1=b, v2=c) for a, b, c in rows])
session.commit()
parm = PermissionCheckParameters(None, "party-0", "host", "10000", {}, {}, names[:5],
                                 [DataSet(*name.split("/")) for name in names[5:]], {}, {}, {})
times = []
for _ in range(3):
    started = time.perf_counter()
    assert HookManager.PERMISSION_CHECK[0](parm).code == 0
    times.append(time.perf_counter() - started)
print(json.dumps(min(times)))
"""


def names_of(job: int) -> List[str]:
    """What one job uses: 5 components and 2 datasets."""
    return [*(f"component_{job}_{number}" for number in range(COMPONENTS)), f"exp/guest_{job}", f"exp/host_{job}"]


def party_of(job: int) -> str:
    return f"party-{job % PARTIES}"


def grants_of(count: int) -> Iterator[Grant]:
    for number in range(count):
        job, name = number // ITEMS, names_of(number // ITEMS)[number % ITEMS]
        item = dataset(*name.split("/")) if "/" in name else component(name)
        yield Grant(f"g{number}", party_of(job), (item,))


def request_of(job: int) -> Dict[str, Any]:
    names = names_of(job)
    return {"src_party_id": party_of(job), "role": "host", "party_id": "10000", "component_list": names[:COMPONENTS],
            "initiator": {"role": "guest", "party_id": party_of(job)}, "roles": {"host": [10000]}, "dataset_list": [
                dict(zip(("namespace", "name"), name.split("/"))) for name in names[COMPONENTS:]]}


def seconds(check: Callable[[Any], None], requests: List[Any]) -> float:
    """The median of one check."""
    times = []
    for request in requests:
        started = time.perf_counter()
        check(request)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def measured(store: Store, folder: Path, count: int) -> List[Any]:
    table = Grants(store)
    started = time.perf_counter()
    waiting: List[Grant] = []
    for grant in grants_of(count):
        waiting.append(grant)
        if len(waiting) == 50_000:
            table.replace(waiting, [])
            waiting = []
    table.replace(waiting, [])
    filled = time.perf_counter() - started
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    permission = Permission(table, Uses(store), Calendar(), AuditLog(folder / "audit"), "10000")
    jobs = max(1, count // ITEMS)
    permission.check(request_of(0))  # the revision is read
    chosen = random.Random(7).sample(range(jobs), min(jobs, REQUESTS))
    new = seconds(permission.check, [request_of(job) for job in chosen])
    known = seconds(permission.check, [request_of(job) for job in chosen * max(1, REQUESTS // len(chosen))])
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / MIB
    return [count, known * 1e3, new * 1e3, grown, filled]


def in_force(store: Store) -> float:
    """Seconds until a grant that another program stores counts here, at worst of three."""
    here, item = Grants(store), component("just_now")
    worst = 0.0
    for number in range(3):
        here.find("party-0", [item])
        Grants(store).add(Grant(f"just-now-{number}", "party-0", (item,)))
        started = time.perf_counter()
        while len(here.find("party-0", [item])[item]) <= number:
            time.sleep(0.01)
        worst = max(worst, time.perf_counter() - started)
    return worst


def built_in(folder: Path) -> Dict[int, float]:
    base = os.environ.get("FATE_PROJECT_BASE")
    found = {}
    for count in BUILT_IN_COUNTS if base else ():
        path = os.pathsep.join([f"{base}/python", f"{base}/fateflow/python"])
        output = subprocess.run(
            [os.environ.get("FATE_PYTHON", sys.executable), "-c", BUILT_IN, str(folder / f"rules-{count}.db"),
             json.dumps([count, names_of(0)])], check=True, stdout=subprocess.PIPE,
            env=dict(os.environ, PYTHONPATH=path, FATE_PROJECT_BASE=str(base), FATE_DEPLOY_BASE=str(base))).stdout
        found[count] = json.loads(output.splitlines()[-1])
    return found


def databases(folder: Path) -> Iterator[Any]:
    section: Dict[str, Any] = {"data_dir": str(folder / "data"), "permission": {}}
    sections = {"SQLite": section}
    if os.environ.get("FATE_EXT_TEST_MYSQL_URL"):
        sections["MySQL"] = {**section, "database": {
            "url": os.environ["FATE_EXT_TEST_MYSQL_URL"], "password_env": "FATE_EXT_TEST_MYSQL_PASSWORD"}}
    for name, chosen in sections.items():
        conf = folder / "service_conf.yaml"
        conf.write_text(yaml.safe_dump({SECTION: chosen}), "utf-8")
        (folder / "data").mkdir(exist_ok=True)
        yield name, Store(open_database(read_settings_file(conf)))


def forget(store: Store) -> None:
    store.bind(MODELS)
    store.call(lambda: [model.drop_table(safe=True) for model in MODELS])
    migrate(store)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as name:
        folder = Path(name)
        theirs = built_in(folder)
        for database, store in databases(folder):
            rows = []
            for count in COUNTS:
                forget(store)
                rows.append(measured(store, folder, count))
            worst = in_force(store)
            forget(store)
            show(f"Python {sys.version.split()[0]}, {database}, medians of a check",
                 ["grants", "known, ms", "new, ms", "memory, MiB", "filled in, s", "built-in, ms"],
                 [[*row, theirs[row[0]] * 1e3 if row[0] in theirs else ""] for row in rows])
            for column, name in ((1, "known"), (2, "new")):
                verdict(f"{name}, slowest up to 100,000 grants, ms",
                        max(row[column] for row in rows if row[0] <= 100_000), 1)
                for row in rows[-1:] if rows[-1][0] > 100_000 else ():
                    verdict(f"{name}, {row[0]:,} grants, ms", row[column], 2)
            verdict("memory, MiB", max(row[3] for row in rows), 64)
            verdict("another program's grant in force, s", worst, 2)


if __name__ == "__main__":
    main()
