"""Authentication, in process and over HTTP, against what it can't do without.

In process: a signature and its verification beside bare RSA with a parsed key, by pycryptodome, which FATE Flow uses
and the verdicts count from, and by OpenSSL, which we use; a signature is RSA for FATE and ECDSA, by the session's key,
for the envelope. Where FATE_PROJECT_BASE names an installation, FATE Flow's built-in hooks beside them. Over HTTP:
requests a second beside an empty view on the same server. FATE's signature of a body is kept, so bodies to sign are all
distinct, but for one row over HTTP: there they repeat as they do in what FATE Flow was recorded to send. A view that
makes one bare RSA signature, and nothing else, shows how much of the rate that alone leaves: where this is below the
goal, no service that signs distinct bodies can reach it.
"""
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from itertools import count as numbers
from itertools import islice
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import yaml
from Crypto.Hash import SHA256 as crypto_sha256
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from support import FOLDER, PACKAGE_FOLDER, show, verdict

from fate_ext_plugin.access.guard import AccessGuard
from fate_ext_plugin.apps.service_urls import service_uris
from fate_ext_plugin.auth.client_signature import ClientRequest, Signer, signed_headers, signed_text
from fate_ext_plugin.auth.setup import Authentication, open_authentication
from fate_ext_plugin.db.base import Store
from fate_ext_plugin.feature.storage import Storage
from fate_ext_plugin.host.standalone import open_database
from fate_ext_plugin.settings.load import read_settings_file
from fate_ext_plugin.settings.model import SECTION

ROUNDS = int(os.environ.get("FATE_EXT_BENCH_ROUNDS", "5"))
KEY, SECRET = "bench-app-key", "a secret of 16 or more"
BODY = {"job_id": "202611231038053132510", "role": "guest", "party_id": "9999", "progress": 50, "status": "running"}
# What is measured over HTTP, and the service it is measured on.
ROWS = {"client_authentication": "client_authentication", "site_authentication": "site_authentication",
        "signature, distinct bodies": "signature", "signature, recorded bodies": "signature"}
BARE = "a view with one bare RSA signature"
THREADS = 4
# 132 signatures that FATE Flow asked for in three jobs: two uploads and one of two parties.
RECORDED = Path(__file__).parent.parent / "tests" / "data"
CONTENT_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
OF_ITS_JOBS = re.compile(r'\d{21}|"(table|metric)_')

# Those that our services run on: with `fate-ext serve`, and mounted, where each request has a thread of its own.
SERVERS = {"cheroot": "on cheroot, as of `fate-ext serve`", "werkzeug": "on Werkzeug's server, as of FATE Flow"}
# Either with two more views: one does nothing, the other makes a signature.
SERVER = """
import base64
import logging
import sys
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from flask import jsonify, request
from werkzeug import serving
from fate_ext_plugin.apps.blueprint import create_app
from fate_ext_plugin.host.standalone import Standalone
from fate_ext_plugin.plugin import Plugin
from fate_ext_plugin.server import make_server
from fate_ext_plugin.settings.model import read_settings_file
settings = read_settings_file(Path(sys.argv[1]))
plugin = Plugin(settings, Standalone(settings))
app = create_app(plugin.manager())
app.add_url_rule("/empty", "empty", lambda: jsonify(code=0, msg="success"), methods=["POST"])
private = generate_private_key(65537, 2048)
def bare():
    signature = private.sign(request.get_data(), PKCS1v15(), SHA256())
    return jsonify(code=0, msg="success", data=base64.b64encode(signature).decode())
app.add_url_rule("/bare", "bare", bare, methods=["POST"])
if sys.argv[2] == "cheroot":
    server = make_server(settings, app)
    server.prepare()
    serve = server.serve
else:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    serve = serving.make_server("127.0.0.1", settings.listen.port, app, threaded=True).serve_forever
print("ready", flush=True)
serve()
"""

BUILT_IN = """
import json, sys, time
from fate_flow.hook.common.parameters import AuthenticationParameters, SignatureParameters
from fate_flow.db import key_manager
from fate_flow.hook import HookManager
import fate_flow.hook.flow.site_authentication
sign, check = HookManager.SITE_SIGNATURE[0], HookManager.SITE_AUTHENTICATION[0]
private, public, body, count = json.loads(sys.argv[1])
# the table's row, without the database
key_manager.RsaKeyManager.get_key = classmethod(
    lambda cls, party_id, key_name: private if key_name == "private" else public)
def seconds(action):
    started = time.perf_counter()
    for _ in range(count):
        action()
    return (time.perf_counter() - started) / count
signed = sign(SignatureParameters("9999", body)).site_signature
print(json.dumps([seconds(lambda: sign(SignatureParameters("9999", body))),
                  seconds(lambda: check(AuthenticationParameters("9999", signed, body)))]))
"""


def distinct_bodies() -> Iterator[Any]:
    return ({**BODY, "progress": number} for number in numbers())


