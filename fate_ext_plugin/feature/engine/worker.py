"""The child process of one job: reads its task from stdin, joins, and reports on stdout in JSON lines.

It opens no database of the service's and holds no state: when it dies, one job fails. When its server dies, its
stdin ends and it ends too.
"""
import errno
import json
import os
import pickle
import resource
import struct
import sys
import threading
from dataclasses import dataclass
from typing import Any, Dict

from fate_ext_plugin.errors import DiskFull, ExtError, SourceError, WorkerError
from fate_ext_plugin.feature.source import Join, Source, Workspace
from fate_ext_plugin.util.disk import says_disk_full
from fate_ext_plugin.util.secret_file import OTHERS

LENGTH = struct.Struct(">Q")
# Address space for what is not the join's own memory: the interpreter, libraries, thread stacks.
OVERHEAD_BYTES = 1 << 30


@dataclass(frozen=True)
class Task:
    """All that a child needs to know."""

    source: Source
    join: Join
    work: Workspace

    def to_bytes(self) -> bytes:
        """With its length in front. Pickle: both ends are the same program and the pipe is private."""
        body = pickle.dumps(self)
        return LENGTH.pack(len(body)) + body


def main() -> None:
    # A library that prints must not garble the reports.
    reports = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    os.umask(OTHERS)  # for whatever writes the result
    _offer_to_oom_killer()
    from fate_ext_plugin.feature.engine import duckdb_join  # noqa: F401 - loaded while the upload still streams in

    task = _read_task()
    threading.Thread(target=_die_with_server, daemon=True).start()
    # The hard limit stays: a source that starts a program with a memory limit of its own may lift this one for it.
    resource.setrlimit(resource.RLIMIT_DATA, (
        task.work.memory_bytes + OVERHEAD_BYTES, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    report(reports, _run(task, reports))
    os._exit(0)  # nothing to clean up that the server does not, and a library's threads may not stop


def _run(task: Task, reports: Any) -> Dict[str, Any]:
    try:
        counts = task.source.join(
            task.join, task.work, lambda share: report(reports, {"progress": int(share * 100)}))
        return {"done": {"ids": counts.ids, "matched": counts.matched}}
    except BaseException as error:  # a library may even call sys.exit
        known = error if isinstance(error, ExtError) else _known(error, task)
        return {"error": {"code": known.code, "message": _encodable(known.message), "public": _encodable(known.public)}}


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _known(error: BaseException, task: Task) -> ExtError:
    """An error of our own for any other."""
    if says_disk_full(error):
        return DiskFull("The disk of data_dir became full; free space there and run the FATE job again.")
    if isinstance(error, OSError) and error.errno == errno.EROFS:  # a source is only read
        return DiskFull(f"The disk of data_dir can't be written: {error.strerror}.")
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryException":
        return WorkerError(
            f"The join needs more than job_memory_mb ({task.work.memory_bytes // 2**20}); raise it, or ask for fewer "
            "IDs or features at once.")
    try:
        text = " ".join(str(error).split())[:300]
    except Exception:  # a library's exception may not even have a text
        text = "(no text)"
    return SourceError(f"The join failed: {type(error).__name__}: {text}")


def report(reports: Any, message: Dict[str, Any]) -> None:
    reports.write(json.dumps(message) + "\n")


def _read_task() -> Task:
    head = sys.stdin.buffer.read(LENGTH.size)
    if len(head) < LENGTH.size:
        sys.exit(0)  # never given a task
    task: Task = pickle.loads(sys.stdin.buffer.read(LENGTH.unpack(head)[0]))
    return task


def _die_with_server() -> None:
    os.read(0, 1)  # not through sys.stdin: its lock would abort an interpreter that ends
    os._exit(1)


def _offer_to_oom_killer() -> None:
    """Where memory runs out, the kernel is to take this process, not FATE Flow."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")
    except OSError:
        pass  # no Linux, or not permitted: the limit on our own memory still holds


if __name__ == "__main__":
    # Pickled classes of this module are known by its name, not as __main__.
    from fate_ext_plugin.feature.engine import worker

    worker.main()
