"""The feature service on small real data, called exactly as FATE Flow's ApiReader calls it: `make demo`.

A server is started in a temporary folder, and at the end nothing is left of it.
"""

import hashlib
import io
import itertools
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, List

import requests
import yaml
from requests_toolbelt import MultipartEncoder

from fate_ext_plugin.feature.storage import Storage
from fate_ext_plugin.fence import Fence
from fate_ext_plugin.registration import service_uris
from fate_ext_plugin.settings import read_settings_file

DEMO_CONF = Path(__file__).resolve().parent.parent / "conf" / "demo"
FATE_JOB = "202611231038053132510"
START_SECONDS = 30
STEPS = itertools.count(1)
FEATURES = ["mean_radius", "mean_texture", "worst_area"]

NEXT = """
What to try next:
  your own data       copy conf/demo/service_conf.yaml, describe your files in it, and run fate-ext check --conf FILE
  with your FATE      fate-ext serve --conf FILE, then fate-ext register --conf FILE --flow http://FATE-FLOW:9380
  inside FATE Flow    merge conf/service_conf.yaml into FATE Flow's own; every setting is explained in it
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="fate-ext-demo-") as folder:
        conf = prepare(Path(folder))
        server = start(conf)
        try:
            show(registered_urls(conf), Path(folder))
        finally:
            step("The server is stopped")
            server.terminate()
            server.wait()
    print(NEXT)


def show(urls: Dict[str, str], folder: Path) -> None:
    """The life of one feature job, as FATE Flow sees it."""
    ids = [f"patient_{number:04d}" for number in range(1, 700, 3)]
    step(f"Upload: ApiReader sends the {len(ids)} IDs of its table and what it wants to know of them")
    wanted = {"view": "tumours", "month": "1995-11", "features": FEATURES}
    tell(f"requestBody {json.dumps(wanted)}")
    job_id = upload(urls["upload"], ids, wanted).json()["data"]["jobId"]
    tell(f"accepted as feature job {job_id}")

    step("Query: how is the job? The answer comes when the job has ended, so nobody waits in vain")
    state = query(urls["query"], job_id)
    tell(f"{state['status']} after {state['elapsedSeconds']:.2f} s: {state['matched']} of {state['ids']} IDs have "
         f"features, {state['missing']} are unknown here")

    step("Download: the features, as a stream")
    features = download(urls["download"], job_id, folder / "features.csv")
    lines = features.read_text("utf-8").splitlines()
    for line in lines[:4]:
        tell(line)
    tell(f"... {len(lines) - 1} rows and a header line, {features.stat().st_size} bytes")

    step("A mistake: the user of the FATE job writes year instead of month")
    refused = upload(urls["upload"], ids, {"view": "tumours", "year": "1995"})
    tell(f"refused with HTTP {refused.status_code}, so the FATE job fails at once and shows:")
    tell(refused.json()["message"])


# -- the server ------------------------------------------------------------------------------------------------------


def prepare(folder: Path) -> Path:
    """A copy of conf/demo with a free port."""
    step(f"Settings and data of conf/demo are copied to {folder}")
    shutil.copytree(DEMO_CONF, folder / "conf", ignore=shutil.ignore_patterns("data"))
    conf = folder / "conf" / "service_conf.yaml"
    content = yaml.safe_load(conf.read_text("utf-8"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        content["fate_ext_plugin"]["listen"]["port"] = probe.getsockname()[1]
    conf.write_text(yaml.safe_dump(content), "utf-8")
    return conf


def start(conf: Path) -> subprocess.Popen:
    """`fate-ext serve`, as soon as it answers."""
    listen = read_settings_file(conf).listen
    step(f"fate-ext serve starts on http://{listen.host}:{listen.port}; jobs are kept in SQLite, files on local disk")
    log = conf.with_name("serve.log")
    command = [sys.executable, "-m", "fate_ext_plugin.cli", "serve", "--conf", str(conf)]
    with open(log, "wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection((listen.host, listen.port), timeout=1).close()
            return server
        except OSError:
            time.sleep(0.05)
    server.kill()
    sys.exit(f"The server did not start. It said:\n{log.read_text('utf-8')}")


def registered_urls(conf: Path) -> Dict[str, str]:
    """What `fate-ext register` writes into FATE Flow's registry: a url a service, with a token that lets it in."""
    settings = read_settings_file(conf)
    fence = Fence(Storage(settings.data_dir, 0).secret(), (), ())
    host, port = settings.listen.host, settings.listen.port
    return {name: f"http://{host}:{port}{uri}" for name, uri in service_uris(fence, host, port).items()}


# -- the three requests of an ApiReader (FATE Flow 1.11.2, components/api_reader.py) ---------------------------------


def upload(url: str, ids: List[str], parameters: Dict[str, object]) -> requests.Response:
    """The ID file as a multipart form, the parameters as JSON in the url."""
    file = io.BytesIO("".join(f"{line}\n" for line in ["id", *ids]).encode("utf-8"))
    form = MultipartEncoder(fields={"file": ("id", file, "application/octet-stream")})
    body = {**parameters, "job_id": FATE_JOB, "sign": md5(FATE_JOB)}
    return requests.post(
        url, params={"requestBody": json.dumps(body)}, data=form, headers={"Content-Type": form.content_type})


def query(url: str, job_id: str) -> Dict[str, object]:
    return requests.post(url, json={"jobId": job_id}).json()["data"]


def download(url: str, job_id: str, target: Path) -> Path:
    body = {"jobId": job_id, "sign": md5(job_id)}
    with requests.post(url, params={"requestBody": json.dumps(body)}, stream=True) as response:
        response.raise_for_status()
        with open(target, "wb") as file:
            for block in response.iter_content(1024):
                file.write(block)
    return target


def md5(text: str) -> str:
    return hashlib.md5(text.encode("utf-8")).hexdigest()


# -- what you read ---------------------------------------------------------------------------------------------------


def step(text: str) -> None:
    print(f"\n{next(STEPS)}. {text}", flush=True)


def tell(text: str) -> None:
    print(f"   {text}", flush=True)


if __name__ == "__main__":
    main()
