"""How a feature job grows: 100,000 to 100,000,000 rows and 1,000 to 10,000,000 IDs, against DuckDB's bare join to CSV.

Parquet of 8 float columns, in no order. One run of each, after one of bare DuckDB that brings the file into memory.
Memory is that of the process that joins; a job may take 4 GiB (job_memory_mb) and spills what does not fit, bare
DuckDB has the same limit. Disk is all that either writes: IDs, what is spilled, the result.
FATE_EXT_BENCH_ROWS names the table sizes, such as "100000 1000000"; 100,000,000 rows take 3.5 GB and minutes to make.
"""

import os
import sys
from typing import List

import duckdb
from joins import THREADS, Features, bare, service
from support import Run, Server, show, verdict

ROWS = [int(rows) for rows in os.environ.get("FATE_EXT_BENCH_ROWS", "100000 1000000 10000000 100000000").split()]
IDS = (1_000, 1_000_000, 10_000_000)
COLUMNS = [f"x{number}" for number in range(8)]
JOB_MIB = 4096


def main() -> None:
    cells = []
    for rows in ROWS:
        features = Features(rows, COLUMNS)
        settings = {"job_threads": THREADS, "job_memory_mb": JOB_MIB, "views": {"bench": features.view()}}
        with Server(settings) as server:
            for ids in (count for count in IDS if count <= rows):
                features.upload(ids)
                bare(features, ids, JOB_MIB)
                baseline, expected = bare(features, ids, JOB_MIB)
                ours, size = service(server, features.upload(ids))
                if size != expected:
                    sys.exit(f"The service gave {size} bytes, DuckDB {expected}.")
                cells.append((rows, ids, baseline, ours))
    show(f"Python {sys.version.split()[0]}, DuckDB {duckdb.__version__}, seconds; memory and disk in MiB",
         ["rows", "IDs", "DuckDB s", "job s", "ratio", "DuckDB memory", "job memory", "DuckDB disk", "job disk"],
         [[f"{rows:,}", f"{ids:,}", theirs.seconds, ours.seconds, ours.seconds / theirs.seconds, f"{theirs.peak:.0f}",
           f"{ours.peak:.0f}", f"{theirs.disk:.0f}", f"{ours.disk:.0f}"] for rows, ids, theirs, ours in cells])
    for many in IDS:
        _growth(many, [(rows, ours) for rows, ids, _, ours in cells if ids == many])


def _growth(ids: int, runs: "List[tuple[int, Run]]") -> None:
    """Ten times the rows must not take more than ten times the time, with a fifth for noise."""
    for (fewer, before), (more, after) in zip(runs, runs[1:]):
        verdict(f"{ids:,} IDs, {more // fewer} times the rows: times the seconds", after.seconds / before.seconds,
                1.2 * more / fewer)


if __name__ == "__main__":
    main()
