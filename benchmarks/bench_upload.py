"""Uploading 1 GB of IDs, against copying the body of the very same request to disk.

The baseline is a view on the same server that copies its request's body to a file and does nothing else; the service
besides takes the multipart document apart and checks every byte. What a server costs at all is shown by a plain copy
from a socket, without HTTP: one connection, 1 MiB at a time, written as it comes. All are sent the same body by the
same client; the job that the upload starts is canceled and not in the time.
"""

import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from support import (
    BLOCK,
    FOLDER,
    MIB,
    MULTIPART,
    Run,
    Runs,
    Server,
    cpu_of,
    made_once,
    multipart,
    post,
    show,
    verdict,
)

ROUNDS = int(os.environ.get("FATE_EXT_BENCH_ROUNDS", "5"))
SIZE = 1_000_000_000
LINE = 11

COPY = """
import socket, sys
listener = socket.socket(fileno=int(sys.argv[1]))
target, block = sys.argv[2], int(sys.argv[3])
while True:
    connection, _ = listener.accept()
    received = b""
    while b"\\r\\n\\r\\n" not in received:
        received += connection.recv(block)
    head, _, first = received.partition(b"\\r\\n\\r\\n")
    left = int(head.lower().split(b"content-length:")[1].split(b"\\r\\n")[0]) - len(first)
    buffer = memoryview(bytearray(block))
    with open(target, "wb", buffering=0) as file:
        file.write(first)
        while left:
            count = connection.recv_into(buffer)
            file.write(buffer[:count])
            left -= count
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    connection.close()
"""

VIEW = """
import os, shutil, sys
from cheroot import wsgi
from flask import Flask, request
app = Flask("copy")
@app.route("/", methods=["POST"])
def copy():
    with open(sys.argv[1], "wb") as file:
        shutil.copyfileobj(request.stream, file, 1 << 18)
    return ""
server = wsgi.Server(("127.0.0.1", 0), app)
server.prepare()
print(server.bind_addr[1], flush=True)
server.serve()
"""


def make_ids(path: Path) -> None:
    """u000000000 and so on."""
    with open(path, "wb") as file:
        for start in range(0, SIZE // LINE, 100_000):
            file.write(b"".join(b"u%09d\n" % number for number in range(start, start + 100_000)))


class PlainCopy:
    """A process of its own."""

    def __enter__(self) -> "PlainCopy":
        self.target = FOLDER / f"copy-{os.getpid()}"
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            self.process = subprocess.Popen(
                [sys.executable, "-c", COPY, str(listener.fileno()), str(self.target), str(BLOCK)],
                pass_fds=[listener.fileno()])
        return self

    def __exit__(self, *error: Any) -> None:
        self.process.kill()
        self.process.wait()

    def run(self, body: Path) -> Run:
        before, started = cpu_of(self.process.pid), time.perf_counter()
        with open(body, "rb") as file:
            post(self.url, file, MULTIPART)
        run = Run(time.perf_counter() - started, cpu_of(self.process.pid) - before)
        self.target.unlink()
        return run


class ViewCopy(PlainCopy):
    """The baseline in a Flask view on cheroot, which is what `fate-ext serve` is."""

    def __enter__(self) -> "ViewCopy":
        self.target = FOLDER / f"copy-{os.getpid()}"
        self.process = subprocess.Popen(
            [sys.executable, "-c", VIEW, str(self.target)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self.process.stdout
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}/"
        return self


def service(server: Server, body: Path) -> Run:
    before, started = server.cpu(), time.perf_counter()
    job_id = server.upload(body)
    run = Run(time.perf_counter() - started, server.cpu() - before)
    server.cancel(job_id)
    server.query(job_id)
    server.wait_until_clean()
    return run


def main() -> None:
    ids = made_once("ids-1GB.csv", make_ids)
    body = made_once("ids-1GB.multipart", lambda path: multipart(ids, path))
    size = body.stat().st_size / MIB
    settings = {
        "max_ids": SIZE,
        "views": {"bench": {"source": {"type": "file", "path": str(ids)}, "id_column": "u000000000", "columns": ["x"]}},
    }
    plain, copied = Runs("plain copy from a socket to disk"), Runs("a view that copies the body to disk")
    ours = Runs("fate-ext serve, upload")
    with PlainCopy() as plain_copy, ViewCopy() as view_copy, Server(settings) as server:
        memory = server.memory()
        for _ in range(ROUNDS):
            plain.runs.append(plain_copy.run(body))
            copied.runs.append(view_copy.run(body))
            ours.runs.append(service(server, body))
        growth = server.memory("VmHWM") - memory
    show(
        f"Python {sys.version.split()[0]}, a body of {size:.0f} MiB, {ROUNDS} runs of each in turn, medians",
        ["", "seconds", "CPU seconds", "MiB/s"],
        [[runs.name, runs.seconds, runs.cpu, size / runs.seconds] for runs in (plain, copied, ours)])
    ratio = statistics.median(a.seconds / b.seconds for a, b in zip(copied.runs, ours.runs))
    verdict("share of the rate at which a view copies the body", ratio, 0.5, at_least=True)
    verdict("MiB more in the server process at its highest", growth, 64)


if __name__ == "__main__":
    main()
