"""upload, query and download: what ApiReader calls."""
import json
import zlib
from typing import Any, Callable, Dict, Iterable, Iterator, Optional, Tuple, Union
from urllib.parse import urlencode

from flask import Response, jsonify, request, stream_with_context
from werkzeug.datastructures import MultiDict

from fate_ext_plugin.apps.blueprint import ServiceBlueprint, held
from fate_ext_plugin.apps.headers import preferences
from fate_ext_plugin.apps.request_body import body_of
from fate_ext_plugin.apps.upload_body import open_document, request_body_of
from fate_ext_plugin.errors import DatabaseUnavailable, HttpVersionTooOld, InvalidRequestBody, JobCanceled, UnknownJob
from fate_ext_plugin.feature import job as states
from fate_ext_plugin.feature.job import Job
from fate_ext_plugin.feature.service import Elsewhere, FeatureService, Result
from fate_ext_plugin.schema.feature import (
    MAX_REQUEST_BODY,
    DownloadRequest,
    QueryAnswer,
    QueryRequest,
    UploadAnswer,
    UploadRequest,
    load_json,
)

DOWNLOAD_CHUNK_BYTES = 1 << 18
# Under nginx's read timeout of 60 s; a blank in front of the JSON keeps the connection alive.
BEAT_SECONDS = 20.0
# ApiReader polls for 12 hours at most, so nobody waits longer.
MAX_WAIT_SECONDS = 43200.0
# In a url that one server gives for another: the one that it means.
SENT_TO = "server"
# Of a job that an older version ended, whose reason may name a path.
ENDED = "The feature job has ended; the site's operator finds the reason by `fate-ext jobs show`."
# How a body without a length is sent: by the server, or framed by us where it can't.
Frame = Callable[[Iterable[bytes]], Iterable[bytes]]


def add_feature_services(
    blueprint: ServiceBlueprint, service: FeatureService, long_poll_seconds: float, gzip: bool, frame: Optional[Frame]
) -> None:
    """:param frame: frames chunks for a server that does not speak chunked transfer itself; None: it does."""

    def upload() -> Any:
        fields, chunks = open_document(request)
        body = load_json(UploadRequest, request_body_of(request, fields), "requestBody")
        job_id = service.upload(body, request.content_length, chunks)
        return jsonify(UploadAnswer().dump({"code": 0, "message": "success", "data": {"jobId": job_id}}))

    def query() -> Any:
        job_id = load_json(QueryRequest, _body_text(), "The body")["jobId"]
        answers = service.hold(job_id, _wait_seconds(long_poll_seconds), BEAT_SECONDS)
        return _held(answers, job_id)

    def download() -> Any:
        _require_chunks()
        body = load_json(DownloadRequest, request_body_of(request, MultiDict()), "requestBody")
        result = service.result(body["jobId"], body.get("sign"), request.args.get(SENT_TO))
        if isinstance(result, Elsewhere):
            return _redirect(result)
        response = Response(mimetype="text/csv")
        blocks = _blocks(result)
        if gzip and _accepts_gzip(request.headers.get("Accept-Encoding", "")):
            blocks = _compressed(blocks)
            response.headers["Content-Encoding"] = "gzip"
            response.headers["Vary"] = "Accept-Encoding"
        if frame is not None:
            response.headers["Transfer-Encoding"] = "chunked"
            blocks = iter(frame(blocks))
        response.response = blocks
        return response

    blueprint.add("upload", ["POST"], upload)
    blueprint.add("query", ["POST"], query)
    blueprint.add("download", ["GET", "POST"], download)


# -- query -----------------------------------------------------------------------------------------------------------


def _body_text() -> str:
    """The body, or as much of it as shows that it is too long."""
    body = b""
    for chunk in body_of(request).chunks():
        body += chunk
        if len(body) > 4 * MAX_REQUEST_BODY:
            break
    return body.decode("utf-8", "replace")


def _wait_seconds(default: float) -> float:
    """How long to hold a query: the url may say so; the one registered in FATE Flow says "to the end"."""
    text = request.args.get("wait")
    if text is None:
        return default
    try:
        seconds = float(text)
        if not 0 <= seconds <= MAX_WAIT_SECONDS:
            raise ValueError
    except ValueError:
        raise InvalidRequestBody(f"wait must be a number of seconds up to {MAX_WAIT_SECONDS:.0f}.") from None
    return seconds


