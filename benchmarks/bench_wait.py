"""How long after its job's end ApiReader learns of it: by a query held open, against asking once a minute.

The jobs take 1 and 5 seconds in a third-party source, which notes when it has ended. ApiReader asks at once after
the upload and then every 60 s; our url in FATE Flow's registry has it wait for the end instead.
"""

import json
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, List
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from support import FOLDER, Server, made_once, multipart, post, show, verdict

ROUNDS = int(os.environ.get("FATE_EXT_BENCH_ROUNDS", "5"))
JOB_SECONDS = (1, 5)
POLL_SECONDS = 60.0

SOURCE = """
import time
from marshmallow import Schema, fields
from fate_ext_plugin.feature.source import Counts, Source

class SlowSchema(Schema):
    seconds = fields.Float()
    ends = fields.String()

class SlowSource(Source):
    settings_schema = SlowSchema

    def check(self, join): ...

    def inspect(self, columns): ...

    def join(self, join, work, progress):
        time.sleep(self.options["seconds"])
        work.result_path.write_text("id,x\\n")
        # The folder of a job is named by its ID.
        with open(f"{self.options['ends']}/{work.result_path.parent.name}", "w") as end:
            end.write(repr(time.time()))
        return Counts(ids=1, matched=0)
"""


def install_source(folder: Path) -> None:
    """What pip would install of a third party's package."""
    (folder / "slow_source.py").write_text(SOURCE)
    info = folder / "slow_source-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-source\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[fate_ext_plugin.sources]\nslow = slow_source:SlowSource\n")


def held(server: Server, job_id: str) -> Dict[str, Any]:
    return server.query(job_id)


def polled(server: Server, job_id: str) -> Dict[str, Any]:
    """As ApiReader would, were its query answered at once."""
    parts = urlsplit(server.url("query"))
    arguments = dict(parse_qsl(parts.query), wait="0")
    url = urlunsplit(parts._replace(query=urlencode(arguments)))
    while True:
        state = post(url, json.dumps({"jobId": job_id}).encode()).data
        if state["status"] != "running":
            return state
        time.sleep(POLL_SECONDS)


def delay(server: Server, body: Path, ends: Path, seconds: int, ask: Callable[[Server, str], Dict[str, Any]]) -> float:
    """Seconds from the source's end to the answer."""
    job_id = server.upload(body, view=f"slow{seconds}")
    state = ask(server, job_id)
    answered = time.time()
    if state["status"] != "success":
        sys.exit(state["message"])
    return answered - float((ends / job_id).read_text())


def main() -> None:
    ids = made_once("ids-1.csv", lambda path: path.write_text("u0\n") and None)
    body = made_once("ids-1.multipart", lambda path: multipart(ids, path))
    held_delays: Dict[int, List[float]] = {seconds: [] for seconds in JOB_SECONDS}
    polled_delays: Dict[int, float] = {}
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="source-", dir=FOLDER) as folder:
        install_source(Path(folder))
        ends = Path(folder) / "ends"
        ends.mkdir()
        views = {
            f"slow{seconds}": {"source": {"type": "slow", "seconds": seconds, "ends": str(ends)}, "columns": ["x"]}
            for seconds in JOB_SECONDS
        }
        with Server({"views": views, "concurrent_jobs": 4}, [folder]) as server:

            def poll(seconds: int) -> None:
                polled_delays[seconds] = delay(server, body, ends, seconds, polled)

            pollers = [threading.Thread(target=poll, args=(seconds,)) for seconds in JOB_SECONDS]
            for poller in pollers:
                poller.start()
            for _ in range(ROUNDS):
                for seconds in JOB_SECONDS:
                    held_delays[seconds].append(delay(server, body, ends, seconds, held))
            for poller in pollers:
                poller.join()
    show(
        f"Python {sys.version.split()[0]}: seconds from a job's end to the answer; held: median, longest of {ROUNDS}",
        ["job takes", "asked every 60 s", "held", "held, longest"],
        [[f"{seconds} s", polled_delays[seconds], f"{statistics.median(delays):.3f}", f"{max(delays):.3f}"]
         for seconds, delays in held_delays.items()])
    longest = max(delay for delays in held_delays.values() for delay in delays)
    verdict("ratio of the shortest polled delay to the longest held one",
            min(polled_delays.values()) / longest, 50, at_least=True)


if __name__ == "__main__":
    main()
