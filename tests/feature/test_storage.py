"""The folder data_dir: who may read it, who owns it, and what is left in it."""
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Set

import pytest

from fate_ext_plugin.errors import DiskFull, InvalidSettings
from fate_ext_plugin.feature import storage as module
from fate_ext_plugin.feature.storage import Storage
from tests.support.site import PATIENCE_SECONDS


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    storage = Storage(tmp_path / "ext", 0)
    storage.open()
    return storage


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def receive(storage: Storage, job_id: str, content: bytes = b"u1\n") -> None:
    """As an upload that is accepted."""
    with storage.receive(job_id) as target:
        target.write(content)
    storage.place(job_id, storage.instance_id())


def files(storage: Storage, tmp_path: Path) -> Set[str]:
    root = tmp_path / "ext"
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


# -- who may read it ---------------------------------------------------------------------------------------------------


def test_everything_is_for_the_server_s_user_alone(storage: Storage, tmp_path: Path) -> None:
    storage.secret()
    receive(storage, "a")
    for folder in ("ext", "ext/incoming", "ext/jobs", "ext/jobs/a"):
        assert mode(tmp_path / folder) == 0o700, folder
    assert mode(tmp_path / "ext/secret") == 0o600


def test_no_folder_that_was_open_to_others_stays_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "ext"
    root.mkdir()
    root.chmod(0o755)
    Storage(root, 0).open()
    assert mode(root) == 0o700
    assert "was open to other users of this machine" in caplog.text and "fate-ext replace-tokens" in caplog.text
    caplog.clear()
    Storage(root, 0).open()
    assert caplog.text == ""


