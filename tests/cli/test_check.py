"""fate-ext check: is everything usable? Each problem in plain words, all of them in one run."""
from pathlib import Path
from typing import Any, Callable, List, Tuple

import pytest

from fate_ext_plugin.cli import main
from tests.conftest import MakeSite, credit_view
from tests.support.site import Site, free_port


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site(start=False)


@pytest.fixture
def check(site: Site, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> "Check":
    """Returns the exit status and the lines."""
    monkeypatch.setattr("fate_ext_plugin.db.base.BUSY_TRIES", 2)

    def check() -> Tuple[int, List[str]]:
        with pytest.raises(SystemExit) as end:
            main(["check", "--conf", str(site.conf)])
        code: Any = end.value.code
        return code or 0, capsys.readouterr().out.splitlines()
    return check


Check = Callable[[], Tuple[int, List[str]]]


def problems(lines: List[str]) -> List[str]:
    return [line for line in lines if not line.startswith("ok ")]


def test_a_sound_site_is_ok(check: Check, site: Site) -> None:
    status, lines = check()
    assert status == 0 and problems(lines) == []
    assert lines[0] == "ok      settings: 1 view(s): credit"
    assert lines[-1] == "ok      view credit: 3 columns"


def test_nothing_is_made_by_looking(check: Check, site: Site) -> None:
    check()
    assert not site.data_dir.exists()


def test_a_running_site_is_ok(check: Check, site: Site) -> None:
    site.start()
    status, lines = check()
    assert status == 0 and problems(lines) == []
    assert "ok      database: SqliteDatabase" in lines


def test_settings_that_can_t_be_used_are_named(check: Check, site: Site, tmp_path: Path) -> None:
    site.write_settings(concurrent_jobs=0)
    with pytest.raises(SystemExit, match="^fate-ext: fate_ext_plugin.concurrent_jobs: Must be greater than or equal"):
        main(["check", "--conf", str(site.conf)])


def test_every_problem_is_told_in_one_run(check: Check, site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    view = credit_view(tmp_path)
    gone = {"type": "file", "path": str(tmp_path / "nothing" / "here" / "*.parquet")}
    site.write_settings(
        data_dir=str(tmp_path / "file" / "ext"),
        views={"credit": view, "gone": {"source": gone, "columns": ["amount"]}},
        database={"url": f"mysql://fate@127.0.0.1:{free_port()}/fate"})
    status, lines = check()
    assert status == 1
    disk, database, source = problems(lines)
    assert disk.startswith("PROBLEM disk: data_dir ") and "no folder this user may write to" in disk
    assert database == "PROBLEM database: The database does not answer; look at the server's log."
    assert source.startswith("PROBLEM view gone: ") and "nothing" in source
    assert "ok      view credit: 3 columns" in lines


def test_a_disk_with_too_little_space(check: Check, site: Site) -> None:
    site.write_settings(min_free_bytes=2**60)
    status, lines = check()
    assert status == 1
    assert "min_free_bytes" in problems(lines)[0]
