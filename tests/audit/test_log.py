"""The audit log: every decision, one line of JSON each, in files that do not grow beyond their bound."""
import json
import os
import subprocess
import sys
import threading
from itertools import islice
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List

import pytest

import fate_ext_plugin.audit.search as audit_search
from fate_ext_plugin.audit.log import FILES, GATHER_SECONDS, AuditLog
from fate_ext_plugin.audit.search import BLOCK_BYTES, MAX_TIME_BYTES, SEARCH_SECONDS, Filter, read, search
from fate_ext_plugin.errors import InvalidRequestBody
from tests.support.clock import Clock
from tests.support.site import wait_until


def test_a_decision_says_who_what_from_where_and_why(tmp_path: Path) -> None:
    audit_log = AuditLog(tmp_path, Clock())
    audit_log.write("client", False, "app-key", "POST /v1/job/submit", "10.0.0.5", "forbidden path", known=True)
    audit_log.flush()
    assert list(read(tmp_path)) == [{
        "time": 1_800_000_000.0, "check": "client", "allowed": False, "who": "app-key", "what": "POST /v1/job/submit",
        "from": "10.0.0.5", "reason": "forbidden path"}]
    assert (tmp_path / "refused.jsonl").stat().st_mode & 0o777 == 0o600


def test_what_a_stranger_says_can_not_forge_a_line_or_fill_the_disk(tmp_path: Path) -> None:
    audit_log = AuditLog(tmp_path)
    audit_log.write("client", False, 'x\n{"allowed": true}\x1b[2J', "身" * 10_000, None, "unknown app key")
    audit_log.flush()
    lines = (tmp_path / "strangers.jsonl").read_bytes().splitlines()
    assert len(lines) == 1 and lines[0].isascii() and len(lines[0]) < 2000
    assert json.loads(lines[0])["allowed"] is False


def test_it_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    audit_log = AuditLog(tmp_path, file_bytes=1000)
    for number in range(500):
        audit_log.write("site", True, number, None, None, "ok")
        audit_log.flush()
    files = list(tmp_path.glob("*.jsonl*"))
    assert len(files) <= FILES
    assert sum(path.stat().st_size for path in files) < FILES * 1200
    numbers = [int(entry["who"]) for entry in read(tmp_path)]
    assert numbers == list(range(499, 499 - len(numbers), -1))
    assert len(numbers) > 20


def test_what_fails_once_ends_neither_the_trail_nor_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit_log = AuditLog(tmp_path)
    starts = iter([RuntimeError("can't start new thread")])
    start = threading.Thread.start

    def fail_once(thread: threading.Thread) -> None:
        for error in starts:
            raise error
        start(thread)
    monkeypatch.setattr(threading.Thread, "start", fail_once)
    with pytest.raises(RuntimeError):
        audit_log.write("site", True, "1", None, None, "ok")
    add, failed = audit_log.counters.add, threading.Event()

    def fail_first(*args: Any) -> None:
        if not failed.is_set():
            failed.set()
            raise MemoryError
        add(*args)
    monkeypatch.setattr(audit_log.counters, "add", fail_first)
    audit_log.write("site", True, "2", None, None, "ok")
    assert failed.wait(60)
    audit_log.write("site", True, "3", None, None, "ok")
    wait_until(lambda: "3" in [entry["who"] for entry in read(tmp_path)])


def test_threads_do_not_mix_their_lines_and_a_restart_goes_on(tmp_path: Path) -> None:
    for _ in range(2):
        audit_log = AuditLog(tmp_path)

        def write(audit_log: AuditLog = audit_log) -> None:
            for _ in range(200):
                audit_log.write("site", True, "a" * 50, None, None, "ok")
        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        audit_log.flush()
    assert len(list(read(tmp_path))) == 1600


def test_a_half_line_of_a_killed_server_is_skipped(tmp_path: Path) -> None:
    audit_log = AuditLog(tmp_path)
    audit_log.write("site", True, "1", None, None, "ok")
    audit_log.flush()
    with open(tmp_path / "allowed.jsonl", "a") as file:
        file.write('{"time": 1, "che')
    assert len(list(read(tmp_path))) == 1
    later = AuditLog(tmp_path)
    later.write("site", True, "2", None, None, "ok")
    later.flush()
    assert [entry["who"] for entry in read(tmp_path)] == ["2", "1"]


def test_no_number_of_strangers_pushes_out_a_decision_on_somebody_known(tmp_path: Path) -> None:
    audit_log = AuditLog(tmp_path, file_bytes=1000)
    audit_log.write("site", True, "let in", None, None, "ok")
    audit_log.write("client", False, "known and refused", None, None, "forbidden path", known=True)
    for number in range(500):
        audit_log.write("client", False, number, None, None, "not signed")
        audit_log.flush()
    assert [entry["who"] for entry in read(tmp_path)][-2:] == ["known and refused", "let in"]
    assert len(list(tmp_path.glob("*.jsonl*"))) <= FILES + 2