def _held(answers: Iterator[Job], job_id: str) -> Union[Response, Tuple[Response, int]]:
    """Answer at once where the job has ended; otherwise stream blanks until it does, then the answer."""
    try:
        job = next(answers)
        with held():
            following = next(answers, None) if job.active else None
    except UnknownJob as error:
        return jsonify(_answer(job_id, "unknown", error.code, error.public))
    except DatabaseUnavailable as error:
        # To ApiReader a status other than 200 means: ask again; without a data.status it would die.
        return jsonify(_answer(job_id, states.RUNNING, error.code, error.public)), error.status
    if following is None:
        return jsonify(_answer_for(job))

    def stream() -> Iterator[bytes]:
        last = following
        try:
            for job in answers:
                last = job
                yield b" "
        except (UnknownJob, DatabaseUnavailable):
            pass  # the last known state stands; ApiReader asks again
        yield json.dumps(_answer_for(last)).encode("ascii")
    if not following.active:
        return jsonify(_answer_for(following))
    return Response(stream_with_context(stream()), mimetype="application/json")


def _answer_for(job: Job) -> Dict[str, Any]:
    if job.active:
        return _answer(job.job_id, states.RUNNING, 0, "The job waits for its turn." if job.status == states.WAITING
                       else "The job is running.", job)
    if job.status == states.SUCCESS:
        return _answer(job.job_id, states.SUCCESS, 0, f"{job.matched} of {job.ids} IDs have features.", job)
    if job.status == states.EXPIRED:
        return _answer(job.job_id, states.EXPIRED, 41001, "The result was deleted; run the FATE job again.", job)
    return _answer(job.job_id, job.status, job.error_code or JobCanceled.code, job.public_error or ENDED, job)


def _answer(job_id: str, status: str, code: int, message: str, job: Optional[Job] = None) -> Dict[str, Any]:
    data: Dict[str, Any] = {"jobId": job_id, "status": status, "message": message}
    if job is not None:
        data.update(progress=job.progress, ids=job.ids, matched=job.matched, missing=job.missing,
                    elapsedSeconds=job.elapsed_ms() / 1000)
    answer: Dict[str, Any] = QueryAnswer().dump({"code": code, "message": message, "status": status, "data": data})
    return answer


# -- download --------------------------------------------------------------------------------------------------------


def _blocks(result: Result) -> Iterator[bytes]:
    """The file; a file shorter than it was aborts the connection, so that it never looks complete."""
    left = result.size
    with result.file:
        while left > 0:
            block = result.file.read(min(DOWNLOAD_CHUNK_BYTES, left))
            if not block:
                raise OSError("the result file is shorter than it was")
            left -= len(block)
            yield block


def _redirect(place: Elsewhere) -> Response:
    """To the server that has the result, with all that the caller sent, its token too: requests follows a 307 with the
    same method, whichever the registry names."""
    arguments = urlencode([*request.args.items(multi=True), (SENT_TO, place.instance)])
    return Response(status=307, headers={
        "Location": f"{place.address}{request.path}?{arguments}", "Cache-Control": "no-store"})


def _compressed(blocks: Iterator[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(1, zlib.DEFLATED, 31)
    for block in blocks:
        compressed = compressor.compress(block)
        if compressed:
            yield compressed
    yield compressor.flush()


def _accepts_gzip(header: str) -> bool:
    weights = preferences(header)
    return weights.get("gzip", weights.get("*", 0)) > 0


def _require_chunks() -> None:
    """ApiReader does not notice a body shorter than its Content-Length, only a broken chunk (contract section 2).

    A proxy that speaks HTTP/1.0 to us would make the one of the other.
    """
    if request.environ.get("SERVER_PROTOCOL") == "HTTP/1.0":
        raise HttpVersionTooOld(
            "A download needs HTTP/1.1, so that a broken one never looks complete. Behind nginx, set "
            "proxy_http_version 1.1.")
