"""A view's file is replaced while jobs read it: no answer holds rows of two versions."""
import itertools
import os
import shutil
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, List

import duckdb
import pytest

from fate_ext_plugin.errors import SourceError
from fate_ext_plugin.feature.source import Counts, Join, Workspace
from fate_ext_plugin.feature.source.file import FileSchema, FileSource
from fate_ext_plugin.util.fields import base_dir
from tests.support.api_reader import ApiReader
from tests.support.builder import MakeSite
from tests.support.programs import takes_long

ROWS = 50_000
CHANGED = "The source's files were changed while they were read. Write a new file beside the old one and rename it, " \
          "never into it, and run the FATE job again."


def write(path: Path, version: int, kind: str = "BIGINT") -> Path:
    duckdb.execute(f"COPY (SELECT 'u' || i AS id, CAST({version} AS {kind}) AS version FROM range({ROWS}) t(i)) "
                   f"TO '{path}' (FORMAT {path.suffix[1:]})")
    return path


@pytest.fixture(params=["parquet", "csv"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write(tmp_path / f"features.{request.param}", 1)


def rename(new: Path, path: Path) -> None:
    """As it is to be done."""
    os.replace(new, path)


def overwrite(new: Path, path: Path) -> None:
    """As ``cp`` does: into the file that is there."""
    shutil.copyfile(new, path)


def join(path: Path, folder: Path, replace: Any) -> List[str]:
    """Join all IDs; ``replace`` is called each time the columns are known and the rows are about to be read."""
    folder.mkdir()
    work = Workspace(folder / "ids", folder / "result", folder / "scratch", 2**30, "id", 2, 2**28)
    work.scratch.mkdir()
    work.ids_path.write_text("".join(f"u{number}\n" for number in range(ROWS)))
    token = base_dir.set(folder)
    source = FileSource(FileSchema().load({"path": str(path)}))
    base_dir.reset(token)
    counts = source.join(Join("id", ["version"]), work, lambda share: replace() if share == 0.05 else None)
    assert counts == Counts(ROWS, ROWS)
    return sorted({line.split(",")[1] for line in work.result_path.read_text().splitlines()[1:]})


@pytest.mark.parametrize("how", [rename, overwrite])
def test_the_new_version_is_read_as_a_whole(path: Path, tmp_path: Path, how: Any) -> None:
    versions = itertools.count(2)

    def replace_once() -> None:
        if next(versions) == 2:
            # of another type, which decides how values are written and looked at
            how(write(path.with_name(f"new{path.suffix}"), 2, "VARCHAR"), path)

    assert join(path, tmp_path / "work", replace_once) == ["2"]


def test_one_that_never_rests_fails_the_job_with_what_to_do(path: Path, tmp_path: Path) -> None:
    versions = itertools.count(2)
    with pytest.raises(SourceError, match=CHANGED):
        join(path, tmp_path / "work", lambda: rename(write(path.with_name(f"new{path.suffix}"), next(versions)), path))


@takes_long
@pytest.mark.parametrize("how", [rename, overwrite])
def test_jobs_of_a_server_while_it_is_replaced_again_and_again(
    path: Path, make_site: MakeSite, tmp_path: Path, how: Any
) -> None:
    site = make_site("site", min_free_bytes=0, views={
        "it": {"source": {"type": "file", "path": str(path)}, "columns": ["version"]}})
    ready = [write(tmp_path / f"version{number}{path.suffix}", number) for number in (2, 3)]
    done = threading.Event()

    def replace() -> None:
        for version in itertools.cycle(ready):
            if done.wait(0.3):
                return
            how(shutil.copyfile(version, path.with_name("new")), path)

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        api_reader = ApiReader(site)
        ids = [f"u{number}" for number in range(ROWS)]
        job_ids = [api_reader.job(ids) for _ in range(3)]
        ends = [ended(api_reader, job_id) for job_id in job_ids]
        assert {len(end) for end in ends} == {1}, ends
        done.set()
        thread.join()
        assert ended(api_reader, api_reader.job(ids)) in (["2"], ["3"])
    finally:
        done.set()
        thread.join()
        site.stop()


def ended(api_reader: ApiReader, job_id: str) -> List[str]:
    """The versions in its answer, or why there is none."""
    data: Dict[str, Any] = api_reader.status(job_id)
    if data["status"] != "success":
        assert data["status"] == "failed"
        return [data["message"]]
    lines: Iterator[str] = iter(api_reader.download(job_id).text.splitlines()[1:])
    return sorted({line.split(",")[1] for line in lines})
