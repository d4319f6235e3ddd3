"""The same request through what a site would otherwise run: Feast, and a small service with pandas.

100,000 IDs against 1,000,000 rows x 8 float columns of Parquet (FATE_EXT_BENCH_ROWS, a tenth of them asked for), from
the IDs in a CSV file to a CSV file with their features. Feast's newest version with its file (Dask) and its DuckDB
offline store, in process, without HTTP, authentication or a queue: get_historical_features, then to_csv. The pandas
service is a Flask view that reads the posted IDs, merges, and answers CSV, in two kinds: it reads the file for each
request, or holds it in memory. Ours is a whole job over HTTP: upload, held query, download.

The first run makes an environment with these packages in the data folder; it needs a package index and Python 3.10.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List

import duckdb
from joins import THREADS, Features, service
from support import FOLDER, Run, Runs, Server, made_once, show

ROUNDS = int(os.environ.get("FATE_EXT_BENCH_ROUNDS", "3"))
ROWS = int(os.environ.get("FATE_EXT_BENCH_ROWS", "1000000"))
COLUMNS = [f"x{number}" for number in range(8)]
PACKAGES = ["feast[duckdb]", "pandas", "pyarrow", "flask", "requests"]
SHOWN = ("feast", "duckdb", "dask", "pandas", "pyarrow", "flask")

# Each prints a JSON line a round: seconds, CPU seconds, MiB at the highest, lines of the answer.
MEASURED = """
import json, resource, sys, time
ids, features, columns, folder, rounds, kind = json.loads(sys.argv[1])
def report(run):
    for _ in range(rounds):
        before = resource.getrusage(resource.RUSAGE_SELF)
        started = time.perf_counter()
        lines = run()
        seconds = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_SELF)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(json.dumps([seconds, cpu, after.ru_maxrss / 1024, lines]), flush=True)
"""

FEAST = MEASURED + """
import logging, os, warnings
warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
os.environ["FEAST_USAGE"] = "False"
from datetime import datetime, timedelta, timezone
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float32
store = FeatureStore(config=RepoConfig(
    project="bench", provider="local", registry=f"{folder}/registry-{kind}.db", offline_store={"type": kind},
    online_store={"type": "sqlite", "path": f"{folder}/online-{kind}.db"}, entity_key_serialization_version=3))
entity = Entity(name="person", join_keys=["id"], value_type=ValueType.STRING)
view = FeatureView(
    name="v", entities=[entity], ttl=timedelta(days=0), online=False,
    schema=[Field(name=name, dtype=Float32) for name in columns],
    source=FileSource(path=features, timestamp_field="event_timestamp"))
store.apply([entity, view])
def run():
    wanted = pd.read_csv(ids, dtype=str)
    wanted["event_timestamp"] = datetime.now(timezone.utc)
    found = store.get_historical_features(wanted, [f"v:{name}" for name in columns]).to_df()
    found = found.dropna(subset=columns, how="all")[["id", *columns]]
    found.to_csv(f"{folder}/feast-{kind}.csv", index=False)
    return len(found)
report(run)
"""

PANDAS = MEASURED + """
import logging, threading
import flask, pandas as pd, requests
from werkzeug.serving import make_server
app = flask.Flask("bench")
held = pd.read_parquet(features, columns=["id", *columns]) if kind == "held in memory" else None
@app.post("/")
def features_of():
    wanted = pd.read_csv(flask.request.files["file"], dtype=str)
    table = pd.read_parquet(features, columns=["id", *columns]) if held is None else held
    return flask.Response(wanted.merge(table, on="id").to_csv(index=False), mimetype="text/csv")
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = make_server("127.0.0.1", 0, app, threaded=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
def run():
    with open(ids, "rb") as file:
        answer = requests.post(f"http://127.0.0.1:{server.port}/", files={"file": file})
    answer.raise_for_status()
    return answer.content.count(b"\\n") - 1
report(run)
"""


def environment() -> Path:
    """A Python with what is compared, made once."""
    def make(folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", *PACKAGES], check=True)

    # Not through a rename, which a virtual environment does not survive.
    folder = FOLDER / "alternatives"
    if not (folder / "ready").exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        print(f"making {folder} ...", flush=True)
        make(folder)
        (folder / "ready").touch()
    return folder / "bin" / "python"


def versions(python: Path) -> str:
    code = f"import importlib.metadata as m; print(', '.join(f'{{n}} {{m.version(n)}}' for n in {SHOWN!r}))"
    return subprocess.run([str(python), "-c", code], check=True, stdout=subprocess.PIPE).stdout.decode().strip()


def with_time(features: Features) -> Path:
    """The same rows with the time that Feast asks for."""
    return made_once(f"features-{features.name}-time.parquet", lambda path: duckdb.execute(
        f"COPY (SELECT *, TIMESTAMPTZ '2026-01-01 00:00:00+00' AS event_timestamp FROM '{features.path}') "
        f"TO '{path}' (FORMAT parquet)"))


def measured(python: Path, script: str, name: str, ids: Path, features: Path, kind: str) -> "tuple[Runs, int]":
    arguments = json.dumps([str(ids), str(features), COLUMNS, str(FOLDER), ROUNDS, kind])
    found = subprocess.run([str(python), "-c", script, arguments], check=True, stdout=subprocess.PIPE)
    runs = Runs(name)
    lines = 0
    for line in found.stdout.splitlines():
        seconds, cpu, peak, lines = json.loads(line)
        runs.runs.append(Run(seconds, cpu, peak))
    return runs, lines


def main() -> None:
    features, count = Features(ROWS, COLUMNS), ROWS // 10
    ids, python = features.ids(count), environment()
    alternatives = [
        (FEAST, "Feast, file store (Dask)", with_time(features), "dask"),
        (FEAST, "Feast, DuckDB store", with_time(features), "duckdb"),
        (PANDAS, "pandas service, reads the file", features.path, "reads the file"),
        (PANDAS, "pandas service, file in memory", features.path, "held in memory")]
    results: List[Runs] = []
    lines: Dict[str, int] = {}
    ours = Runs("fate-ext serve, upload to last byte")
    with Server({"job_threads": THREADS, "views": {"bench": features.view()}}) as server:
        for _ in range(ROUNDS):
            ours.runs.append(service(server, features.upload(count))[0])
            time.sleep(1)  # the next child starts while nobody waits
    for script, name, path, kind in alternatives:
        runs, lines[name] = measured(python, script, name, ids, path, kind)
        results.append(runs)
    if len(set(lines.values())) > 1:
        sys.exit(f"They do not find the same: {lines}")
    show(f"Python {sys.version.split()[0]}; {versions(python)}. {count:,} IDs of {ROWS:,} rows, medians of {ROUNDS}",
         ["", "seconds", "CPU seconds", "memory MiB", "times our seconds"],
         [[runs.name, runs.seconds, runs.cpu, runs.peak, runs.seconds / ours.seconds] for runs in [*results, ours]])


if __name__ == "__main__":
    main()
