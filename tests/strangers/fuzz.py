"""Raw HTTP that a program has made up, sent to ``fate-ext serve`` and to a server as FATE Flow's. For long::

    make fuzz FUZZ_SECONDS=600

No answer may be an error of the server's, none may be missing for long, and threads and memory must not grow.
"""
import argparse
import json
import random
import socket
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Callable, List, Optional
from typing import Counter as Counts

from tests.support.builder import build_site
from tests.support.site import Site, wait_until
from tests.support.stranger import SITE, answers, connect, is_well, of_process, reset
from tests.support.wire import target

CLIENTS = 6
EVIL = [
    'a; name="' + 60 * "\\", "a" + 3000 * " " + "b", "", " ", "\xff\xfe", "-1", "1e9", "99999999999999999999", "\t",
    ";", ",,,,", "a,b;q=,c;q=9", '"', "=?utf-8?b?/w==?=", "%00", "chunked", "http://[", "*",
    "a" * 5000, "\x00", "a\x0bb"]
NAMES = [
    "Accept", "Accept-Language", "Accept-Encoding", "Content-Type", "Content-Disposition", "Cookie", "If-None-Match",
    "If-Range", "Range", "Authorization", "Origin", "Host", "Connection", "Expect", "X-Forwarded-For",
    "X_Forwarded_For", "X-Forwarded-Proto", "Sec-Fetch-Site", "TIMESTAMP", "NONCE", "APP_KEY", "APP-KEY", "SIGNATURE",
    "Upgrade", "Transfer-Encoding", "Content-Length", "Trailer", "TE", "Fate-Ext-Poll", "\xfc", "a b", ""]
TYPES = [
    "application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=B", "text/plain",
    "application/octet-stream", "multipart/form-data", 'multipart/mixed; boundary="\\', ""]
METHODS = ["GET"] * 4 + ["POST"] * 8 + ["HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO", "get", ""]
PATHS = [
    "", "/", "/health", "/ready", "/openapi.json", "/upload", "/query", "/download", "/metrics", "/nothing",
    "/admin/jobs", "/admin/grants?method=POST", "/admin/audit?limit=x", "/console", "/console/sign-in",
    "/console/static/icon.svg", "/console/jobs?lang=zh", "/console/%2e%2e/%00", "/console/grants/%ff", "//console",
    "/admin/jobs/%s/cancel", "/[", "/?" + "a&" * 500]
REQUEST_BODIES = ["%7B%7D", "{", "[[[[", "%ff", "{}&requestBody={}"]
CHUNK_SIZES = [b"7fffffffffffffff", b"ffffffffffffffffffff", b"-1", b"", b"1", b"0x1", b"80000000"]
SERVICES = ["upload", "query", "download", "client_authentication", "site_authentication", "signature", "permission"]


class Inventor:
    """Makes requests up; of one ``seed`` always the same."""

    def __init__(self, site: Site, seed: int) -> None:
        self._random = random.Random(seed)
        self._urls = [target(site.url(service)) for service in SERVICES]

    def sent(self) -> bytes:
        """One request, or a few, most often broken."""
        sent = b"".join(self._request() for _ in range(self._random.choice([1, 1, 1, 1, 2, 5])))
        for _ in range(self._random.choice([0, 0, 0, 1, 3])):
            sent = self._broken(sent)
        return sent

    def chance(self, share: float) -> bool:
        return self._random.random() < share

    def cut(self, length: int) -> int:
        return self._random.randrange(length + 1)

    def _request(self) -> bytes:
        chosen = self._random
        path = f"/v1/ext{chosen.choice(PATHS)}"
        if self.chance(0.4):
            path = f"{chosen.choice(self._urls)}&requestBody={chosen.choice(REQUEST_BODIES)}"
        body = self._body()
        lines = [f"{chosen.choice(METHODS)} {path} HTTP/1.{chosen.choice('11111110')}", "Host: a",
                 f"Content-Type: {chosen.choice(TYPES)}"]
        lines += [f"{chosen.choice(NAMES)}: {chosen.choice(EVIL)}" for _ in range(chosen.choice([0, 0, 1, 2, 5]))]
        framing = chosen.random()
        if framing < 0.3:
            lines.append("Transfer-Encoding: chunked")
            body = self._chunked(body)
        elif framing < 0.9:
            lines.append(f"Content-Length: {len(body) + chosen.choice([0, 0, 0, 0, 1, -1, 10_000_000])}")
        if self.chance(0.5):
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body

    def _body(self) -> bytes:
        depth = self._random.choice([1, 50, 101, 980, 5000])
        return self._random.choice([
            lambda: b"", lambda: b"u1\nu2\n", lambda: b"{}",
            lambda: b'{"body": ' + b"[" * depth + b"]" * depth + b"}",
            lambda: json.dumps({"full_path": "/a?b", "headers": {"a": "b" * depth}, "jobId": "x", "body": {}}).encode(),
            lambda: b"app_key=a&secret=b&form_token=" + b"%ff" * depth,
            lambda: b"--B\r\nContent-Disposition: form-data; " + self._random.choice(EVIL).encode("utf-8")
            + b"\r\n\r\nu1\r\n--B--\r\n",
            lambda: b'--B\r\nContent-Disposition: form-data; name="file"\r\n\r\nu1\r\n--B' + b"-" * (depth % 4),
            lambda: self._random.getrandbits(8 * depth).to_bytes(depth, "big"),
        ])()

    def _chunked(self, body: bytes) -> bytes:
        size = self._random.choice([b"%x" % len(body)] * 4 + CHUNK_SIZES)
        end = self._random.choice(
            [b"0\r\n\r\n"] * 4 + [b"0\r\nA: b\r\n\r\n", b"", b"0\r\n", b"0\r\n" + b"A: b\r\n" * 2000])
        return size + b"\r\n" + body + b"\r\n" + end

    def _broken(self, sent: bytes) -> bytes:
        start = self.cut(len(sent))
        end = min(len(sent), start + self._random.choice([0, 1, 2, 20]))
        instead = self._random.choice([b"", b"\r", b"\n", b"\r\n", b" ", b":", b"\x00", b"\xff", sent[start:end] * 2,
                                       b"\r\n\r\n", b"0"])
        return sent[:start] + instead + sent[end:]


