"""Processes of a server are killed or frozen (SIGKILL, SIGSTOP, SIGCONT), and what the callers see."""
import ctypes
import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any, List

import pytest
import requests

from fate_ext_plugin.audit.search import read
from tests.support.all_services import ALL_SERVICES, Services, ask_all, good
from tests.support.api_reader import ApiReader
from tests.support.background import Background
from tests.support.builder import MakeSite
from tests.support.dispatcher import let_it_look_around
from tests.support.programs import takes_long
from tests.support.site import PATIENCE_SECONDS, Site, wait_until
from tests.support.slow_source import go, jobs_of, lines, slow_view, wait_started

# A connection's state in /proc/net/tcp.
ESTABLISHED = "01"


@pytest.fixture(scope="module", params=["alone", pytest.param("mounted", marks=takes_long)])
def shared_site(request: pytest.FixtureRequest, make_shared_site: MakeSite) -> Site:
    return make_shared_site(request.param, **ALL_SERVICES, concurrent_jobs=1, max_waiting_jobs=10_000,
                            mounted=request.param == "mounted")


@pytest.fixture
def site(shared_site: Site, folder: Path) -> Site:
    """Nothing is left of what jobs of an earlier test noted."""
    for path in (folder / "go", folder / "started"):
        path.unlink(missing_ok=True)
    return shared_site


@pytest.fixture
def folder(shared_site: Site) -> Path:
    """Of the source ``slow``."""
    return shared_site.folder


def host_answers(site: Site) -> bool:
    """Whether the host's own endpoint answers; alone, that there is none."""
    response = requests.post(f"http://127.0.0.1:{site.port}/v1/version/get", timeout=PATIENCE_SECONDS)
    return response.status_code == (200 if site.module else 404)


def test_a_job_s_process_is_killed(site: Site, folder: Path) -> None:
    api_reader = ApiReader(site)
    job_id, other = api_reader.job(["u1"], do="wait"), api_reader.job(["u2"])
    os.kill(wait_started(folder, "u1"), signal.SIGKILL)
    data = api_reader.status(job_id)
    assert data["status"] == "failed"
    assert data["message"].startswith("The job's process was killed by SIGKILL (out of memory, most likely")
    assert api_reader.status(other)["status"] == "success"
    assert host_answers(site)
    wait_until(lambda: [name for name in site.files() if job_id in name or other in name] == [f"jobs/{other}/result.1"])


def test_a_job_s_process_is_frozen_for_a_while(site: Site, folder: Path) -> None:
    api_reader = ApiReader(site)
    job_id = api_reader.job(["u1"], do="wait")
    process = wait_started(folder, "u1")
    os.kill(process, signal.SIGSTOP)
    go(folder)
    let_it_look_around(api_reader)
    assert jobs_of(site).get(job_id).status == "running"
    assert host_answers(site)
    os.kill(process, signal.SIGCONT)
    assert api_reader.status(job_id)["status"] == "success"
    assert api_reader.download(job_id).text.splitlines() == lines("u1")


def test_a_job_s_process_stays_frozen(site: Site, folder: Path) -> None:
    """It is canceled, or fails after job_timeout_seconds; neither waits for it."""
    api_reader = ApiReader(site)
    job_id, other = api_reader.job(["u1"], do="wait"), api_reader.job(["u2"])
    process = wait_started(folder, "u1")
    os.kill(process, signal.SIGSTOP)
    site.command("jobs", "cancel", job_id)
    assert api_reader.status(job_id)["status"] == "canceled"
    assert api_reader.status(other)["status"] == "success"
    wait_until(lambda: not Path(f"/proc/{process}").exists(), what="the frozen process to end")


def test_the_server_is_frozen_for_a_while_at_each_step(site: Site, folder: Path) -> None:
    """Callers wait, and are answered then: nobody is refused who would not have been, and nothing runs twice."""
    assert site.process
    services = Services(site).prepare()
    running = services.api_reader.job(["u1"], do="wait")
    wait_started(folder, "u1")
    query = services.api_reader.held(running)
    site.process.send_signal(signal.SIGSTOP)
    go(folder)  # the job's process goes on
    asked = Background(lambda: ask_all(services))
    wait_until(lambda: asked.ended or unread_requests(site) >= len(services.calls()), what="all requests to have come")
    site.process.send_signal(signal.SIGCONT)
    assert all(good(name, answer) for name, answer in asked.result().items()), asked.result()
    assert query.result()["status"] == "success"
    assert jobs_of(site).get(running).attempt == 1


