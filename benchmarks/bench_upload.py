"""Uploading 1 GB of IDs, against copying the very same request from a socket to disk.

The plain copy is the simplest server there is: one connection, 1 MiB at a time, written as it comes. The service
besides takes the multipart document apart and checks every byte. Both are sent the same body by the same client;
the job that the upload starts is canceled and not in the time.
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


def make_ids(path: Path) -> None:
    """u000000000 and so on."""
    with open(path, "wb") as file:
        for start in range(0, SIZE // LINE, 100_000):
            file.write(b"".join(b"u%09d\n" % number for number in range(start, start + 100_000)))


class PlainCopy:
    """The baseline as a process of its own."""

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
    copied, ours = Runs("plain copy from a socket to disk"), Runs("fate-ext serve, upload")
    with PlainCopy() as copy, Server(settings) as server:
        memory = server.memory()
        for _ in range(ROUNDS):
            copied.runs.append(copy.run(body))
            ours.runs.append(service(server, body))
        growth = server.memory("VmHWM") - memory
    show(
        f"Python {sys.version.split()[0]}, a body of {size:.0f} MiB, {ROUNDS} runs of each in turn, medians",
        ["", "seconds", "CPU seconds", "MiB/s"],
        [[runs.name, runs.seconds, runs.cpu, size / runs.seconds] for runs in (copied, ours)])
    ratio = statistics.median(a.seconds / b.seconds for a, b in zip(copied.runs, ours.runs))
    verdict("share of the plain copy's rate", ratio, 0.5, at_least=True)
    verdict("MiB more in the server process at its highest", growth, 64)


if __name__ == "__main__":
    main()