def recorded_bodies() -> Iterator[Any]:
    """The recording again and again, each time of other jobs: bodies that name a job, table or metric differ then."""
    lines = (RECORDED / "fate_flow_1.11.2_site_bodies.jsonl").read_text("utf-8").splitlines()
    bodies = [json.loads(line)["body"] for line in lines]
    order = json.loads((RECORDED / "fate_flow_1.11.2_site_bodies_order.json").read_text("utf-8"))
    for replay in numbers():
        for body in (bodies[number] for number in order):
            yield {**body, "replay": replay} if OF_ITS_JOBS.search(json.dumps(body)) else body


def configured(folder: Path, port: int) -> Path:
    conf = folder / "service_conf.yaml"
    section = {"data_dir": str(folder / "data"), "listen": {"port": port},
               "authentication": {"party_id": "9999", "signature_over_http": True}}
    conf.write_text(yaml.safe_dump({SECTION: section}), "utf-8")
    return conf


def seconds(action: Callable[[], Any], count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        action()
    return (time.perf_counter() - started) / count


def medians(actions: Dict[str, Tuple[Callable[[], Any], int]]) -> Dict[str, float]:
    """Seconds of each, measured in turn."""
    runs: Dict[str, List[float]] = {name: [] for name in actions}
    for _ in range(ROUNDS):
        for name, (action, count) in actions.items():
            runs[name].append(seconds(action, count))
    return {name: statistics.median(found) for name, found in runs.items()}


def client_request() -> ClientRequest:
    """Signed now, as FATE's client does it."""
    headers = {"Timestamp": str(round(time.time() * 1000)), "Nonce": str(uuid.uuid1()), "App-Key": KEY}
    request = ClientRequest("/v1/job/query?", signed_headers(headers.items()), json.dumps(BODY).encode(), None, "POST")
    headers["Signature"] = Signer(SECRET, "hmac-sha1").sign(signed_text(request, KEY))
    return ClientRequest(request.full_path, signed_headers(headers.items()), request.body, None, "POST")


def in_process(authentication: Authentication, private: Any) -> None:
    scheme, text = pkcs1_15.new(private), json.dumps(BODY).encode()
    verifier, bare = pkcs1_15.new(private.publickey()), scheme.sign(crypto_sha256.new(text))
    openssl: Any = load_pem_private_key(private.export_key(), None)
    public = openssl.public_key()
    sites, clients, bodies = authentication.sites, authentication.clients, distinct_bodies()
    # Each is checked once: a nonce counts for three.
    signed = iter([sites.sign("9999", BODY) for _ in range(ROUNDS * 200)])
    requests = iter([client_request() for _ in range(ROUNDS * 2000)])
    took = medians({
        "one bare RSA signature, pycryptodome": (lambda: scheme.sign(crypto_sha256.new(text)), 100),
        "one bare RSA signature, OpenSSL": (lambda: openssl.sign(text, PKCS1v15(), SHA256()), 200),
        "ours: FATE's signature and the envelope": (lambda: sites.sign("9999", next(bodies)), 100),
        "one bare RSA verification, pycryptodome": (lambda: verifier.verify(crypto_sha256.new(text), bare), 200),
        "one bare RSA verification, OpenSSL": (lambda: public.verify(bare, text, PKCS1v15(), SHA256()), 500),
        "ours: the envelope verified": (lambda: sites.check("9999", next(signed), BODY), 200),
        "ours: client authentication": (lambda: clients.check(next(requests)), 2000),
    })
    took.update(built_in(private))
    show(f"Python {sys.version.split()[0]}, in process, {ROUNDS} rounds in turn, medians",
         ["", "microseconds"], [[name, value * 1e6] for name, value in took.items()])
    verdict("signature, of a bare one", took["ours: FATE's signature and the envelope"]
            / took["one bare RSA signature, pycryptodome"], 1.3)
    verdict("verification, of a bare one", took["ours: the envelope verified"]
            / took["one bare RSA verification, pycryptodome"], 1.3)
    verdict("client authentication, microseconds", took["ours: client authentication"] * 1e6, 100)


def built_in(private: Any) -> Dict[str, float]:
    """FATE Flow's own hooks, their database left out."""
    base = os.environ.get("FATE_PROJECT_BASE")
    if not base:
        return {}
    argument = json.dumps([private.export_key().decode(), private.publickey().export_key().decode(), BODY, 50])
    path = os.pathsep.join([f"{base}/python", f"{base}/fateflow/python"])
    output = subprocess.run(
        [os.environ.get("FATE_PYTHON", sys.executable), "-c", BUILT_IN, argument], check=True, stdout=subprocess.PIPE,
        env=dict(os.environ, PYTHONPATH=path, FATE_DEPLOY_BASE=base)).stdout
    sign, verify = json.loads(output.splitlines()[-1])
    return {"FATE Flow's built-in signature": sign, "FATE Flow's built-in verification": verify}


def request_bytes(port: int, uri: str, body: bytes) -> bytes:
    head = (f"POST {uri} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: python-requests/2.24.0\r\n"
            "Accept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\n"
            f"Content-Length: {len(body)}\r\nContent-Type: application/json\r\n\r\n")
    return head.encode() + body


def answer_to(port: int, request: bytes) -> bytes:
    """The body of the answer, over a connection of its own, as FATE Flow calls a service.

    Bare sockets: a client that takes as much of the machine as the server would be measured with it.
    """
    with socket.socket() as connection:
        connection.settimeout(30)
        connection.connect(("127.0.0.1", port))
        connection.sendall(request)
        received, length = b"", None
        while length is None or len(received) < length:
            chunk = connection.recv(1 << 16)
            if not chunk:
                raise ConnectionError(f"the server closed the connection after {received!r}")
            received += chunk
            head, end, _ = received.partition(b"\r\n\r\n")
            if end and length is None:
                length = len(head) + len(end) + int(CONTENT_LENGTH.search(head)[1])  # type: ignore[index]
        return received[len(head) + len(end):]


def requests_a_second(port: int, requests: List[bytes]) -> float:
    left = iter(requests)
    lock = threading.Lock()
    answers: List[bytes] = []

    def work() -> None:
        while True:
            with lock:
                request = next(left, None)
            if request is None:
                return
            answers.append(answer_to(port, request))
    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    refused = [answer for answer in answers if json.loads(answer)["code"] != 0]
    if refused or len(answers) != len(requests):
        sys.exit(f"{len(requests) - len(answers)} requests have no answer; refused: {refused[:1]}")
    return len(requests) / took


def over_http(conf: Path, port: int, authentication: Authentication, kind: str, named: str) -> None:
    settings = read_settings_file(conf)
    guard = AccessGuard(Storage(settings.data_dir, 0).secret(), (), ())
    uris = {**service_uris(guard, "127.0.0.1", port, set(ROWS.values())), "empty": "/empty", BARE: "/bare"}
    # Short turns and many: a machine's speed wanders by a fifth within seconds.
    count, turns = 250, 4 * ROUNDS
    # They go on from turn to turn, so that no turn repeats the one before.
    distinct, recorded = distinct_bodies(), recorded_bodies()

    def bodies(row: str) -> List[bytes]:
        if row == "site_authentication":
            made: List[Any] = [{"src_party_id": "9999", "site_signature": authentication.sites.sign("9999", BODY),
                                "body": BODY} for _ in range(count)]
        elif row == "client_authentication":
            requests = [client_request() for _ in range(count)]
            made = [{"full_path": request.full_path, "headers": dict(request.headers), "form": {},
                     "data": request.body.decode(), "json": BODY} for request in requests]
        else:
            source = recorded if row == "signature, recorded bodies" else distinct
            made = [{"party_id": "9999", "body": body} for body in islice(source, count)]
        return [json.dumps(body).encode() for body in made]

    runs: Dict[str, List[float]] = {name: [] for name in ("empty", BARE, *ROWS)}
    with subprocess.Popen([sys.executable, "-c", SERVER, str(conf), kind], stdout=subprocess.PIPE,
                          env=dict(os.environ, PYTHONPATH=PACKAGE_FOLDER)) as server:
        try:
            assert server.stdout and server.stdout.readline() == b"ready\n"
            for _ in range(turns):
                for name in runs:
                    uri = uris[ROWS.get(name, name)]
                    requests = [request_bytes(port, uri, body) for body in bodies(name)]
                    runs[name].append(requests_a_second(port, requests))
        finally:
            server.kill()
    shares = {name: statistics.median(rate / empty for rate, empty in zip(found, runs["empty"]))
              for name, found in runs.items()}
    texts = [json.dumps(body) for body in islice(recorded_bodies(), count * turns)]
    show(f"over HTTP, {named}, {THREADS} callers, {turns} turns, medians; of the recorded bodies "
         f"{1 - len(set(texts)) / len(texts):.0%} repeat an earlier one", ["", "requests/s", "share"],
         [[name, statistics.median(found), shares[name]] for name, found in runs.items()])
    for name in ROWS:
        verdict(f"{kind}: {name}, share of the empty view's rate", shares[name], 0.7, at_least=True)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as name:
        folder, port = Path(name), 39391
        conf = configured(folder, port)
        settings = read_settings_file(conf)
        (folder / "data").mkdir()
        private = RSA.generate(2048)
        store = Store(open_database(settings))
        authentication = open_authentication(
            settings, store, "9999", None, lambda: [("9999", "private", private.export_key().decode())])
        authentication.clients._clients.add(KEY, "the benchmark", secret=SECRET)
        in_process(authentication, private)
        for kind, named in SERVERS.items():
            over_http(conf, port, authentication, kind, named)


if __name__ == "__main__":
    main()
