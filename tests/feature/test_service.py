"""The feature service without HTTP."""
import re
import threading
import time
from typing import Any, Iterator

import pytest

from fate_ext_plugin.host.standalone import Standalone
from fate_ext_plugin.plugin import Plugin
from tests.support.builder import MakeSite
from tests.support.site import PATIENCE_SECONDS, wait_until


def test_a_result_that_was_promised_stays_whatever_fails_after_it(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row says success before the IDs are deleted; a disk that fails then must not take the result with it."""
    site = make_site(start=False, concurrent_jobs=1)
    plugin = Plugin(site.settings, Standalone(site.settings))

    def broken(job_id: str, attempt: int) -> None:
        raise OSError("the disk is read-only")

    monkeypatch.setattr(plugin.storage, "clear_work", broken)
    plugin.start()
    try:
        job_id, other = (plugin.service.upload({}, None, iter([b"u1\n"])) for _ in range(2))
        for _ in plugin.service.hold(other, PATIENCE_SECONDS, PATIENCE_SECONDS):
            pass  # it begins when all is over with the first
        assert plugin.service.query(job_id).status == plugin.service.query(other).status == "success"
        result = plugin.service.result(job_id, None)
        with result.file:
            assert result.file.read() == b"id,amount,age,vip\nu1,0.125,1,0\n"
    finally:
        plugin.stop()


@pytest.fixture
def plugin(make_site: MakeSite) -> Iterator[Plugin]:
    """Not started: nothing happens but what a test does."""
    site = make_site(start=False)
    plugin = Plugin(site.settings, Standalone(site.settings))
    yield plugin
    plugin.stop()


def finish(plugin: Plugin, job_id: str) -> bytes:
    """The job's result, once it has ended."""
    wait_until(lambda: not plugin.service.query(job_id).active, 60, "the job's end")
    result = plugin.service.result(job_id, None)
    with result.file:
        return result.file.read()


@pytest.mark.parametrize("jump", [-2 * 86400, 0, 2 * 86400])
def test_the_janitor_takes_nothing_of_an_upload_whatever_the_clock_says(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    """It comes before and after each step."""
    true, steps = time.time, []

    def janitor(step: str) -> None:
        steps.append(step)
        monkeypatch.setattr(time, "time", lambda: true() + jump)
        plugin.runner.clean()
        monkeypatch.setattr(time, "time", true)

    def visited(owner: Any, name: str) -> None:
        step = getattr(owner, name)

        def action(*arguments: Any) -> None:
            janitor(f"before {name}")
            step(*arguments)
            janitor(f"after {name}")
        monkeypatch.setattr(owner, name, action)

    def chunks() -> Iterator[bytes]:
        yield b"u1\n"
        janitor("it streams in")

    visited(plugin.jobs, "add")
    visited(plugin.storage, "place")
    job_id = plugin.service.upload({}, None, chunks())
    assert steps == ["it streams in", "before add", "after add", "before place", "after place"]
    plugin.start()
    assert finish(plugin, job_id) == b"id,amount,age,vip\nu1,0.125,1,0\n"


def test_a_job_may_run_before_its_upload_has_moved_its_file(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row is there by then. Whoever needs the file first moves it."""
    place, upload = plugin.storage.place, threading.current_thread()

    def late(job_id: str, owner: str) -> None:
        if threading.current_thread() is upload:
            assert finish(plugin, job_id)
        place(job_id, owner)

    plugin.start()
    monkeypatch.setattr(plugin.storage, "place", late)
    job_id = plugin.service.upload({}, None, iter([b"u1\n"]))
    assert finish(plugin, job_id) == b"id,amount,age,vip\nu1,0.125,1,0\n"


def test_files_of_a_job_whose_row_was_deleted_go_with_the_next_look(plugin: Plugin) -> None:
    """Another server, or a command on another machine, can delete the row only."""
    job_id = plugin.service.upload({}, None, iter([b"u1\n"]))
    plugin.jobs.cancel(job_id)
    assert plugin.jobs.remove(job_id) and plugin.storage.stored_jobs() == [job_id]
    plugin.runner.clean()
    assert plugin.storage.stored_jobs() == []


def test_another_database_deletes_no_files_of_the_first_one_s_jobs(
    make_site: MakeSite, caplog: pytest.LogCaptureFixture
) -> None:
    """As where an operator starts over with an empty one in the same data_dir, and goes back."""
    site = make_site(start=False)
    job_ids = []
    for database in ("first", "second", "first"):
        site.write_settings(database={"url": f"sqlite:///{site.folder / database}.db"})
        plugin = Plugin(site.settings, Standalone(site.settings))
        try:
            plugin.start()
            job_ids.append(plugin.service.upload({}, None, iter([b"u1\n"])))
            assert finish(plugin, job_ids[-1])
            plugin.runner.clean()
            assert sorted(plugin.storage.stored_jobs()) == sorted(job_ids)
        finally:
            plugin.stop()
    assert finish(plugin, job_ids[0])
    assert re.findall(r"has files of (\d) jobs of another database", caplog.text) == ["1", "1"]
