"""Decisions counted by time: bounded, and there again after a restart."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fate_ext_plugin.audit.counters import HOUR, KEPT, MINUTE, SAVE_SECONDS, DecisionCounters
from fate_ext_plugin.audit.log import AuditLog
from tests.support.clock import Clock

ALLOWED, REFUSED = ("site", True), ("client", False)
NOON = 1_800_000_000 // HOUR * HOUR


def test_each_span_has_its_counts(tmp_path: Path) -> None:
    counters = DecisionCounters(tmp_path / "counts.json")
    counters.add(NOON + 1, [ALLOWED, ALLOWED, REFUSED])
    counters.add(NOON + 59, [ALLOWED])
    counters.add(NOON + 60, [REFUSED])
    assert list(counters.since(NOON, MINUTE)) == [(NOON, {ALLOWED: 3, REFUSED: 1}), (NOON + 60, {REFUSED: 1})]
    assert list(counters.since(NOON, HOUR)) == [(NOON, {ALLOWED: 3, REFUSED: 2})]
    assert list(counters.since(NOON + 60, MINUTE)) == [(NOON + 60, {REFUSED: 1})]
    assert list(counters.since(NOON + HOUR, HOUR)) == []


def test_what_is_old_is_forgotten(tmp_path: Path) -> None:
    counters = DecisionCounters(tmp_path / "counts.json")
    for minute in range(0, 40 * 24 * 60, 7):
        counters.add(NOON + minute * 60, [ALLOWED, REFUSED])
    minutes, hours = list(counters.since(0, MINUTE)), list(counters.since(0, HOUR))
    assert len(minutes) <= KEPT[MINUTE] and len(hours) == KEPT[HOUR] > 30 * 24
    assert sum(counts[ALLOWED] for _, counts in hours) == pytest.approx(KEPT[HOUR] * 60 / 7, abs=10)
    counters.save(NOON)
    assert (tmp_path / "counts.json").stat().st_size < 100_000


def test_it_goes_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "counts.json"
    counters = DecisionCounters(path)
    counters.add(NOON, [ALLOWED, REFUSED])
    counters.save(NOON)
    assert path.stat().st_mode & 0o777 == 0o600
    again = DecisionCounters(path)
    again.add(NOON + 1, [ALLOWED])
    assert list(again.since(NOON, MINUTE)) == [(NOON, {ALLOWED: 2, REFUSED: 1})]
    assert os.listdir(tmp_path) == ["counts.json"]


@pytest.mark.parametrize("content", ["", "{", "[]", "7", '{"60": {"x": []}}', '{"60": {"1": [[1]]}, "3600": {}}', "é"])
def test_a_damaged_file_costs_the_counts_and_no_more(tmp_path: Path, content: str) -> None:
    path = tmp_path / "counts.json"
    path.write_text(content, "utf-8")
    counters = DecisionCounters(path)
    counters.add(NOON, [ALLOWED])
    assert list(counters.since(0, HOUR)) == [(NOON, {ALLOWED: 1})]


def test_it_is_saved_now_and_then_not_with_each_decision(tmp_path: Path) -> None:
    counters = DecisionCounters(tmp_path / "counts.json")
    assert not counters.due(NOON), "there is nothing to save"
    counters.add(NOON, [ALLOWED])
    assert counters.due(NOON)
    counters.save(NOON)
    counters.add(NOON, [ALLOWED])
    assert not counters.due(NOON + SAVE_SECONDS - 1)
    assert counters.due(NOON + SAVE_SECONDS)
    assert counters.due(NOON - 1000), "the clock was set back"


def test_a_disk_that_is_gone_is_told_once_it_matters(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    counters = DecisionCounters(tmp_path / "missing" / "counts.json")
    counters.add(NOON, [ALLOWED])
    counters.save(NOON)
    assert "can't be written" in caplog.text
    assert list(counters.since(0, HOUR)) == [(NOON, {ALLOWED: 1})]


def test_the_trail_counts_what_it_writes(tmp_path: Path) -> None:
    clock = Clock(NOON + 30.0)
    audit_log = AuditLog(tmp_path, clock)
    audit_log.write("site", True, "9999", None, None, "ok")
    audit_log.write("client", False, "x", None, None, "not signed")
    audit_log.flush()
    assert list(audit_log.counters.since(NOON, MINUTE)) == [(NOON, {ALLOWED: 1, REFUSED: 1})]


def test_a_server_that_ends_leaves_its_counts(tmp_path: Path) -> None:
    code = ("import sys, pathlib; from fate_ext_plugin.audit.log import AuditLog\n"
            "log = AuditLog(pathlib.Path(sys.argv[1]))\n"
            "for _ in range(50): log.write('site', True, 'x', None, None, 'ok')")
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    spans = json.loads((tmp_path / "counts.json").read_text("ascii"))[str(HOUR)]
    assert sum(count for span in spans.values() for _, _, count in span) == 50
