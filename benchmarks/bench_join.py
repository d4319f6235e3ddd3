"""A feature job, from the upload's first byte to the download's last, against DuckDB's bare join to CSV.

1,000,000 and 1,000 IDs against 10,000,000 rows x 20 float columns of Parquet: 846,154 matches, 158 MB of CSV.
Both read the same files with the same DuckDB and 2 threads. DuckDB's time begins when it is imported already.
"""

import os
import sys
from typing import List

import duckdb
from joins import THREADS, Features, bare, service
from support import Runs, Server, show, verdict

ROUNDS = int(os.environ.get("FATE_EXT_BENCH_ROUNDS", "5"))
IDS, FEW = 1_000_000, 1_000
FEATURES = Features(10_000_000, [f"x{number}" for number in range(20)])


def main() -> None:
    results: List[Runs] = []
    with Server({"job_threads": THREADS, "views": {"bench": FEATURES.view()}}) as server:
        memory = server.memory()
        for count in (IDS, FEW):
            baseline = Runs(f"DuckDB {duckdb.__version__}, bare join to CSV, {count:,} IDs")
            ours = Runs(f"fate-ext serve, upload to last byte, {count:,} IDs")
            for _ in range(ROUNDS):
                run, expected = bare(FEATURES, count)
                baseline.runs.append(run)
                run, size = service(server, FEATURES.upload(count))
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
