"""FATE Flow tries a task again while the feature job of its first try still runs: two uploads for one FATE job."""
from pathlib import Path

from tests.support.api_reader import ApiReader
from tests.support.builder import MakeSite
from tests.support.slow_source import go, jobs_of, lines, slow_view, wait_started


def test_each_upload_is_a_job_of_its_own_with_its_own_answer(make_site: MakeSite, tmp_path: Path) -> None:
    site = make_site(views={"slow": slow_view}, min_free_bytes=0)
    first, again = ApiReader(site), ApiReader(site)
    assert first.fate_job_id == again.fate_job_id
    first_id = first.job(["u1", "u2"], do="wait")
    wait_started(tmp_path, "u1")
    second_id = again.job(["u2", "u3"])
    assert second_id != first_id
    assert again.status(second_id)["status"] == "success"  # it does not wait for the first one
    assert again.download(second_id).text.splitlines() == lines("u2", "u3")
    go(tmp_path)
    assert first.status(first_id)["status"] == "success"
    assert first.download(first_id).text.splitlines() == lines("u1", "u2")
    assert {job.fate_job_id for job in jobs_of(site).find()} == {first.fate_job_id}
