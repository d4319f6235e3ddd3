"""A FATE Flow server of its own for a test, out of an installation that is only read.

FATE finds its configuration, its SQLite database and its tables under FATE_PROJECT_BASE, and jobs, logs and temporary
files under FATE_FLOW_BASE; both may be anywhere. So each :class:`Flow` has a folder with links to FATE's code, a
service_conf.yaml with free ports, and everything the server writes. With FATE_FLOW_MYSQL=1 the database is the one that
the installation's service_conf.yaml names; rows stay in it.
"""
import base64
import hashlib
import hmac
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import uuid
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

import pymysql
import requests
import yaml

from fate_ext_plugin.settings.model import SECTION
from tests.support import programs
from tests.support.site import free_port, processes_with, wait_until

START_SECONDS = 120
JOB_SECONDS = 300
GUEST, HOST = 9999, 10000
ENDED = ("success", "failed", "canceled", "timeout")


class Installation:
    """FATE's deploy layout: ``python/``, ``fateflow/``, ``conf/`` and ``fate.env``."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.python = os.environ.get("FATE_PYTHON", sys.executable)
        versions = dict(re.findall(r"^(\w+)=(.*)$", (base / "fate.env").read_text("utf-8"), re.MULTILINE))
        self.version: Tuple[int, ...] = tuple(int(part) for part in versions["FATEFlow"].split("."))
        #: contract section 2: before, it uploads 0 bytes
        self.api_reader_works = self.version >= (1, 11, 1)

    def forget_ours(self) -> None:
        """Drop our tables where the database is MySQL, which one run leaves to the next."""
        if os.environ.get("FATE_FLOW_MYSQL") != "1":
            return
        conf = yaml.safe_load((self.base / "conf" / "service_conf.yaml").read_text("utf-8"))["database"]
        with closing(pymysql.connect(host=conf["host"], port=conf["port"], user=conf["user"], password=conf["passwd"],
                                     database=conf["name"])) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW TABLES LIKE 't\\_ext\\_%'")
            for (table,) in cursor.fetchall():
                cursor.execute(f"DROP TABLE {table}")

    @property
    def pythonpath(self) -> List[str]:
        return [str(self.base / "python"), str(self.base / "fateflow" / "python")]


class Flow:
    """One server. ``section`` is ours in service_conf.yaml; ``conf`` are more keys of it, nested ones merged.

    One runs at a time, unless it is started beside another: two on one MySQL would run each other's jobs, with their
    tables in the other's folder.
    """

    _running: Optional["Flow"] = None

    def __init__(
        self, installation: Installation, folder: Path, section: Any, conf: Optional[Mapping[str, Any]] = None,
        pythonpath: Tuple[Path, ...] = (),
    ) -> None:
        self.installation, self.folder, self._pythonpath = installation, folder, pythonpath
        self.port, self.grpc_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.keys: Optional[Tuple[str, str]] = None  # app key and secret, where calls are to be signed
        self.process: Optional[subprocess.Popen] = None
        self._lay_out()
        self.configure(section, conf or {})

    # -- the server ------------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        base = self.installation.base
        (self.folder / "fateflow").mkdir(parents=True)
        for name in ("python", "fate.env", "fateflow/python", "fateflow/conf"):
            (self.folder / name).symlink_to(base / name)
        shutil.copytree(base / "conf", self.folder / "conf", ignore=shutil.ignore_patterns("local.*", ".*"))

    def configure(self, section: Any, conf: Optional[Mapping[str, Any]] = None) -> None:
        """Write service_conf.yaml; counts from the next start."""
        content = yaml.safe_load((self.installation.base / "conf" / "service_conf.yaml").read_text("utf-8"))
        _merge(content, {"fateflow": {"host": "127.0.0.1", "http_port": self.port, "grpc_port": self.grpc_port},
                         "hook_module": {"extension": "fate_ext_plugin.mount"}})
        _merge(content, conf or {})
        content[SECTION] = section
        self.write_conf(content)

    def read_conf(self) -> Dict[str, Any]:
        return dict(yaml.safe_load(self.conf.read_text("utf-8")))

    def write_conf(self, content: Mapping[str, Any]) -> None:
        self.conf.write_text(yaml.safe_dump(content), "utf-8")

    @property
    def conf(self) -> Path:
        return self.folder / "conf" / "service_conf.yaml"

    def environment(self) -> Dict[str, str]:
        mysql = {"FORCE_USE_MYSQL": "1"} if os.environ.get("FATE_FLOW_MYSQL") == "1" else {}
        path = [*self.installation.pythonpath, *map(str, self._pythonpath), os.environ.get("PYTHONPATH", "")]
        return {
            **os.environ, **mysql, "FATE_PROJECT_BASE": str(self.folder), "FATE_DEPLOY_BASE": str(self.folder),
            "FATE_FLOW_BASE": str(self.folder / "fateflow"), "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
        }

    def start(self, beside: Optional["Flow"] = None) -> "Flow":
        if Flow._running and Flow._running is not beside:
            Flow._running.stop()
        Flow._running = beside or self
        server = self.installation.base / "fateflow" / "python" / "fate_flow" / "fate_flow_server.py"
        with open(self.folder / "server.log", "ab") as log:
            self.process = programs.start(
                [self.installation.python, str(server)], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                cwd=self.folder, env=self.environment(), start_new_session=True)
        wait_until(self._answers, START_SECONDS, f"FATE Flow to start; its log: {self.folder / 'server.log'}")
        return self

    def _answers(self) -> bool:
        assert self.process and self.process.poll() is None, (self.folder / "server.log").read_text("utf-8")
        try:
            return requests.post(f"{self.url}/v1/version/get", json={}, timeout=10).status_code == 200
        except requests.RequestException:
            return False

    def stop(self) -> None:
        """The server and its task workers, which are one process group."""
        if self.process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                break
            for _ in range(30):
                if self.process.poll() is not None and not self.group():
                    break
                time.sleep(0.1)
        self.process.wait(20)
        self.process = None
        if Flow._running is self:
            Flow._running = None

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Signal the server alone, as the kernel or ``kill PID`` does."""
        assert self.process
        self.process.send_signal(number)
        self.process.wait(20)

    def group(self) -> Dict[int, str]:
        """Command lines of the living processes that the server has started, task workers and children of ours, and its
        own."""
        found = {}
        for process in processes_with(f"FATE_FLOW_BASE={self.folder / 'fateflow'}"):
            with suppress(OSError):  # it ended meanwhile
                found[process] = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        return found

    def rss(self, field: str = "VmRSS") -> int:
        """Bytes the server itself has in memory, or had at most (VmHWM)."""
        assert self.process
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)[0]) * 1024

    # -- what it says ----------------------------------------------------------------------------------------------

    def log(self, name: str = "fate_flow_stat") -> str:
        path = self.folder / "fateflow" / "logs" / "fate_flow" / f"{name}.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def logs_of(self, job_id: str) -> str:
        """All that FATE wrote about a job."""
        folder = self.folder / "fateflow" / "logs" / job_id
        return "\n".join(path.read_text("utf-8", "replace") for path in sorted(folder.rglob("*.log")))

    def post(self, path: str, body: Optional[Dict[str, Any]] = None, **options: Any) -> requests.Response:
        return self.send("POST", path, body, **options)

    def send(self, method: str, path: str, body: Optional[Dict[str, Any]] = None, **options: Any) -> requests.Response:
        with requests.Session() as session:
            return session.send(self.signed(method, path, body, **options), timeout=120)

    def signed(
        self, method: str, path: str, body: Optional[Dict[str, Any]] = None, **options: Any
    ) -> requests.PreparedRequest:
        """A call as FATE's client makes it, signed where :attr:`keys` are set (contract section 5)."""
        request = requests.Request(method, f"{self.url}/v1{path}", json=body, **options).prepare()
        if self.keys:
            key, secret = self.keys
            stamp, nonce = str(round(time.time() * 1000)), str(uuid.uuid1())
            text = "\n".join([stamp, nonce, key, str(request.path_url).rstrip("?")]).encode()
            text += b"\n" + (request.body if body else b"") + b"\n"  # type: ignore[operator]
            digest = hmac.new(secret.encode(), text, hashlib.sha1).digest()
            request.headers.update({"TIMESTAMP": stamp, "NONCE": nonce, "APP-KEY": key,
                                    "SIGNATURE": base64.b64encode(digest).decode()})
        return request

    def site_headers(self, party: int, body: Any) -> Dict[str, str]:
        """The headers of a site's request with this body, signed by this server's site hook as its task workers do."""
        code = ("import json, sys; from fate_flow.hook import HookManager; from fate_flow.settings import PARTY_ID; "
                "from fate_flow.hook.common.parameters import SignatureParameters; HookManager.init(); print("
                "HookManager.site_signature(SignatureParameters(PARTY_ID, json.loads(sys.argv[1]))).site_signature)")
        output = subprocess.run([self.installation.python, "-c", code, json.dumps(body)], check=True, text=True,
                                stdout=subprocess.PIPE, env=self.environment(), cwd=self.folder).stdout
        return {"SRC-PARTY-ID": str(party), "SITE-SIGNATURE": output.splitlines()[-1]}

    def call(self, path: str, body: Optional[Dict[str, Any]] = None, **options: Any) -> Any:
        """A call that must succeed; returns the answer."""
        answer = self.post(path, body, **options).json()
        assert answer["retcode"] == 0, answer
        return answer

    def fate_ext(self, *arguments: str) -> str:
        """Run ``fate-ext`` on its service_conf.yaml; returns what it prints."""
        status, printed = self.command(*arguments, "--conf", str(self.conf))
        assert status == 0, printed
        return printed

    def share_key(self, party: int) -> None:
        """Let our own key be that party's, too, as no command does: one server plays both, and signs as one of them."""
        code = ("import sys; from pathlib import Path; from fate_ext_plugin.cli.context import open_context; "
                "from fate_ext_plugin.db.auth import SiteKey; "
                "from fate_ext_plugin.db.base import create_once, now_ms; "
                "conf, party = sys.argv[1:]; context = open_context(Path(conf)); "
                "own = context.keys.ring().own_keys(context.own_party(), now_ms())[0]; "
                "context.host.store.call(lambda: create_once(SiteKey, f_id=f'public {party} {own.fingerprint}', "
                "f_kind='public', f_party_id=party, f_fingerprint=own.fingerprint, f_key=own.rsa.public_pem))")
        subprocess.run([self.installation.python, "-c", code, str(self.conf), str(party)], check=True,
                       env=self.environment(), cwd=self.folder, timeout=120)

    def command(self, *arguments: str) -> Tuple[int, str]:
        """Run ``fate-ext`` in FATE Flow's own environment; returns its exit status and what it prints."""
        done = subprocess.run([self.installation.python, "-m", "fate_ext_plugin.cli", *arguments],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
                              env=self.environment(), cwd=self.folder, timeout=120)
        return done.returncode, done.stdout

    # -- its registry ----------------------------------------------------------------------------------------------

    def registry(self) -> List[Dict[str, Any]]:
        """The rows of our services, without the time of their last update."""
        rows = [row for service in ("upload", "query", "download")
                for row in self.call("/service/query", {"service_name": service})["data"]["service_info"]
                if row["f_server_name"] == "fate_ext"]
        return [{key: value for key, value in row.items() if not key.startswith("f_update")} for row in rows]

    def service(self, name: str) -> str:
        """The registered url."""
        (url,) = [row["f_url"] for row in self.registry() if row["f_service_name"] == name]
        return str(url)

    # -- FATE jobs -------------------------------------------------------------------------------------------------

    def upload_table(self, name: str, ids: List[str]) -> None:
        """Make ``ids`` the table ``exp.name``."""
        result = self.call(
            "/data/upload", None, files={"file": ("ids.csv", io.BytesIO("\n".join(["id", *ids, ""]).encode()))},
            params={"namespace": "exp", "table_name": name, "head": 1, "partition": 2, "id_delimiter": ",", "drop": 1})
        assert self.wait(result["jobId"], "local", 0) == "success", self.logs_of(result["jobId"])

    def submit(self, table: str = "ids", alone: bool = False, apart: bool = False, **parameters: Any) -> str:
        """Start Reader -> ApiReader and return FATE's job ID. Of two parties the host asks the third party; a guest
        alone, which costs FATE half the processes, asks itself.

        :param apart: the host is another server, which FATE Flow's proxy leads to.
        """
        roles = {"guest": [GUEST]} if alone else {"guest": [GUEST], "host": [HOST]}
        components: Dict[str, Any] = {
            role: {"0": {"reader_0": {"table": {"name": table, "namespace": "exp"}}}} for role in roles}
        components["guest" if alone else "host"]["0"]["api_reader_0"] = {
            "server_name": "fate_ext", "parameters": parameters, "id_delimiter": ",", "head": True}
        conf = {"dsl_version": 2, "initiator": {"role": "guest", "party_id": GUEST}, "role": roles,
                "component_parameters": {"role": components},
                "job_parameters": {"common": {
                    "task_parallelism": 1, **({"federated_mode": "MULTIPLE"} if apart else {})}}}
        dsl = {"components": {
            "reader_0": {"module": "Reader", "output": {"data": ["data"]}},
            "api_reader_0": {"module": "ApiReader", "input": {"data": {"data": ["reader_0.data"]}},
                             "output": {"data": ["data"]}}}}
        return str(self.call("/job/submit", {"dsl": dsl, "runtime_conf": conf})["jobId"])

    def job(self, job_id: str, role: str = "guest", party: int = GUEST) -> Dict[str, Any]:
        jobs = self.call("/job/query", {"job_id": job_id, "role": role, "party_id": party})["data"]
        return dict(jobs[0]) if jobs else {"f_status": "unknown"}

    def wait(self, job_id: str, role: str = "guest", party: int = GUEST, seconds: float = JOB_SECONDS) -> str:
        """How the job ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            status = str(self.job(job_id, role, party)["f_status"])
            if status in ENDED:
                return status
            time.sleep(0.5)
        raise AssertionError(f"job {job_id} did not end in {seconds} s")

    def run(self, table: str = "ids", **parameters: Any) -> str:
        """Run the job to its success and return its ID."""
        job_id = self.submit(table, **parameters)
        assert self.wait(job_id) == "success", self.report(job_id)
        return job_id

    def report(self, job_id: str) -> str:
        """What a FATE user sees of a failure: the tasks' error reports."""
        tasks = self.call("/job/task/query", {"job_id": job_id})["data"]
        return "\n".join(task["f_error_report"] or "" for task in tasks)

    def output(self, job_id: str) -> List[str]:
        """The lines of the table that the host's ApiReader put out, the header first and the rest sorted."""
        answer = self.send("GET", "/tracking/component/output/data/download", {
            "job_id": job_id, "role": "host", "party_id": HOST, "component_name": "api_reader_0"})
        with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
            (member,) = [member for member in tar.getmembers() if member.name.endswith(".csv")]
            file = tar.extractfile(member)
            assert file
            header, *lines = file.read().decode().splitlines()
        return [header, *sorted(lines)]


