"""The same join done twice: by bare DuckDB, and by a feature job, from the first byte up to the last byte down."""

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Sequence

import duckdb
from support import FOLDER, MIB, Run, Server, download, made_once, multipart, watching_children

from fate_ext_plugin.util.periodic import run_periodically

THREADS = 2

BARE = """
import json, os, resource, sys, time
import duckdb
ids, features, columns, target, threads, scratch, memory = json.loads(sys.argv[1])
started = time.perf_counter()
connection = duckdb.connect(config={"threads": threads, "preserve_insertion_order": False, "temp_directory": scratch})
connection.execute("SET enable_progress_bar = false")
if memory:
    connection.execute(f"SET memory_limit = '{memory}MiB'")
connection.execute(
    f"COPY (SELECT i.id, {', '.join('s.' + name for name in columns)} "
    f"FROM read_csv('{ids}', header = true, columns = {{'id': 'VARCHAR'}}) i "
    f"JOIN read_parquet('{features}') s ON s.id = i.id) TO '{target}' (HEADER)")
seconds = time.perf_counter() - started
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, os.path.getsize(target)]))
"""


@dataclass(frozen=True)
class Features:
    """A Parquet file of ``rows`` rows with IDs and float columns of 6 decimals."""

    rows: int
    columns: Sequence[str]

    @property
    def name(self) -> str:
        return f"{self.rows}x{len(self.columns)}"

    @property
    def path(self) -> Path:
        return made_once(f"features-{self.name}.parquet", self._make)

    def id_of(self, number: str) -> str:
        """SQL for the ID of a row with this number."""
        return f"'u' || {number}"

    def _make(self, path: Path) -> None:
        """In no order."""
        self._write(path, f"(i * 7919 % {self.rows}) * 13")

    def _write(self, path: Path, number: str, options: str = "") -> None:
        columns = ", ".join(f"CAST(round(random(), 6) AS FLOAT) AS {name}" for name in self.columns)
        duckdb.execute(f"COPY (SELECT {self.id_of(number)} AS id, {columns} FROM range({self.rows}) t(i)) "
                       f"TO '{path}' (FORMAT parquet{options})")

    def view(self) -> Dict[str, object]:
        """A feature view's settings."""
        return {"source": {"type": "file", "path": str(self.path)}, "columns": list(self.columns)}

    def ids(self, count: int) -> Path:
        """An upload's file of ``count`` IDs in no order; 11 of 13 have features."""
        def make(path: Path) -> None:
            number = f"(i * {self.rows / count * 13 / 11})::BIGINT * 13"
            duckdb.execute(f"COPY (SELECT {self.id_of(number)} AS id FROM range({count}) t(i) ORDER BY hash(i)) "
                           f"TO '{path}' (HEADER)")
        return made_once(f"ids-{count}-of-{self.name}.csv", make)

    def upload(self, count: int) -> Path:
        """A multipart document of :meth:`ids`."""
        return made_once(f"ids-{count}-of-{self.name}.multipart", lambda path: multipart(self.ids(count), path))


class SortedFeatures(Features):
    """The same, sorted by ID, in row groups of 20,480 rows."""

    @property
    def name(self) -> str:
        return f"{super().name}-sorted"

    def id_of(self, number: str) -> str:
        return f"'u' || lpad(({number})::VARCHAR, 12, '0')"

    def _make(self, path: Path) -> None:
        self._write(path, "i * 13", ", ROW_GROUP_SIZE 20480")


def bare(features: Features, count: int, memory: int = 0) -> "tuple[Run, int]":
    """By DuckDB alone; also returns the bytes of the CSV. The time begins when it is imported already.

    :param memory: MiB that it may take; 0: its own default.
    """
    target, scratch = FOLDER / f"bare-{os.getpid()}.csv", FOLDER / f"bare-{os.getpid()}"
    arguments = json.dumps([str(features.ids(count)), str(features.path), list(features.columns), str(target), THREADS,
                            str(scratch), memory])
    with watching_disk(target, scratch) as disk:
        output = subprocess.run([sys.executable, "-c", BARE, arguments], check=True, stdout=subprocess.PIPE).stdout
    target.unlink()
    shutil.rmtree(scratch, ignore_errors=True)
    seconds, cpu, peak, size = json.loads(output)
    return Run(seconds, cpu, peak, disk[0]), size


def service(server: Server, body: Path, **parameters: str) -> "tuple[Run, int]":
    """By an upload, a held query and a download; also returns the bytes that came down."""
    before = server.cpu()
    jobs = server.folder / "data"
    with watching_children(server.process.pid) as run, watching_disk(jobs) as disk:
        started = time.perf_counter()
        job_id = server.upload(body, **parameters)
        state = server.query(job_id)
        if state["status"] != "success":
            sys.exit(state["message"])
        size = download(server.url("download", {"jobId": job_id}))
        run.seconds = time.perf_counter() - started
    run.cpu, run.disk = server.cpu() - before, disk[0]
    # As DuckDB's is above: a disk cache that grows from run to run costs both, but not evenly.
    shutil.rmtree(jobs / "jobs" / job_id)
    return run, size


@contextmanager
def watching_disk(*places: Path) -> Iterator[List[float]]:
    """Notes how much the files at ``places`` take at their most, in MiB."""
    most = [0.0]

    def look() -> None:
        most[0] = max(most[0], sum(map(_used, places)))

    try:
        with run_periodically(look, 0.2):
            yield most
    finally:
        look()


def _used(place: Path) -> float:
    files = [place] if place.is_file() else place.rglob("*")
    used = 0
    for file in files:
        try:
            used += file.stat().st_blocks * 512
        except FileNotFoundError:
            continue  # deleted meanwhile
    return used / MIB
