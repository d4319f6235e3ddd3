"""Nobody who is slow holds up a stop: requests that go on are cut off after some seconds, and docker waits longer."""
import signal
import subprocess
from contextlib import closing
from functools import partial
from typing import Callable, Iterator

import pytest
import requests

from fate_ext_plugin import server
from tests.support.api_reader import ApiReader
from tests.support.builder import MakeSite
from tests.support.site import Site, wait_until
from tests.support.slow_source import slow_view
from tests.support.stranger import LONG, connect, head, is_well
from tests.support.wire import target

WIDE = [f"{number}{'x' * 200}" for number in range(10)]
HOUR = {"apps.blueprint.TIMEOUT_SECONDS": 3600, "server.TIMEOUT_SECONDS": 3600}
#: Requests are cut off at once, or not at all; the process ends at once, or only then.
SOON, NEVER = {"server.REQUESTS_SECONDS": 0.1}, {"server.REQUESTS_SECONDS": 3600}


@pytest.fixture
def make_wide(make_site: MakeSite) -> Iterator[MakeSite]:
    """Each is killed in the end: a stop may wait for an hour."""
    sites = []

    def start(**constants: float) -> Site:
        sites.append(make_site(
            views={"wide": partial(slow_view, columns=WIDE)}, min_free_bytes=0, constants={**HOUR, **constants}))
        return sites[-1]

    yield start
    for site in sites:
        if site.runs():
            site.kill()


def slow_download(site: Site) -> requests.Response:
    """Of 11 MB, of which the client reads little."""
    api_reader = ApiReader(site)
    job_id = api_reader.job([f"u{number}" for number in range(5_000)])
    assert api_reader.status(job_id)["status"] == "success"
    response = requests.post(site.url("download"), params={"requestBody": f'{{"jobId":"{job_id}"}}'}, stream=True,
                             timeout=LONG)
    assert response.status_code == 200
    return response


def process_of(site: Site) -> "subprocess.Popen[bytes]":
    assert site.process
    return site.process


def test_no_slow_download_holds_up_a_stop_and_a_part_never_looks_whole(make_wide: Callable[..., Site]) -> None:
    site = make_wide(**SOON, **{"server.END_SECONDS": 3600})
    with closing(slow_download(site)) as response:
        process_of(site).send_signal(signal.SIGTERM)
        assert process_of(site).wait(LONG) == 0
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            for _ in response.iter_content(1 << 16):
                pass


@pytest.mark.parametrize("begun", ["upload", "headers", "lingers"])
def test_no_slow_upload_holds_up_a_stop(make_wide: Callable[..., Site], begun: str) -> None:
    site = make_wide(**SOON, **{"server.END_SECONDS": 3600})
    path = f"{target(site.url('upload'))}&requestBody=%7B%7D"
    sent = {"upload": head("POST", path, "Content-Length: 9999999", "Content-Type: text/plain") + b"u1\n",
            "headers": b"POST / HTTP/1.1\r\n", "lingers": head("POST", "/v1/ext/upload", "Content-Length: 9999999")}
    with connect(site, sent[begun]):
        is_well(site)  # and so has accepted the one before
        process_of(site).send_signal(signal.SIGTERM)
        assert process_of(site).wait(LONG) == 0


def test_a_second_signal_ends_it_at_once(make_wide: Callable[..., Site]) -> None:
    site = make_wide(**NEVER, **{"server.END_SECONDS": 3600})
    with closing(slow_download(site)):
        process_of(site).send_signal(signal.SIGTERM)
        wait_until(lambda: site.log.read_text("utf-8").rstrip().endswith("stopping"), LONG)
        with pytest.raises(requests.ConnectionError):  # it takes nobody new, and waits
            wait_until(lambda: is_well(site), LONG)
        assert site.runs()
        process_of(site).send_signal(signal.SIGTERM)
        assert process_of(site).wait(LONG) == 128 + signal.SIGTERM


def test_whatever_it_waits_for_it_ends(make_wide: Callable[..., Site]) -> None:
    site = make_wide(**NEVER, **{"server.END_SECONDS": 0.5})
    with closing(slow_download(site)):
        process_of(site).send_signal(signal.SIGTERM)
        assert process_of(site).wait(LONG) == 1
    assert site.log.read_text("utf-8").rstrip().endswith("ended without waiting any longer")
    wait_until(lambda: not site.processes(), LONG, "its child processes to end")
    # Nothing of what was promised is lost.
    site.constants = {}
    assert ApiReader(site.start()).features(["u1"])[1:] == ["u1," + ",".join(f"{column}=u1" for column in WIDE)]
    site.stop()


def test_requests_that_go_on_are_finished_first(make_wide: Callable[..., Site]) -> None:
    site = make_wide(**NEVER, **{"server.END_SECONDS": 3600})
    with closing(slow_download(site)) as response:
        process_of(site).send_signal(signal.SIGTERM)
        assert len(response.content) > 10_000_000
        assert process_of(site).wait(LONG) == 0


def test_all_of_it_takes_less_than_docker_waits() -> None:
    """10 s; conf/systemd's unit waits longer."""
    assert server.REQUESTS_SECONDS < server.END_SECONDS < 10
