"""A feature job, from the upload's first byte to the download's last, against DuckDB's bare join to CSV.

1,000,000 and 1,000 IDs against 10,000,000 rows x 20 float columns of Parquet: 846,154 matches, 158 MB of CSV.
Both read the same files with the same DuckDB and 2 threads. DuckDB's time begins when it is imported already.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import List

import duckdb
from support import FOLDER, Run, Runs, Server, download, made_once, multipart, show, verdict, watching_children

ROUNDS = int(os.environ.get("FATE_EXT_BENCH_ROUNDS", "5"))
THREADS = 2
ROWS, IDS, FEW = 10_000_000, 1_000_000, 1_000
COLUMNS = [f"x{number}" for number in range(20)]

BARE = """
import json, os, resource, sys, time
import duckdb
ids, features, columns, target, threads = json.loads(sys.argv[1])
started = time.perf_counter()
connection = duckdb.connect(config={"threads": threads, "preserve_insertion_order": False})
connection.execute("SET enable_progress_bar = false")
connection.execute(
    f"COPY (SELECT i.id, {', '.join('s.' + name for name in columns)} "
    f"FROM read_csv('{ids}', header = true, columns = {{'id': 'VARCHAR'}}) i "
    f"JOIN read_parquet('{features}') s ON s.id = i.id) TO '{target}' (HEADER)")
seconds = time.perf_counter() - started
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, os.path.getsize(target)]))
"""


def make_features(path: Path) -> None:
    """One file, rows in no order, values of 6 decimals."""
    columns = ", ".join(f"CAST(round(random(), 6) AS FLOAT) AS {name}" for name in COLUMNS)
    duckdb.execute(
        f"COPY (SELECT 'u' || (i * 7919 % {ROWS}) * 13 AS id, {columns} FROM range({ROWS}) t(i)) "
        f"TO '{path}' (FORMAT parquet)")


def make_ids(path: Path, count: int) -> None:
    """11 of 13 have features; in no order."""
    duckdb.execute(
        f"COPY (SELECT 'u' || (i * {ROWS / count * 13 / 11})::BIGINT * 13 AS id FROM range({count}) t(i) "
        f"ORDER BY hash(i)) TO '{path}' (HEADER)")


def bare(ids: Path, features: Path) -> "tuple[Run, int]":
    target = FOLDER / f"bare-{os.getpid()}.csv"
    arguments = json.dumps([str(ids), str(features), COLUMNS, str(target), THREADS])
    output = subprocess.run([sys.executable, "-c", BARE, arguments], check=True, stdout=subprocess.PIPE).stdout
    target.unlink()
    seconds, cpu, peak, size = json.loads(output)
    return Run(seconds, cpu, peak), size


def service(server: Server, body: Path) -> "tuple[Run, int]":
    before = server.cpu()
    with watching_children(server.process.pid) as run:
        started = time.perf_counter()
        job_id = server.upload(body)
        state = server.query(job_id)
        if state["status"] != "success":
            sys.exit(state["message"])
        size = download(server.url("download", {"jobId": job_id}))
        run.seconds = time.perf_counter() - started
    run.cpu = server.cpu() - before
    # As DuckDB's is above: a disk cache that grows from run to run costs both, but not evenly.
    shutil.rmtree(server.folder / "data" / "jobs" / job_id)
    return run, size


def main() -> None:
    features = made_once("features.parquet", make_features)
    settings = {
        "job_threads": THREADS,
        "views": {"bench": {"source": {"type": "file", "path": str(features)}, "columns": COLUMNS}},
    }
    results: List[Runs] = []
    with Server(settings) as server:
        memory = server.memory()
        for count in (IDS, FEW):
            ids = made_once(f"ids-{count}.csv", lambda path, count=count: make_ids(path, count))
            body = made_once(f"ids-{count}.multipart", lambda path, ids=ids: multipart(ids, path))
            baseline = Runs(f"DuckDB {duckdb.__version__}, bare join to CSV, {count:,} IDs")
            ours = Runs(f"fate-ext serve, upload to last byte, {count:,} IDs")
            for _ in range(ROUNDS):
                run, expected = bare(ids, features)
                baseline.runs.append(run)
                run, size = service(server, body)
                ours.runs.append(run)
                if size != expected:
                    sys.exit(f"The service gave {size} bytes, DuckDB {expected}.")
            results += [baseline, ours]
        growth = server.memory("VmHWM") - memory
    show(
        f"Python {sys.version.split()[0]}, {ROUNDS} runs of each in turn, medians; memory: the highest of the process "
        "that joins",
        ["", "seconds", "CPU seconds", "memory MiB"],
        [[runs.name, runs.seconds, runs.cpu, runs.peak] for runs in results])
    many_bare, many, few_bare, few = results
    verdict("ratio for 1,000,000 IDs", many.seconds / many_bare.seconds, 1.3)
    verdict("seconds more for 1,000 IDs", few.seconds - few_bare.seconds, 0.5)
    verdict("MiB more in the server process at its highest", growth, 64)


if __name__ == "__main__":
    main()
