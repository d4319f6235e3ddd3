"""1, 4 and 16 feature jobs at once: how many a minute, and who waits how long.

Each asks for 100,000 IDs of 10,000,000 rows x 20 float columns (FATE_EXT_BENCH_ROWS). They are uploaded at the same
time, each held by a query of its own and downloaded at once when it is done. With concurrent_jobs 1, 2 (the default)
and 4, a job's threads being the cores divided among them; against as many bare joins by DuckDB, one after another.
"""

import os
import sys
import threading
import time
from typing import List

import duckdb
from joins import THREADS, Features, bare, service
from support import Server, show, verdict

ROWS = int(os.environ.get("FATE_EXT_BENCH_ROWS", "10000000"))
FEATURES = Features(ROWS, [f"x{number}" for number in range(20)])
IDS = 100_000
AT_ONCE = (1, 4, 16)
CONCURRENT = (1, 2, 4)


def all_at_once(server: Server, jobs: int) -> List[float]:
    """Seconds until each job's last byte is here, in the order they end."""
    body = FEATURES.upload(IDS)
    start = threading.Barrier(jobs + 1)
    ended: List[float] = []

    def job() -> None:
        start.wait()
        service(server, body)
        ended.append(time.perf_counter())

    threads = [threading.Thread(target=job) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    start.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    return [moment - began for moment in ended]


def main() -> None:
    bare(FEATURES, IDS)
    alone = min(bare(FEATURES, IDS)[0].seconds for _ in range(3))
    rows = [["DuckDB, one after another", str(jobs), alone * jobs, 60 / alone, alone, alone * jobs]
            for jobs in AT_ONCE]
    shares = {}
    for concurrent in CONCURRENT:
        settings = {"concurrent_jobs": concurrent, "job_threads": max(1, THREADS // concurrent),
                    "views": {"bench": FEATURES.view()}}
        with Server(settings) as server:
            for jobs in AT_ONCE:
                ended = all_at_once(server, jobs)
                if len(ended) < jobs:
                    sys.exit(f"{jobs - len(ended)} jobs failed")
                rows.append([f"concurrent_jobs: {concurrent}", str(jobs), ended[-1], 60 * jobs / ended[-1], ended[0],
                             ended[-1]])
                shares[concurrent, jobs] = alone * jobs / ended[-1]
    show(f"Python {sys.version.split()[0]}, DuckDB {duckdb.__version__}, {ROWS:,} rows, {IDS:,} IDs a job",
         ["", "jobs at once", "seconds for all", "jobs a minute", "the first had its own after", "the last"], rows)
    for jobs in AT_ONCE:
        verdict(f"{jobs} at once with the default: share of DuckDB's rate", shares[2, jobs], 0.6, at_least=True)


if __name__ == "__main__":
    main()
