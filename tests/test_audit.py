"""The audit trail: every decision, one line of JSON each, in files that do not grow beyond their bound."""
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fate_ext_plugin.audit import FILES, AuditTrail, read
from tests.auth.conftest import Clock
from tests.support.site import wait_until


def test_a_decision_says_who_what_from_where_and_why(tmp_path: Path) -> None:
    trail = AuditTrail(tmp_path, Clock())
    trail.write("client", False, "app-key", "POST /v1/job/submit", "10.0.0.5", "replayed")
    trail.flush()
    assert list(read(tmp_path)) == [{
        "time": 1_800_000_000.0, "check": "client", "allowed": False, "who": "app-key", "what": "POST /v1/job/submit",
        "from": "10.0.0.5", "reason": "replayed"}]
    assert (tmp_path / "refused.jsonl").stat().st_mode & 0o777 == 0o600


def test_what_a_stranger_says_can_not_forge_a_line_or_fill_the_disk(tmp_path: Path) -> None:
    trail = AuditTrail(tmp_path)
    trail.write("client", False, 'x\n{"allowed": true}\x1b[2J', "身" * 10_000, None, "unknown app key")
    trail.flush()
    lines = (tmp_path / "refused.jsonl").read_bytes().splitlines()
    assert len(lines) == 1 and lines[0].isascii() and len(lines[0]) < 2000
    assert json.loads(lines[0])["allowed"] is False


def test_it_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    trail = AuditTrail(tmp_path, file_bytes=1000)
    for number in range(500):
        trail.write("site", True, number, None, None, "ok")
        trail.flush()
    files = sorted(path.name for path in tmp_path.iterdir())
    assert len(files) <= FILES
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < FILES * 1200
    numbers = [int(entry["who"]) for entry in read(tmp_path)]
    assert numbers == list(range(499, 499 - len(numbers), -1))
    assert len(numbers) > 20


def test_threads_do_not_mix_their_lines_and_a_restart_goes_on(tmp_path: Path) -> None:
    for _ in range(2):
        trail = AuditTrail(tmp_path)

        def write(trail: AuditTrail = trail) -> None:
            for _ in range(200):
                trail.write("site", True, "a" * 50, None, None, "ok")
        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        trail.flush()
    assert len(list(read(tmp_path))) == 1600


def test_a_half_line_of_a_killed_server_is_skipped(tmp_path: Path) -> None:
    trail = AuditTrail(tmp_path)
    trail.write("site", True, "1", None, None, "ok")
    trail.flush()
    with open(tmp_path / "allowed.jsonl", "a") as file:
        file.write('{"time": 1, "che')
    assert len(list(read(tmp_path))) == 1
    later = AuditTrail(tmp_path)
    later.write("site", True, "2", None, None, "ok")
    later.flush()
    assert [entry["who"] for entry in read(tmp_path)] == ["2", "1"]


def test_strangers_push_out_no_decision_on_a_guest(tmp_path: Path) -> None:
    trail = AuditTrail(tmp_path, file_bytes=1000)
    trail.write("site", True, "a guest", None, None, "ok")
    for number in range(500):
        trail.write("client", False, number, None, None, "not signed")
        trail.flush()
    assert [entry["who"] for entry in read(tmp_path)][-1] == "a guest"
    assert len(list(tmp_path.iterdir())) <= FILES + 1


def test_a_trail_that_can_not_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    trail = AuditTrail(tmp_path / "file")
    trail.write("site", True, "1", None, None, "ok")
    trail.flush()


def test_it_is_written_within_milliseconds_and_at_the_end_of_the_process(tmp_path: Path) -> None:
    trail = AuditTrail(tmp_path)
    trail.write("site", True, "1", None, None, "ok")
    wait_until(lambda: list(read(tmp_path)), 2, "the line")
    code = ("import sys, pathlib; from fate_ext_plugin.audit import AuditTrail; "
            "AuditTrail(pathlib.Path(sys.argv[1])).write('site', True, '2', None, None, 'ok')")
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert [entry["who"] for entry in read(tmp_path)] == ["2", "1"]


def test_a_disk_slower_than_the_requests_holds_them_up_and_not_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fate_ext_plugin.audit.MAX_WAITING", 10)
    monkeypatch.setattr("fate_ext_plugin.audit.GATHER_SECONDS", 60)
    trail = AuditTrail(tmp_path)
    for number in range(35):
        trail.write("site", True, number, None, None, "ok")
    assert len(list(read(tmp_path))) >= 22
