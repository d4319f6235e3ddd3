"""A third party's source that does what a test tells it: waits, crashes, allocates, raises.

It is installed as any third party's would be: a distribution with an entry point, on the server's PYTHONPATH.
A view of it has the parameter ``do``, so each upload says how its own job goes::

    site = make_site(views={"slow": slow_view})
    job_id = ApiReader(site).job(["u1"], do="wait")
    wait_started(tmp_path, "u1")
    go(tmp_path)
"""
import ctypes
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, Sequence

from marshmallow import Schema, fields
from peewee import SqliteDatabase

from fate_ext_plugin.db.base import Store
from fate_ext_plugin.db.migration import MODELS
from fate_ext_plugin.errors import NoData, SourceError
from fate_ext_plugin.feature.job import Jobs
from fate_ext_plugin.feature.source import ENTRY_POINT_GROUP, Counts, Join, Progress, Source, Workspace
from tests.support.site import Site, wait_until

NAME = "slow"
REPOSITORY = Path(__file__).resolve().parents[2]


class SlowSourceSchema(Schema):
    folder = fields.String(required=True, metadata={"help": "where it notes that it started, and looks for `go`"})
    do = fields.String(load_default="answer", metadata={"help": "what to do where the upload does not say"})
    unpicklable = fields.Boolean(load_default=False)
    broken = fields.String(load_default=None, allow_none=True, metadata={"help": "what inspect() complains of"})


class SlowSource(Source):
    """Gives every ID the features ``column=<ID>``, after it did what ``do`` says:

    ``answer`` nothing; ``sleep:S``; ``wait`` for :func:`go`; ``progress:P`` report P percent, then wait;
    ``segfault``; ``killed`` by SIGKILL, as the kernel does when memory runs out; ``exit:N``; ``allocate`` memory
    without end; ``print`` to stdout; ``raise:NAME`` one of :data:`ODD`.
    """

    settings_schema = SlowSourceSchema

    def __init__(self, options: Dict[str, Any]) -> None:
        super().__init__(options)
        self.lock = threading.Lock() if options["unpicklable"] else None

    def check(self, join: Join) -> None:
        pass

    def inspect(self, columns: Sequence[str]) -> None:
        if self.options["broken"]:
            raise SourceError(self.options["broken"])

    def join(self, join: Join, work: Workspace, progress: Progress) -> Counts:
        ids = list(dict.fromkeys(work.ids_path.read_text("utf-8").split()))
        with open(Path(self.options["folder"]) / "started", "a", encoding="utf-8") as started:
            started.write(f"{ids[0]} {os.getpid()}\n")
        act, _, argument = join.filters.get("do", self.options["do"]).partition(":")
        getattr(self, f"_{act}")(argument, progress)
        with open(work.result_path, "w", encoding="utf-8") as result:
            print(work.id_name, *join.columns, sep=",", file=result)
            for id in ids:
                print(id, *(f"{column}={id}" for column in join.columns), sep=",", file=result)
        return Counts(len(ids), len(ids))

    def _answer(self, argument: str, progress: Progress) -> None:
        pass

    def _sleep(self, seconds: str, progress: Progress) -> None:
        time.sleep(float(seconds))

    def _wait(self, argument: str, progress: Progress) -> None:
        while not (Path(self.options["folder"]) / "go").exists():
            time.sleep(0.02)

    def _progress(self, percent: str, progress: Progress) -> None:
        progress(int(percent) / 100)
        self._wait("", progress)

    def _segfault(self, argument: str, progress: Progress) -> None:
        ctypes.string_at(0)

    def _killed(self, argument: str, progress: Progress) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _exit(self, status: str, progress: Progress) -> None:
        print("the driver gave up", file=sys.stderr, flush=True)
        os._exit(int(status))

    def _allocate(self, argument: str, progress: Progress) -> None:
        held = []
        for size in (2**26, 2**20, 2**8):
            with suppress(MemoryError):
                while True:
                    held.append(bytearray(size))  # not touched, so little real memory is used
        raise MemoryError  # with nothing left, not even for a message

    def _print(self, argument: str, progress: Progress) -> None:
        print('{"done": {"ids": 7, "matched": 7}}', flush=True)
        os.write(1, b"\xff\x00 not even text\n")
        os.system("echo from a process of its own")

    def _raise(self, name: str, progress: Progress) -> None:
        raise ODD[name]


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text for you")


ODD: Dict[str, BaseException] = {
    "RuntimeError": RuntimeError("two\nlines, a 😀 and \x00 " + 100_000 * "x"),
    "KeyError": KeyError("amount"),
    "surrogate": ValueError("half of a character: \ud83d"),
    "unspeakable": Unspeakable(),
    "SystemExit": SystemExit(0),
    "NoData": NoData("Nothing is stored for month 209901."),
    "OSError": OSError(5, "Input/output error"),
}


def slow_view(folder: Path, columns: Sequence[str] = ("amount",), **options: Any) -> Dict[str, Any]:
    """Settings of a view of this source; ``options`` as in :class:`SlowSourceSchema`."""
    return {
        "source": {"type": NAME, "folder": str(folder), **options}, "columns": list(columns),
        "parameters": {"do": {"pattern": r"\w+(:\w+|:\d+\.\d+)?", "column": "do"}},
    }


def install_slow_source(site: Site) -> Site:
    """Write a distribution with the entry point, and let the server of ``site`` see it."""
    write_distribution(site.folder / "installed", NAME, f"{__name__}:{SlowSource.__name__}")
    site.pythonpath = [site.folder / "installed", REPOSITORY]
    return site


def write_distribution(folder: Path, name: str, value: str) -> None:
    """What ``pip install`` leaves of a package that declares one source."""
    info = folder / f"third_party_{name}-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: third-party-{name}\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text(f"[{ENTRY_POINT_GROUP}]\n{name} = {value}\n", "utf-8")


def started(folder: Path) -> Dict[str, int]:
    """First ID of each job that started, in the order they did, and the process ID of its last run."""
    try:
        lines = (folder / "started").read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return {first: int(pid) for first, pid in (line.split() for line in lines)}


def wait_started(folder: Path, first_id: str) -> int:
    """Wait until the job with that first ID runs; returns its process ID."""
    wait_until(lambda: first_id in started(folder), what=f"a job with {first_id} to start")
    return started(folder)[first_id]


def has_ended(process: int) -> bool:
    """Whether a job's process did; its server may not have noticed yet."""
    try:
        return " Z " in Path(f"/proc/{process}/stat").read_text("ascii")
    except FileNotFoundError:
        return True


def go(folder: Path) -> None:
    """Let all go on that wait."""
    (folder / "go").touch()


def jobs_of(site: Site) -> Jobs:
    """The jobs in the database of a site that has no other than the default one."""
    store = Store(SqliteDatabase(str(site.data_dir / "fate_ext.db"), pragmas={"busy_timeout": 10000}))
    store.bind(MODELS)
    return Jobs(store)


def lines(*ids: str) -> "list[str]":
    """What :meth:`ApiReader.features` gives for these."""
    return ["id,amount", *(f"{id},amount={id}" for id in sorted(ids))]