def test_a_trail_that_can_not_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    audit_log = AuditLog(tmp_path / "file")
    audit_log.write("site", True, "1", None, None, "ok")
    audit_log.flush()


def test_it_is_written_by_itself_and_at_the_end_of_the_process(tmp_path: Path) -> None:
    assert GATHER_SECONDS <= 0.01
    audit_log = AuditLog(tmp_path)
    audit_log.write("site", True, "1", None, None, "ok")
    wait_until(lambda: list(read(tmp_path)), what="the line")
    code = ("import sys, pathlib; from fate_ext_plugin.audit.log import AuditLog; "
            "AuditLog(pathlib.Path(sys.argv[1])).write('site', True, '2', None, None, 'ok')")
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert [entry["who"] for entry in read(tmp_path)] == ["2", "1"]


def test_a_disk_slower_than_the_requests_holds_them_up_and_not_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fate_ext_plugin.audit.log.MAX_WAITING", 10)
    monkeypatch.setattr("fate_ext_plugin.audit.log.GATHER_SECONDS", 60)
    audit_log = AuditLog(tmp_path)
    for number in range(35):
        audit_log.write("site", True, number, None, None, "ok")
    assert len(list(read(tmp_path))) >= 22


class TestSearch:
    """The newest first, page by page; what is written or rotated between two pages neither doubles nor hides any."""

    def audit_log(self, folder: Path, count: int, clock: Clock, file_bytes: int = 20_000) -> AuditLog:
        """Decisions 0, 1, ... of which five at a time are of the same moment. Each third is refused: to a stranger, or,
        if it is a site's, to somebody known."""
        audit_log = AuditLog(folder, clock, file_bytes=file_bytes)
        self.write(audit_log, clock, range(count))
        return audit_log

    @staticmethod
    def write(audit_log: AuditLog, clock: Clock, numbers: Iterable[int]) -> None:
        for number in numbers:
            check = ("client", "site")[number % 2]
            audit_log.write(
                check, number % 3 > 0, f"w{number % 7}", f"GET /{number}", None, "ok", known=check == "site")
            clock.now = round(clock.now + 0.001 * (number % 5 == 0), 3)
        audit_log.flush()

    @staticmethod
    def pages(
        folders: List[Path], size: int, between: Callable[[], None] = lambda: None, seconds: float = float("inf"),
        **terms: Any,
    ) -> List[int]:
        """The numbers of all decisions that fit, as pages show them."""
        found: List[int] = []
        cursor = None
        while True:
            page = search(folders, Filter(**terms), size, cursor, seconds)
            assert len(page.decisions) <= size
            found += [int(entry["what"][5:]) for entry in page.decisions]
            cursor = page.cursor
            if cursor is None:
                return found
            between()

    @pytest.mark.parametrize("size", [1, 7, 50, 1000])
    def test_pages_hold_each_once_also_where_many_are_of_one_moment(self, tmp_path: Path, size: int) -> None:
        self.audit_log(tmp_path, 300, Clock())
        found = self.pages([tmp_path], size)
        assert sorted(found) == list(range(300))
        assert found == [int(entry["what"][5:]) for entry in read(tmp_path)]
        moments = [-(-number // 5) for number in found]
        assert moments == sorted(moments, reverse=True)

    @pytest.mark.parametrize(("terms", "fits"), [
        ({"check": "site"}, lambda n: n % 2 == 1), ({"who": "w3"}, lambda n: n % 7 == 3),
        ({"allowed": False}, lambda n: n % 3 == 0), ({"who": "w"}, lambda n: False),
        ({"check": "client", "who": "w0", "allowed": True}, lambda n: n % 2 == 0 and n % 7 == 0 and n % 3 > 0),
        ({"since": 1_800_000_000_000 + 20}, lambda n: n > 95), ({"until": 1_800_000_000_000 + 20}, lambda n: n <= 95),
    ])
    def test_each_filter(self, tmp_path: Path, terms: Dict[str, Any], fits: Callable[[int], bool]) -> None:
        self.audit_log(tmp_path, 300, Clock())
        assert sorted(self.pages([tmp_path], 10, **terms)) == [number for number in range(300) if fits(number)]

    def test_what_is_written_and_rotated_between_two_pages_changes_none(self, tmp_path: Path) -> None:
        clock = Clock()
        audit_log = self.audit_log(tmp_path, 300, clock)
        more = iter(range(1000, 10_000))
        found = self.pages([tmp_path], 30, lambda: self.write(audit_log, clock, islice(more, 20)))
        assert sorted(found) == list(range(300))
        assert (tmp_path / "allowed.jsonl.1").exists()

    def test_what_was_pushed_out_between_two_pages_is_gone(self, tmp_path: Path) -> None:
        clock = Clock()
        audit_log = self.audit_log(tmp_path, 300, clock, file_bytes=2_000)
        more = iter(range(1000, 10_000))
        found = self.pages([tmp_path], 5, lambda: self.write(audit_log, clock, islice(more, 200)))
        assert 5 <= len(found) < 100 and max(found) == 299

    def test_trails_in_several_folders_are_one(self, tmp_path: Path) -> None:
        clock = Clock()
        one, other = AuditLog(tmp_path / "one", clock), AuditLog(tmp_path / "other", clock)
        for number in range(100):
            self.write((one, other)[number % 2], clock, [number])
            clock.now += 1
        assert self.pages([tmp_path / "one", tmp_path / "other", tmp_path / "none"], 7) == list(range(99, -1, -1))

    def test_a_line_longer_than_a_block_and_one_that_is_not_finished(self, tmp_path: Path) -> None:
        (tmp_path / "allowed.jsonl").write_text("".join(
            json.dumps({"time": float(number), "check": "admin", "allowed": True, "who": "a", "what": f"GET /{number}",
                        "request": {"x": "y" * (1 << number)}}) + "\n" for number in range(21)) + '{"time": 99.0, ')
        assert self.pages([tmp_path], 4) == list(range(20, -1, -1))

    @pytest.mark.parametrize("cursor", [
        "", "x", "1-2", "1-2.over", "1-2.over.over.over", "-1-2.over.over", "1-.over.over", "1-2.٣-4.over", "1-2...",
        f"{'9' * 30}-1.over.over"])
    def test_what_is_no_cursor_is_refused(self, tmp_path: Path, cursor: str) -> None:
        with pytest.raises(InvalidRequestBody, match="cursor"):
            search([tmp_path], Filter(), 5, cursor)

    def test_a_search_that_has_no_time_left_says_where_to_go_on(self, tmp_path: Path) -> None:
        assert SEARCH_SECONDS <= 0.1, "nobody waits longer"
        self.audit_log(tmp_path, 300, Clock())
        assert sorted(self.pages([tmp_path], 1000, seconds=0)) == list(range(300))
        assert search([tmp_path], Filter(), 1000, seconds=0).cursor


COUNT, BLOCKS = 100_000, 60
END = 1_800_000_000_000 + 10 * COUNT


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An audit log in files of :data:`BLOCKS` blocks: one decision each 10 ms, by one of 5,000 in turn."""
    folder = tmp_path_factory.mktemp("many")
    lines = [f'{{"time": {1_800_000_000 + number / 100}, "check": "{("client", "site")[number % 2]}", '
             f'"allowed": true, "who": "w{number % 5000}", "what": "GET /v1/job/list/of/everything", '
             '"from": "10.0.0.5", "reason": "ok"}\n' for number in range(COUNT)]
    part = COUNT // FILES
    for number in range(FILES):
        (folder / f"allowed.jsonl{f'.{number}' if number else ''}").write_text(
            "".join(lines[(FILES - 1 - number) * part:(FILES - number) * part]))
    return folder


class TestSearchOfManyDecisions:
    """What a search costs is what it reads and what it parses: not the time, which is the machine's, too."""

    @pytest.fixture
    def read(self, monkeypatch: pytest.MonkeyPatch) -> List[int]:
        """Bytes of each block that is read."""
        sizes: List[int] = []
        pread = os.pread

        def noted(descriptor: int, size: int, offset: int) -> bytes:
            sizes.append(size)
            return pread(descriptor, size, offset)
        monkeypatch.setattr("fate_ext_plugin.audit.search.os.pread", noted)
        return sizes

    @pytest.fixture
    def parsed(self, monkeypatch: pytest.MonkeyPatch) -> List[bytes]:
        lines: List[bytes] = []
        parse = audit_search._parsed
        monkeypatch.setattr(audit_search, "_parsed", lambda line: lines.append(line) or parse(line))
        return lines

    @pytest.mark.parametrize(("terms", "found", "lines", "blocks"), [
        ({}, 50, 51, 1), ({"allowed": False}, 0, 0, 0), ({"since": END + 60_000}, 0, 0, 1),
        ({"until": END - 900_000}, 50, 51, BLOCKS / FILES), ({"who": "w77"}, 20, 20, BLOCKS),
        ({"who": "nobody"}, 0, 0, BLOCKS), ({"check": "admin"}, 0, 0, BLOCKS),
        ({"who": "w77", "check": "client"}, 0, 20, BLOCKS),
        ({"who": "w78", "until": END - 500_000}, 10, 10, BLOCKS * 2 / 3),
    ])
    def test_it_parses_what_fits_and_reads_no_block_twice(
        self, many: Path, read: List[int], parsed: List[bytes], terms: Dict[str, Any], found: int, lines: int,
        blocks: float,
    ) -> None:
        page = search([many], Filter(**terms), 50, seconds=float("inf"))
        assert len(page.decisions) == found
        assert len(parsed) <= lines and sum(read) <= blocks * BLOCK_BYTES + FILES * MAX_TIME_BYTES

    def test_one_that_has_no_time_left_reads_one_block_more(self, many: Path, read: List[int]) -> None:
        cursor, answers = None, 0
        while cursor or not answers:
            read.clear()
            cursor, answers = search([many], Filter(who="nobody"), 50, cursor, seconds=0).cursor, answers + 1
            assert sum(read) <= BLOCK_BYTES + FILES * MAX_TIME_BYTES
        assert answers > FILES
