"""Few IDs against a big file: what it saves to sort the file by its ID, in row groups of about 20,000 rows.

10, 100 and 1,000 IDs, spread evenly, against 100,000,000 rows x 8 float columns of Parquet (FATE_EXT_BENCH_ROWS), in
no order with DuckDB's row groups of 122,880 rows, and sorted. Bare DuckDB's join to CSV beside each.
"""

import os
import statistics
import sys
from typing import List

import duckdb
from joins import THREADS, Features, SortedFeatures, bare, service
from support import Server, show, verdict

ROUNDS = int(os.environ.get("FATE_EXT_BENCH_ROUNDS", "3"))
ROWS = int(os.environ.get("FATE_EXT_BENCH_ROWS", "100000000"))
IDS = (10, 100, 1_000)
COLUMNS = [f"x{number}" for number in range(8)]


def main() -> None:
    unsorted, by_id = Features(ROWS, COLUMNS), SortedFeatures(ROWS, COLUMNS)
    settings = {"job_threads": THREADS, "views": {"unsorted": unsorted.view(), "by_id": by_id.view()}}
    rows = []
    saved: List[float] = []
    with Server(settings) as server:
        for features in (unsorted, by_id):
            bare(features, IDS[0])  # brings the file into memory
        for count in IDS:
            seconds = []
            for view, features in (("unsorted", unsorted), ("by_id", by_id)):
                body = features.upload(count)
                runs = [(bare(features, count)[0].seconds, service(server, body, view=view)[0].seconds)
                        for _ in range(ROUNDS)]
                seconds += map(statistics.median, zip(*runs))
            rows.append([f"{count:,}", *seconds])
            saved.append(seconds[1] / seconds[3])
    show(f"Python {sys.version.split()[0]}, DuckDB {duckdb.__version__}, {ROWS:,} rows, medians of {ROUNDS}, seconds",
         ["IDs", "DuckDB, no order", "job, no order", "DuckDB, sorted", "job, sorted"], rows)
    for count, ratio in zip(IDS, saved):
        verdict(f"{count:,} IDs: a job on the file in no order takes times the seconds", ratio, 2, at_least=True)


if __name__ == "__main__":
    main()
