"""What the benchmarks share: a data folder, a real `fate-ext serve`, a client, and how time and memory are read."""

import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Sequence
from urllib.parse import quote, urlsplit

import yaml

import fate_ext_plugin
from fate_ext_plugin.access.guard import AccessGuard
from fate_ext_plugin.apps.service_urls import service_uris
from fate_ext_plugin.cli.table import table
from fate_ext_plugin.feature.storage import Storage
from fate_ext_plugin.settings.model import SECTION
from fate_ext_plugin.util.periodic import run_periodically

FOLDER = Path(os.environ.get("FATE_EXT_BENCH_DIR") or Path(tempfile.gettempdir()) / "fate-ext-bench")
PACKAGE_FOLDER = str(Path(fate_ext_plugin.__file__).resolve().parent.parent)
BLOCK = 1 << 20
BOUNDARY = "81c7e4cc504b43f28d1c503f39b93ca1"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
MIB = 2**20
TICKS = os.sysconf("SC_CLK_TCK")


def made_once(name: str, make: Callable[[Path], None]) -> Path:
    """The file ``name`` of the data folder; ``make`` writes it if it is not there."""
    path = FOLDER / name
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        print(f"making {path} ...", flush=True)
        part = path.with_name(f"{name}.{os.getpid()}.part")
        make(part)
        part.rename(path)
    return path


def multipart(ids: Path, target: Path) -> None:
    """The body of an upload of ``ids``, as requests_toolbelt's MultipartEncoder makes it."""
    with open(ids, "rb") as source, open(target, "wb") as body:
        body.write(
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="id"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n".encode())
        shutil.copyfileobj(source, body, BLOCK)
        body.write(f"\r\n--{BOUNDARY}--\r\n".encode())


@dataclass
class Run:
    """One measured run: seconds, CPU seconds of all processes but the client, MiB of memory and disk at the highest."""

    seconds: float
    cpu: float = 0.0
    peak: float = 0.0
    disk: float = 0.0


@dataclass
class Runs:
    """The runs of one way to do it."""

    name: str
    runs: List[Run] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return statistics.median(run.seconds for run in self.runs)

    @property
    def cpu(self) -> float:
        return statistics.median(run.cpu for run in self.runs)

    @property
    def peak(self) -> float:
        return max(run.peak for run in self.runs)


class Answer(NamedTuple):
    status: int
    text: str

    @property
    def data(self) -> Dict[str, Any]:
        if self.status != 200:
            sys.exit(f"HTTP {self.status}: {self.text}")
        data: Dict[str, Any] = json.loads(self.text)["data"]
        return data


def post(url: str, body: Any = b"", content_type: str = "application/json") -> Answer:
    """``body`` is bytes or a file, sent in blocks of 1 MiB."""
    with request(url, body, content_type) as response:
        return Answer(response.status, response.read().decode())


def download(url: str) -> int:
    """Read the answer in big blocks and drop it; returns its bytes.

    ApiReader itself reads 1 KiB at a time through requests, which costs its side several times as much.
    """
    buffer, received = bytearray(BLOCK), 0
    with request(url, b"", "application/json") as response:
        if response.status != 200:
            sys.exit(f"HTTP {response.status}: {response.read().decode()}")
        while True:
            count = response.readinto(buffer)
            if not count:
                return received
            received += count


@contextmanager
def request(url: str, body: Any, content_type: str) -> Iterator[http.client.HTTPResponse]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, blocksize=BLOCK, timeout=600)
    try:
        size = len(body) if isinstance(body, bytes) else os.fstat(body.fileno()).st_size
        connection.request("POST", f"{parts.path}?{parts.query}", body,
                           {"Content-Type": content_type, "Content-Length": str(size)})
        yield connection.getresponse()
    finally:
        connection.close()


class Server:
    """`fate-ext serve` in a folder of its own, with ``settings`` as its section."""

    def __init__(self, settings: Dict[str, Any], environment: Sequence[str] = ()) -> None:
        FOLDER.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix="site-", dir=FOLDER))
        self.conf = self.folder / "service_conf.yaml"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        section = {"data_dir": str(self.folder / "data"), "listen": {"port": self.port}, **settings}
        self.conf.write_text(yaml.safe_dump({SECTION: section}), "utf-8")
        # The very package that this process imported, whatever the current folder holds.
        self._environment = dict(os.environ, PYTHONPATH=os.pathsep.join([PACKAGE_FOLDER, *environment]))

    def __enter__(self) -> "Server":
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                self._command("serve"), stdout=log, stderr=log, env=self._environment, cwd=self.folder)
        while not self._answers():
            if self.process.poll() is not None:
                sys.exit((self.folder / "log").read_text())
            time.sleep(0.05)
        guard = AccessGuard(Storage(self.folder / "data", 0).secret(), (), ())
        self._uris = service_uris(guard, "127.0.0.1", self.port)
        return self

    def __exit__(self, *error: Any) -> None:
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)

    def _command(self, *arguments: str) -> List[str]:
        return [sys.executable, "-m", "fate_ext_plugin.cli", *arguments, "--conf", str(self.conf)]

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def url(self, service: str, request_body: Any = None) -> str:
        body = "" if request_body is None else f"&requestBody={quote(json.dumps(request_body))}"
        return f"http://127.0.0.1:{self.port}{self._uris[service]}{body}"

    def upload(self, body: Path, **parameters: Any) -> str:
        """Upload a multipart document; returns the job's ID."""
        with open(body, "rb") as file:
            return str(post(self.url("upload", parameters), file, MULTIPART).data["jobId"])

    def query(self, job_id: str) -> Dict[str, Any]:
        """The job's state, once it has ended."""
        return post(self.url("query"), json.dumps({"jobId": job_id}).encode()).data

    def cancel(self, job_id: str) -> None:
        subprocess.run([*self._command("jobs", "cancel"), job_id], check=True, stdout=subprocess.DEVNULL,
                       env=self._environment, cwd=self.folder)

    def wait_until_clean(self) -> None:
        """Until ended and canceled jobs have left nothing on disk, nor a process."""
        while any(path.name == "ids" for path in (self.folder / "data" / "jobs").rglob("*")):
            time.sleep(0.05)

    def memory(self, name: str = "VmRSS") -> float:
        """MiB of the server process; VmHWM is the highest since its start."""
        return memory_of(self.process.pid, name)

    def cpu(self) -> float:
        """Seconds of the server and of its children that have ended."""
        return cpu_of(self.process.pid)


def memory_of(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


@contextmanager
def watching_children(pid: int) -> Iterator[Run]:
    """Notes in ``peak`` how high the memory of any child of ``pid`` gets."""
    run = Run(0.0)

    def look() -> None:
        # Asks for the children only: a walk over all of /proc, that often, would take a core from what is measured.
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                for child in children.read_text().split():
                    run.peak = max(run.peak, memory_of(int(child), "VmHWM"))
            except (OSError, ValueError):
                continue  # it ended meanwhile

    with run_periodically(look, 0.1):
        yield run


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    print(f"\n{title}\n")
    print(table(header, [[f"{cell:.2f}" if isinstance(cell, float) else cell for cell in row] for row in rows]))
    print()


def verdict(text: str, value: float, goal: float, at_least: bool = False) -> None:
    reached = value >= goal if at_least else value <= goal
    sign = ">=" if at_least else "<="
    print(f"{text}: {value:.2f} (goal {sign} {goal:g}{'' if reached else ', MISSED'})")
