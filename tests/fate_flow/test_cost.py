"""What the plugin costs FATE Flow: memory of the server, import time of every task worker."""
import json
import os
import statistics
import subprocess
from pathlib import Path
from typing import Any

import duckdb

from tests.fate_flow.flow import Caller, Installation, MakeFlow

MAX_IMPORT_SECONDS = 0.03
MAX_GROWTH = 64 * 2**20
ROWS = 5_000_000  # of 22 bytes: an upload of 105 MiB

IMPORT = """
import json, logging, sys, time, typing
start = time.perf_counter()
import fate_ext_plugin.mount
taken = time.perf_counter() - start
heavy = [name for name in ("flask", "peewee", "marshmallow", "duckdb", "werkzeug") if name in sys.modules]
print(json.dumps([taken, heavy]))
"""


def test_import_in_a_task_worker(installation: Installation) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(installation.pythonpath)}
    runs = [json.loads(subprocess.run([installation.python, "-c", IMPORT], stdout=subprocess.PIPE, check=True,
                                      env=environment, timeout=60).stdout) for _ in range(11)]
    median = statistics.median(taken for taken, _ in runs)
    print(f"importing fate_ext_plugin.mount: {median * 1000:.1f} ms")
    assert all(heavy == [] for _, heavy in runs)
    assert median < MAX_IMPORT_SECONDS


def test_memory_of_the_server(make_flow: MakeFlow, tmp_path: Path) -> None:
    """An upload of 100 MB and a download of more stream through."""
    duckdb.execute(
        f"COPY (SELECT 'user-' || printf('%016d', i) AS id, i AS a, i * 7 AS b FROM range({ROWS}) t(i)) "
        f"TO '{tmp_path}/big.parquet' (FORMAT parquet)")
    ids = tmp_path / "ids"
    duckdb.execute(f"COPY (SELECT 'user-' || printf('%016d', i) FROM range({ROWS}) t(i)) TO '{ids}' (HEADER false)")
    view: Any = {"source": {"type": "file", "path": f"{tmp_path}/big.parquet"}, "columns": ["a", "b"]}
    flow = make_flow({"data_dir": "fateflow/fate_ext", "verify_job": False, "views": {"big": view}})
    caller = Caller(flow)
    assert len(caller.features(["user-0000000000000001"])) == 2  # warm
    before = flow.rss()
    Path(f"/proc/{flow.process.pid if flow.process else 0}/clear_refs").write_text("5")  # VmHWM starts again
    with open(ids, "rb") as file:
        job_id = caller.job(file)
    assert caller.query(job_id)["status"] == "success"
    size = sum(len(chunk) for chunk in caller.download(job_id, stream=True).iter_content(1 << 18))
    grown, peak = flow.rss() - before, flow.rss("VmHWM") - before
    print(f"upload {ids.stat().st_size / 1e6:.0f} MB, download {size / 1e6:.0f} MB: memory {before / 2**20:.0f} MiB, "
          f"after {grown / 2**20:+.1f}, at most {peak / 2**20:+.1f}")
    assert size > 100e6
    assert peak <= MAX_GROWTH