def unread_requests(site: Site) -> int:
    """Connections to it with something that it has not read, as the kernel lists them."""
    here = f":{site.port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    return len([queue for _, local, _, state, queue, *_ in rows
                if local.endswith(here) and state == ESTABLISHED and int(queue.split(":")[1], 16)])


def test_sigterm_ends_the_server_whichever_thread_it_interrupts(make_site: MakeSite) -> None:
    """The kernel hands a signal to any thread, most often to the first."""
    site = make_site(**ALL_SERVICES)
    assert site.process
    threads = sorted(int(folder.name) for folder in Path(f"/proc/{site.process.pid}/task").iterdir())
    assert len(threads) > 1
    assert ctypes.CDLL(None, use_errno=True).tgkill(site.process.pid, threads[-1], signal.SIGTERM) == 0
    assert site.process.wait(PATIENCE_SECONDS) == 0
    assert site.log.read_text("utf-8").rstrip().endswith("stopping")


def test_a_second_sigterm_ends_a_server_that_does_not_stop(make_site: MakeSite) -> None:
    site = make_site(start=False, **ALL_SERVICES)
    site.module = "tests.support.never_stops"
    process = site.start().process
    assert process
    process.send_signal(signal.SIGTERM)
    wait_until(lambda: "stopping for ever" in site.log.read_text("utf-8"), 60, "the server to stop")
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM


@pytest.mark.parametrize("url", ["mysql://u@127.0.0.1:{}/d", "postgresql://u@127.0.0.1:{}/d"])
def test_sigterm_ends_a_server_that_still_waits_for_its_database(make_site: MakeSite, url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as database:
        site = make_site(start=False, views={"slow": slow_view}, constants={"db.patience.ANSWER_SECONDS": 3600},
                         database={"url": url.format(database.getsockname()[1])})
        process = site.launch()
        database.settimeout(60)
        connection, _ = database.accept()
        with connection:  # nothing is ever said on it
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 128 + signal.SIGTERM


def test_ctrl_c_puts_back_the_jobs_that_run(make_site: MakeSite, tmp_path: Path) -> None:
    """A terminal sends it to the whole process group."""
    site = make_site(**ALL_SERVICES)
    assert site.process
    api_reader = ApiReader(site)
    job_id = api_reader.job(["u1"], do="wait")
    wait_started(tmp_path, "u1")
    os.killpg(site.process.pid, signal.SIGINT)
    assert site.process.wait(60) == 0
    job = jobs_of(site).get(job_id)
    assert (job.status, job.attempt) == ("waiting", 0)
    go(tmp_path)
    site.start()
    assert api_reader.status(job_id)["status"] == "success"
    site.stop()


def test_the_server_is_killed_while_all_services_are_asked(site: Site) -> None:
    """Whoever was answered stays answered; the others see a broken connection, never a yes."""
    services = Services(site).prepare()
    accepted: List[str] = []
    broken: List[str] = []
    enough = threading.Event()

    def ask(name: str, call: Any) -> None:
        while True:
            try:
                answer = call()
                assert good(name, answer), answer.text
            except (requests.RequestException, ValueError):  # or half an answer, which is no JSON
                broken.append(name)
                return
            if name == "upload":
                accepted.append(answer.json()["data"]["jobId"])
                if len(accepted) == 5:
                    enough.set()

    asking = [Background(lambda item=item: ask(*item)) for item in services.calls().items()]  # type: ignore[misc]
    assert enough.wait(PATIENCE_SECONDS)
    site.kill()
    for call in asking:
        call.result()
    assert set(broken) == set(services.calls())
    wait_until(lambda: not site.processes(), what="its child processes to end")
    decisions = len(list(read(site.data_dir / "audit")))
    assert decisions > 0
    site.start()
    for job_id in accepted:
        assert services.api_reader.status(job_id)["status"] == "success"
    answers = ask_all(services)
    assert all(good(name, answer) for name, answer in answers.items()), answers
    # the audit log goes on after a line that was cut off
    wait_until(lambda: len(list(read(site.data_dir / "audit"))) == decisions + 3, what="the audit log")