def test_no_file_of_ours_that_was_open_to_others_stays_so(
    storage: Storage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "ext"
    receive(storage, "a")
    names = ["fate_ext.db", "fate_ext.db-wal", "fate_ext.db-shm", "master_key", "secret", "lock", "database",
             "jobs/a/result.1", "audit/decisions.jsonl", "audit/permission/decisions.jsonl", "incoming/child-1.log"]
    for name in names:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    for path in root.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    caplog.set_level("INFO")
    storage.close_to_others()
    assert {mode(path) for path in root.rglob("*") if path.is_dir()} == {0o700}
    assert {mode(path) for path in root.rglob("*") if path.is_file()} == {0o600}
    assert "files or folders are their owner's alone now: audit, " in caplog.text


def test_what_is_not_ours_in_data_dir_keeps_its_mode(storage: Storage, tmp_path: Path) -> None:
    theirs, behind_a_link, in_a_linked_folder = (
        tmp_path / "ext" / "features.parquet", tmp_path / "key", tmp_path / "log" / "allowed.jsonl")
    for path in (theirs, behind_a_link, in_a_linked_folder):
        path.parent.mkdir(exist_ok=True)
        path.touch()
        path.chmod(0o644)
    (tmp_path / "ext" / "master_key").symlink_to(behind_a_link)
    (tmp_path / "ext" / "audit").symlink_to(in_a_linked_folder.parent)
    storage.close_to_others()
    assert mode(theirs) == mode(behind_a_link) == mode(in_a_linked_folder) == 0o644


def test_nothing_is_served_from_a_folder_that_can_t_be_taken_from_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another user; root, who runs these tests, may change the mode of all files but those on some file systems."""
    root = tmp_path / "ext"
    root.mkdir()
    root.chmod(0o770)
    monkeypatch.setattr(Path, "chmod", lambda path, mode: None)
    with pytest.raises(InvalidSettings, match=r"ext is open to others than its owner \(mode 0770\), and that can't be"):
        Storage(root, 0).open()


def test_a_job_s_files_are_made_for_the_server_s_user_alone(storage: Storage, tmp_path: Path) -> None:
    receive(storage, "a")
    assert mode(storage.ids("a")) == 0o600
    with storage.lock():
        assert mode(tmp_path / "ext" / "lock") == 0o600


def test_a_folder_that_exists_is_used(storage: Storage, tmp_path: Path) -> None:
    receive(storage, "a")
    again = Storage(tmp_path / "ext", 0)
    again.open()
    assert again.ids("a").read_bytes() == b"u1\n"


@pytest.mark.parametrize("blocked", ["ext", "ext/jobs"])
def test_a_folder_that_can_t_be_used_is_named(tmp_path: Path, blocked: str) -> None:
    path = tmp_path / blocked
    path.parent.mkdir(exist_ok=True)
    path.write_text("a file")
    with pytest.raises(InvalidSettings, match=r"data_dir .*/ext can't be written: (File exists|Not a directory)\."):
        Storage(tmp_path / "ext", 0).open()


# -- the secret --------------------------------------------------------------------------------------------------------


def test_the_secret_is_made_once(storage: Storage, tmp_path: Path) -> None:
    secret = storage.secret()
    assert len(secret) == 32
    assert storage.secret() == secret == Storage(tmp_path / "ext", 0).secret()


@pytest.mark.parametrize("permissions", [0o640, 0o604, 0o620])
def test_a_secret_that_others_may_read_is_refused(storage: Storage, tmp_path: Path, permissions: int) -> None:
    storage.secret()
    (tmp_path / "ext/secret").chmod(permissions)
    with pytest.raises(InvalidSettings, match=r"/ext/secret is readable by others than its owner; chmod 600 it\."):
        storage.secret()


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_damaged_secret_is_refused(storage: Storage, tmp_path: Path, content: bytes) -> None:
    storage.secret()
    (tmp_path / "ext/secret").write_bytes(content)
    with pytest.raises(InvalidSettings, match="is damaged; delete it and restart, then register again"):
        storage.secret()


# -- who owns it -------------------------------------------------------------------------------------------------------

OTHER_SERVER = """
import sys
from pathlib import Path
from fate_ext_plugin.feature.storage import Storage
held = Storage(Path(sys.argv[1]), 0).lock()
print("locked", flush=True)
sys.stdin.readline()
"""


def other_server(tmp_path: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", OTHER_SERVER, str(tmp_path / "ext")], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, universal_newlines=True)
    assert process.stdout and process.stdout.readline() == "locked\n"
    return process


def test_a_second_server_is_refused_and_told_which_one_is_the_first(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_WAIT_SECONDS", 0.2)
    first = other_server(tmp_path)
    with pytest.raises(InvalidSettings, match=rf"is in use by process {first.pid}; give each server its own\."):
        storage.lock()
    first.kill()
    first.wait()
    with storage.lock():
        assert (tmp_path / "ext/lock").read_text() == f"{os.getpid()}\n"


def test_a_server_waits_for_its_predecessor_to_end(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The predecessor ends as soon as this one pauses before it looks again."""
    first = other_server(tmp_path)

    def pause(seconds: float) -> None:
        first.kill()
        first.wait()

    monkeypatch.setattr(module, "LOCK_WAIT_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(module.time, "sleep", pause)
    storage.lock().close()
    assert first.returncode == -signal.SIGKILL


def test_its_name_in_the_database_stays(storage: Storage, tmp_path: Path) -> None:
    name = storage.instance_id()
    assert len(name) == 16
    assert Storage(tmp_path / "ext", 0).instance_id() == name
    other = Storage(tmp_path / "other", 0)
    other.open()
    assert other.instance_id() != name


# -- an upload ---------------------------------------------------------------------------------------------------------


def test_an_upload_is_no_job_s_before_it_is_accepted(storage: Storage, tmp_path: Path) -> None:
    before = files(storage, tmp_path)
    with storage.receive("a") as target:
        target.write(b"u1\n")
    assert files(storage, tmp_path) - before == {"incoming/a/ids"} and storage.stored_jobs() == []
    for _ in range(2):  # the upload and the job's run may both do it
        storage.place("a", storage.instance_id())
        assert storage.stored_jobs() == ["a"] and storage.ids("a").read_bytes() == b"u1\n"
    assert list((tmp_path / "ext/incoming").iterdir()) == []


def test_servers_that_share_a_folder_place_each_other_s_uploads(tmp_path: Path) -> None:
    one, two = (Storage(tmp_path / name, 0, tmp_path / "shared") for name in ("one", "two"))
    for storage in (one, two):
        storage.open()
    with one.receive("a") as target:
        target.write(b"u1\n")
    two.place("a", two.instance_id())
    assert not two.ids("a").exists()
    two.place("a", one.instance_id())
    assert one.ids("a").read_bytes() == b"u1\n"


@pytest.mark.parametrize("error", [ValueError("a bad line"), KeyboardInterrupt()])
def test_an_upload_that_fails_leaves_nothing(storage: Storage, tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), storage.receive("a") as target:
        target.write(b"u1\n" * 1_000_000)
        raise error
    assert files(storage, tmp_path) == set() and storage.stored_jobs() == []


def test_a_disk_with_too_little_space_takes_no_upload(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "ext", 2**60)
    storage.open()
    with pytest.raises(DiskFull, match=r"has \d+ MiB free, which is too little.* or lower min_free_bytes"):
        receive(storage, "a")
    assert files(storage, tmp_path) == set()


def test_a_disk_that_runs_full_is_called_so(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match="The disk of data_dir is full; free space there and run the FATE job again"), \
            storage.receive("a") as target:
        with open("/dev/full", "wb", buffering=0) as full:
            full.write(b"u1\n")
        target.write(b"never")
    assert files(storage, tmp_path) == set()


# -- what is left ------------------------------------------------------------------------------------------------------


def test_an_ended_job_keeps_its_result_alone(storage: Storage, tmp_path: Path) -> None:
    receive(storage, "a")
    for attempt in (1, 2):
        scratch = storage.new_scratch("a", attempt)
        assert not storage.result("a", 1).exists()  # of the attempt before nothing is left
        (scratch / "spilled").touch()
        storage.result("a", attempt).write_bytes(b"id,x\n")
    assert storage.has_work("a")
    storage.clear_work("a", 2)
    assert files(storage, tmp_path) == {"instance", "jobs/a/result.2"} and not storage.has_work("a")
    storage.clear_work("a", 2)
    storage.forget("a")
    storage.forget("a")
    assert storage.stored_jobs() == []


def test_what_a_killed_server_was_receiving_is_found(storage: Storage, tmp_path: Path) -> None:
    """The caller knows which of it was accepted; logs of child processes go."""
    with storage.receive("a") as target:
        target.write(b"u1\n")
    storage.child_log().touch()
    before = files(storage, tmp_path)
    assert storage.left_incoming() == ["a"]
    assert files(storage, tmp_path) == {name for name in before if not name.startswith("incoming/child-")}
    storage.forget("a")
    assert storage.left_incoming() == []
