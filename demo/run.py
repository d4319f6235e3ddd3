"""The feature service on small real data, called exactly as FATE Flow's ApiReader calls it: `make demo`.

A server is started in a temporary folder. Both are gone at the end, also when the demo is interrupted.
"""

import hashlib
import io
import itertools
import json
import os
import shlex
import signal
import sys
import tempfile
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, Dict, List, Union

import requests
from requests_toolbelt import MultipartEncoder
from server import Failed, Server, prepare

FATE_JOB = "202611231038053132510"
STEPS = itertools.count(1)
FEATURES = ["mean_radius", "mean_texture", "worst_area"]
# Ctrl-C, kill, and a terminal that is closed
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: how the demo went: None where it was shown to its end, else the signal or the error that ended it
Outcome = Union[None, int, Exception]

NEXT = """
What to try next, in this folder:

  Keep the demo's server running (Ctrl-C stops it):
    {fate_ext} check --conf conf/demo/service_conf.yaml
    {fate_ext} serve --conf conf/demo/service_conf.yaml

  Your own data: describe your files in a copy of conf/demo/service_conf.yaml, here called FILE:
    {fate_ext} check --conf FILE
    {fate_ext} serve --conf FILE

  Beside your FATE Flow, while that server runs:
    {fate_ext} register --conf FILE --flow http://FATE-FLOW:9380

  Inside your FATE Flow, deployed in folder DIR (README.md explains the steps):
    source DIR/bin/init_env.sh
    pip install .
    fate-ext enable --fate-base DIR
"""


def main() -> None:
    # The handlers only report the signal: an exception out of a handler could leave the server running.
    ended: SimpleQueue[Outcome] = SimpleQueue()
    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, lambda number, _: ended.put(number))
    with tempfile.TemporaryDirectory(prefix="fate-ext-demo-") as name:
        folder = Path(name)
        step(f"Settings and data of conf/demo are copied to {folder}")
        conf = prepare(folder)
        server = Server(conf)
        showing = Thread(target=lambda: ended.put(show(server, folder)))
        try:
            showing.start()
            outcome = ended.get()
        finally:
            server.stop()
            showing.join()
    if isinstance(outcome, Exception):
        raise outcome
    step("The server is stopped, and the temporary folder removed")
    if outcome is not None:
        sys.exit(128 + outcome)
    print(NEXT.format(fate_ext=shlex.quote(os.path.relpath(Path(sys.prefix, "bin", "fate-ext")))))


def show(server: Server, folder: Path) -> Outcome:
    try:
        step(f"fate-ext serve starts on http://{server.address}; jobs are kept in SQLite, files on local disk")
        server.wait_until_it_answers()
        show_job(server.urls(), folder)
    except requests.RequestException as error:
        return Failed(f"The server does not answer: {error}. It said:\n{server.output}")
    except Exception as error:
        return error
    return None


def show_job(urls: Dict[str, str], folder: Path) -> None:
    """The life of one feature job, as FATE Flow sees it."""
    ids = [f"patient_{number:04d}" for number in range(1, 700, 3)]
    step(f"Upload: ApiReader sends the {len(ids)} IDs of its table and what it wants to know of them")
    wanted = {"view": "tumours", "month": "1995-11", "features": FEATURES}
    tell(f"requestBody {json.dumps(wanted)}")
    job_id = accepted(upload(urls["upload"], ids, wanted)).json()["data"]["jobId"]
    tell(f"accepted as feature job {job_id}")

    step("Query: how is the job? The answer comes when the job has ended, so nobody waits in vain")
    state = accepted(query(urls["query"], job_id)).json()["data"]
    if state["status"] != "success":
        raise Failed(f"The feature job ended with status {state['status']}: {state}")
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


# -- the three requests of an ApiReader (FATE Flow 1.11.2, components/api_reader.py) ---------------------------------


def upload(url: str, ids: List[str], parameters: Dict[str, object]) -> requests.Response:
    """The ID file as a multipart form, the parameters as JSON in the url."""
    file = io.BytesIO("".join(f"{line}\n" for line in ["id", *ids]).encode("utf-8"))
    form = MultipartEncoder(fields={"file": ("id", file, "application/octet-stream")})
    body = {**parameters, "job_id": FATE_JOB, "sign": md5(FATE_JOB)}
    return post(url, params={"requestBody": json.dumps(body)}, data=form, headers={"Content-Type": form.content_type})


def query(url: str, job_id: str) -> requests.Response:
    return post(url, json={"jobId": job_id})


def download(url: str, job_id: str, target: Path) -> Path:
    body = {"jobId": job_id, "sign": md5(job_id)}
    with accepted(post(url, params={"requestBody": json.dumps(body)}, stream=True)) as response, open(
            target, "wb") as file:
        for block in response.iter_content(1024):
            file.write(block)
    return target


def post(url: str, **request: Any) -> requests.Response:
    """Not through a proxy that the environment names: no proxy can reach this machine's 127.0.0.1."""
    session = requests.Session()
    session.trust_env = False
    return session.post(url, **request)


def accepted(response: requests.Response) -> requests.Response:
    """:raises Failed: the server refused the request; the message gives its reason."""
    if response.status_code != 200:
        raise Failed(f"The server refused this request with HTTP {response.status_code}: {response.json()['message']}")
    return response


def md5(text: str) -> str:
    return hashlib.md5(text.encode("utf-8")).hexdigest()


# -- what you read ---------------------------------------------------------------------------------------------------


def step(text: str) -> None:
    print(f"\n{next(STEPS)}. {text}", flush=True)


def tell(text: str) -> None:
    print(f"   {text}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # as of `make demo | head`; Python would complain about it once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        sys.exit(f"\nThe demo can't use its temporary folder: {error}\n"
                 "Name another one, with 100 MB free: make demo TMPDIR=FOLDER")
    except Failed as error:
        sys.exit(f"\n{error}")