def exchange(site: Site, inventor: Inventor) -> List[int]:
    """Send what ``inventor`` makes up, in two pieces, and end the connection in one of the ways there are; the
    statuses of the answers, none where it does not wait for them."""
    sent = inventor.sent()
    middle = inventor.cut(len(sent))
    connection = connect(site)
    try:
        connection.sendall(sent[:middle])
        connection.sendall(sent[middle:])
        if inventor.chance(0.1):
            reset(connection)
            return []
        if inventor.chance(0.1):
            return []
        connection.shutdown(socket.SHUT_WR)
        found = [status for status, _ in answers(connection)]
    except socket.timeout:
        raise AssertionError(f"no answer to {sent!r}") from None
    except OSError:  # the server had seen enough
        return []
    finally:
        connection.close()
    # Outside our prefix it is the host's own: Werkzeug fails at some values of Host.
    assert 500 not in found or site.module and b" /v1/ext" not in sent.partition(b"\r\n")[0], sent
    return found


def run(site: Site, seed: int, more: Callable[[int], bool]) -> Counts[int]:
    """Send requests from several clients.

    :param more: whether a client that has had so many exchanges is to have one more.
    :return: how often each status came."""
    statuses: Counts[int] = Counter()
    lock = threading.Lock()

    def client(number: int) -> None:
        inventor, count = Inventor(site, seed * CLIENTS + number), 0
        while more(count):
            found = exchange(site, inventor)
            count += 1
            with lock:
                statuses.update(found)
                statuses[0] += 1

    with ThreadPoolExecutor(CLIENTS) as pool:
        for future in [pool.submit(client, number) for number in range(CLIENTS)]:
            future.result()
    is_well(site)
    return statuses


def settled(site: Site, threads: int) -> None:
    """No request's thread is left; jobs may have one each, for a while."""
    wait_until(lambda: of_process(site, "Threads") <= threads, 120, "the requests' threads to end")


def for_long(folder: Path, mounted: bool, seed: int, seconds: float) -> None:
    site = build_site(folder, **SITE, mounted=mounted).start()
    try:
        print(f"{'mounted' if mounted else 'alone'}, seed {seed}")
        is_well(site)
        threads: Optional[int] = None
        for round_ in range(6):
            statuses = run(site, seed * 6 + round_, partial(_before, time.monotonic() + seconds / 6))
            if threads is None:
                threads = of_process(site, "Threads") + 2
            settled(site, threads)
            exchanges = statuses.pop(0)
            print(f"  {exchanges} connections, answers {dict(sorted(statuses.items()))}, "
                  f"{of_process(site, 'Threads')} threads, {of_process(site, 'VmRSS') // 1024} MiB", flush=True)
        log = site.log.read_text("utf-8", "replace")
        print(f"  traces in the log: {log.count('Traceback')}; with code of ours: {sum(traces_of_ours(log))}")
    finally:
        site.stop()


def _before(end: float, count: int) -> bool:
    return time.monotonic() < end


def traces_of_ours(log: str) -> List[bool]:
    """For each trace of an error in a log, whether code of ours is in it."""
    return ["fate_ext_plugin/" in part.partition("\n\n")[0] for part in log.split("Traceback")[1:]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="for each server")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options: Any = parser.parse_args()
    for mounted in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            for_long(Path(folder), mounted, options.seed, options.seconds)


if __name__ == "__main__":
    main()
