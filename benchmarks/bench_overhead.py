"""What all of it costs a FATE job: the same one with no plugin, FATE Flow's own hooks, our hooks, our HTTP services.

A job of two parties, a Reader at each, on one FATE Flow server with SQLite that plays both; every request between
scheduler and parties is signed and checked, and every client's. FATE_PROJECT_BASE names the installation (FATE_PYTHON
its Python), as for tests/fate_flow. Over HTTP our services make and check the signatures; clients are checked by our
hook, as FATE Flow's own hook for a third party's service fails on every request.

FATE's scheduler looks about once a second what is to be done, so seconds are coarse; CPU seconds are of the server
and of all processes that the job starts.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List

from support import PACKAGE_FOLDER, Run, Runs, cpu_of, show

if not os.environ.get("FATE_PROJECT_BASE"):
    sys.exit("FATE_PROJECT_BASE names no FATE installation.")
sys.path.insert(0, PACKAGE_FOLDER)

from tests.fate_flow.flow import GUEST, HOST, Flow, Installation  # noqa: E402
from tests.fate_flow.test_server import CLIENT, KEYS  # noqa: E402

ROUNDS = int(os.environ.get("FATE_EXT_BENCH_ROUNDS", "5"))
SWITCHES: Dict[str, Any] = {
    "party_id": GUEST, "authentication": {"client": CLIENT, "site": {"switch": True}}}
SECTION: Dict[str, Any] = {"data_dir": "fateflow/fate_ext", "min_free_bytes": 0}
NOTHING = "fate_flow"  # in place of our entry, which tests' servers have
OURS = "fate_ext_plugin.hook"


def hooks(**modules: str) -> Dict[str, Any]:
    return {**SWITCHES, "hook_module": modules}


KINDS: Dict[str, Any] = {
    "no plugin, no check": (SECTION, {"hook_module": {"extension": NOTHING}}),
    "FATE Flow's own hooks": (SECTION, hooks(
        extension=NOTHING, client_authentication="fate_flow.hook.flow.client_authentication",
        site_authentication="fate_flow.hook.flow.site_authentication")),
    "our hooks, in process": ({**SECTION, "authentication": {}}, hooks(
        client_authentication=f"{OURS}.client_authentication", site_authentication=f"{OURS}.site_authentication")),
    "our services, over HTTP": ({**SECTION, "authentication": {"signature_over_http": True}}, {
        **hooks(client_authentication=f"{OURS}.client_authentication",
                site_authentication="fate_flow.hook.api.site_authentication"),
        "hook_server_name": "fate_ext"}),
}


def submit(flow: Flow) -> str:
    """Start the job and return FATE's job ID."""
    reader = {"reader_0": {"table": {"name": "ids", "namespace": "exp"}}}
    roles = {"guest": [GUEST], "host": [HOST]}
    conf = {"dsl_version": 2, "initiator": {"role": "guest", "party_id": GUEST}, "role": roles,
            "component_parameters": {"role": {role: {"0": reader} for role in roles}},
            "job_parameters": {"common": {"task_parallelism": 1}}}
    dsl = {"components": {"reader_0": {"module": "Reader", "output": {"data": ["data"]}}}}
    return str(flow.call("/job/submit", {"dsl": dsl, "runtime_conf": conf})["jobId"])


def measured(flow: Flow, name: str) -> Runs:
    runs = Runs(name)
    flow.upload_table("ids", [f"u{number}" for number in range(1000)])
    for _ in range(ROUNDS):
        before, started = cpu_of(flow.process.pid), time.perf_counter()  # type: ignore[union-attr]
        job_id = submit(flow)
        ended = flow.wait(job_id)
        if ended != "success":
            sys.exit(f"{name}: the job {ended}: {flow.report(job_id)}")
        seconds = time.perf_counter() - started
        time.sleep(2)  # what the server does once a job has ended is of the job, too
        runs.runs.append(Run(seconds, cpu_of(flow.process.pid) - before))  # type: ignore[union-attr]
    return runs


def main() -> None:
    installation = Installation(Path(os.environ["FATE_PROJECT_BASE"]).resolve())
    results: List[Runs] = []
    with tempfile.TemporaryDirectory(prefix="fate-ext-bench-") as folder:
        for number, (name, (section, conf)) in enumerate(KINDS.items()):
            flow = Flow(installation, Path(folder) / str(number), section, conf)
            flow.keys = KEYS if "authentication" in conf else None
            try:
                results.append(measured(flow.start(), name))
            finally:
                flow.stop()
    plain = results[0]
    show(f"FATE Flow {'.'.join(map(str, installation.version))}, {ROUNDS} jobs of each, medians",
         ["", "seconds a job", "CPU seconds a job", "times the CPU without a check", "spread of seconds"],
         [[runs.name, runs.seconds, runs.cpu, runs.cpu / plain.cpu,
           f"{min(run.seconds for run in runs.runs):.1f} to {max(run.seconds for run in runs.runs):.1f}"]
          for runs in results])
    print(f"standard deviation of seconds without a check: {statistics.pstdev(run.seconds for run in plain.runs):.2f}")


if __name__ == "__main__":
    main()
