"""fate-ext audit: who was let in, who was refused, and why."""
import json
from typing import List

import pytest

from fate_ext_plugin.audit.log import AuditLog
from fate_ext_plugin.db.base import date_of
from tests.support.builder import MakeSite
from tests.support.clock import Clock
from tests.support.commands import ALONE, Run, fails
from tests.support.site import Site


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site(start=False, **ALONE)


@pytest.fixture
def audit_log(site: Site, clock: Clock) -> AuditLog:
    """Four decisions, a second apart, in files as small as they come."""
    audit_log = AuditLog(site.data_dir / "audit", clock, file_bytes=300)
    for decision in (
        ("client", True, "etl", "GET /v1/job/list", "10.0.0.5", "ok"),
        ("client", False, "etl", "POST /v1/job/submit", "10.0.0.5", "forbidden path"),
        ("site", True, "10000", None, None, "bare"),
        ("site", False, "8888", None, None, "unknown party"),
    ):
        audit_log.write(*decision)
        audit_log.flush()
        clock.now += 1
    return audit_log


def who(text: str) -> List[str]:
    return [f"{entry['who']} {entry['reason']}" for entry in json.loads(text)]


def test_the_newest_come_first(run: Run, audit_log: AuditLog, clock: Clock, site: Site) -> None:
    header, *lines = run("audit").splitlines()
    assert header.split() == ["time", "check", "who", "what", "from", "reason"]
    at = [date_of(int(clock.now - ago) * 1000) for ago in (1, 2, 3, 4)]
    assert [" ".join(line.split()) for line in lines] == [
        f"{at[0]} site refused 8888 unknown party",
        f"{at[1]} site ok 10000 bare",
        f"{at[2]} client refused etl POST /v1/job/submit 10.0.0.5 forbidden path",
        f"{at[3]} client ok etl GET /v1/job/list 10.0.0.5",
    ]
    assert len(list((site.data_dir / "audit").iterdir())) > 1


def test_a_command_is_noted_with_what_came_of_it(run: Run) -> None:
    run("client", "add", "etl", "--name", "ETL")
    fails(run, "client", "remove", "nobody")
    run("client", "remove", "etl")
    entries = [(entry["allowed"], entry["what"].split()[0], entry["what"].rpartition("/")[2], entry["reason"])
               for entry in json.loads(run("audit", "--json"))]
    assert entries == [(True, "DELETE", "etl", "ok"), (False, "DELETE", "nobody", "code 40404"),
                       (True, "POST", "clients", "ok")]


def test_json_is_all_that_is_known(run: Run, audit_log: AuditLog, clock: Clock) -> None:
    assert json.loads(run("audit", "--json"))[2] == {
        "time": clock.now - 3, "check": "client", "allowed": False, "who": "etl", "what": "POST /v1/job/submit",
        "from": "10.0.0.5", "reason": "forbidden path"}


@pytest.mark.parametrize("options, expected", [
    (["--refused"], ["8888 unknown party", "etl forbidden path"]),
    (["--check", "client"], ["etl forbidden path", "etl ok"]),
    (["--check", "site"], ["8888 unknown party", "10000 bare"]),
    (["--who", "etl"], ["etl forbidden path", "etl ok"]),
    (["--who", "et"], []),
    (["--limit", "1"], ["8888 unknown party"]),
    (["--check", "client", "--refused", "--who", "etl", "--limit", "1"], ["etl forbidden path"]),
])
def test_it_can_be_narrowed(run: Run, audit_log: AuditLog, options: List[str], expected: List[str]) -> None:
    assert who(run("audit", "--json", *options)) == expected


def test_a_stranger_s_text_does_not_steer_the_terminal(run: Run, audit_log: AuditLog) -> None:
    audit_log.write("client", False, "\x1b[2J\u202eevil\x9b0m", "GET /\r\nok", None, "unknown app key")
    audit_log.flush()
    for options in ([], ["--json"]):
        assert run("audit", "--limit", "1", *options).replace("\n", "").isprintable()
    assert r"\x1b[2J\u202eevil\x9b0m  GET /\r\nok" in run("audit", "--limit", "1")


def test_before_the_first_decision_there_is_none(run: Run, site: Site) -> None:
    assert run("audit").split() == ["time", "check", "who", "what", "from", "reason"]
    assert run("audit", "--json") == "[]\n"
    assert not site.data_dir.exists()


def test_a_trail_that_can_t_be_read_is_called_so(run: Run, audit_log: AuditLog, site: Site) -> None:
    (site.data_dir / "audit" / "allowed.jsonl").unlink(missing_ok=True)
    (site.data_dir / "audit" / "allowed.jsonl").mkdir()
    fails(run, "audit", says="^fate-ext: The audit log can't be read: Is a directory: ")


def test_only_its_owner_may_read_it(audit_log: AuditLog, site: Site) -> None:
    assert {path.stat().st_mode & 0o777 for path in (site.data_dir / "audit").iterdir()} == {0o600}