class Caller:
    """Talks to our services as any program may, with the registered urls."""

    def __init__(self, flow: Flow) -> None:
        self._urls = {name: flow.service(name) for name in ("upload", "query", "download")}

    def upload(self, ids: Any, headers: Optional[Dict[str, str]] = None, **body: Any) -> requests.Response:
        """``ids``: a list, or a file."""
        data = "".join(f"{id}\n" for id in ids).encode() if isinstance(ids, list) else ids
        return requests.post(self._urls["upload"], params={"requestBody": json.dumps(body)}, data=data, timeout=300,
                             headers={"Content-Type": "application/octet-stream", **(headers or {})})

    def job(self, ids: Any, **body: Any) -> str:
        response = self.upload(ids, **body)
        assert response.status_code == 200, response.text
        return str(response.json()["data"]["jobId"])

    def query(self, job_id: str, **parameters: Any) -> Dict[str, Any]:
        response = requests.post(self._urls["query"], params=parameters, json={"jobId": job_id}, timeout=300)
        assert response.status_code == 200, response.text
        return dict(response.json()["data"])

    def download(self, job_id: str, **options: Any) -> requests.Response:
        return requests.post(self._urls["download"], params={"requestBody": json.dumps({"jobId": job_id})}, timeout=300,
                             **options)

    def features(self, ids: Any, **body: Any) -> List[str]:
        job_id = self.job(ids, **body)
        data = self.query(job_id)
        assert data["status"] == "success", data
        header, *lines = self.download(job_id).text.splitlines()
        return [header, *sorted(lines)]


def _merge(target: Dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value


MakeFlow = Callable[..., Flow]
