"""Errors of our own: each has a stable code, an HTTP status, and a message that says what to do.

Every error leaves as a 4xx or 5xx, because ApiReader silently ignores a ``code`` other than 0
that comes with status 200 (FATE Flow 1.11, ``components/api_reader.py``). The one exception: what authentication
refuses is an answer with status 200 and a ``code``, as FATE Flow reads it; so is what permission refuses.
The codes are five digits: the HTTP status, then a running number.
"""


class ExtError(Exception):
    """Base of all errors that may reach a caller; ``message`` is safe to show."""

    status = 500
    code = 50000

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidRequestBody(ExtError):
    """requestBody is missing, broken, duplicated, or holds something undeclared."""

    status, code = 400, 40001


class InvalidIdFile(ExtError):
    """The uploaded document can't be read as one ID a line."""

    status, code = 400, 40002


class EmptyUpload(ExtError):
    """No ID arrived."""

    status, code = 400, 40003


class IncompleteUpload(ExtError):
    """The connection ended before the body did."""

    status, code = 400, 40004


class InvalidSign(ExtError):
    """``sign`` is there but is not the MD5 of the job ID."""

    status, code = 400, 40005


class FateJobNotRunning(ExtError):
    """``job_id`` names no running job of this FATE Flow."""

    status, code = 403, 40302


# fate_flow.entity.RetCode, which FATE Flow hands on to the client.
AUTHENTICATION_ERROR, SERVER_ERROR = 109, 500


class Unauthenticated(ExtError):
    """A client or a site is not who it says, or may not do this; ``reason``, a few words, is for the audit trail."""

    status, code = 401, 40101

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class NotPermitted(ExtError):
    """A party may not do what it asks for; ``detail`` is FATE Flow's code for it: 2 a component, 3 a dataset."""

    status, code = 403, 40303

    def __init__(self, message: str, detail: int) -> None:
        super().__init__(message)
        self.detail = detail


class InvalidKey(ExtError):
    """A key or client that can't be taken, or is not there."""

    status, code = 400, 40006


class UnknownKey(InvalidKey):
    """A key or client that is not there."""

    status, code = 404, 40404


class KeyTaken(InvalidKey):
    """There is one of that name already, or it is not for this door to change."""

    status, code = 409, 40902


class InvalidPermissionRequest(ExtError):
    """A request for permission that is not of FATE Flow's form."""

    status, code = 400, 40007


class InvalidGrant(ExtError):
    """A grant that can't be taken, or is not there."""

    status, code = 400, 40008


class UnknownGrant(InvalidGrant):
    status, code = 404, 40405


class GrantTaken(InvalidGrant):
    """There is one of that name already."""

    status, code = 409, 40903


class Forbidden(ExtError):
    """The fence refused the caller; the reason stands in the log, not in the answer."""

    status, code = 403, 40301


class RoleMissing(ExtError):
    """A client is who it says, but its role does not allow this; ``reason``, a few words, is for the audit trail."""

    status, code = 403, 40304
    reason = "no such role"


class StaleForm(ExtError):
    """A form that this server did not give out to this browser, or did before it restarted."""

    status, code = 403, 40305
    reason = "no form of ours"


class NoSuchPath(ExtError):
    status, code = 404, 40401


class UnknownJob(ExtError):
    status, code = 404, 40402


class NoData(ExtError):
    """The view is fine, but nothing is stored for these parameters."""

    status, code = 404, 40403


class UnknownView(ExtError):
    status, code = 404, 40406


class NotSetUp(ExtError):
    """What is asked for belongs to a service that this site has not set up."""

    status, code = 404, 40407


class MethodNotAllowed(ExtError):
    status, code = 405, 40501


class ResultNotReady(ExtError):
    """The job has not ended with success, so there is nothing to download."""

    status, code = 409, 40901


class WrongJobState(ExtError):
    """The job has ended where it must not have, or has not where it must."""

    status, code = 409, 40904


class JobFailed(ExtError):
    """A test of a view ended with what a job would fail with."""

    status, code = 422, 42202


class ResultExpired(ExtError):
    status, code = 410, 41001


class UploadTooLarge(ExtError):
    """More bytes or more IDs than the settings allow."""

    status, code = 413, 41301


class RequestTooLarge(ExtError):
    """A body longer than any that FATE Flow sends to be signed or checked."""

    status, code = 413, 41302


class UnsupportedBody(ExtError):
    """A Content-Type that is none of the three forms of an upload."""

    status, code = 415, 41501


class InvalidFeature(ExtError):
    """A source holds something that FATE would misread: a bad value, or two rows for one ID."""

    status, code = 422, 42201


class TooManyJobs(ExtError):
    status, code = 429, 42901


class InvalidSettings(ExtError):
    """The section ``fate_ext_plugin`` can't be used; the message names the key."""

    status, code = 500, 50001


class SourceError(ExtError):
    """A feature view's source can't be read as configured."""

    status, code = 500, 50002


class WorkerError(ExtError):
    """The child process that joins the features ended without an answer."""

    status, code = 500, 50003


class HttpVersionTooOld(ExtError):
    """HTTP/1.0 can't tell a whole download from a broken one to a client that does not count bytes."""

    status, code = 505, 50501


class DatabaseUnavailable(ExtError):
    status, code = 503, 50301


class NotReady(ExtError):
    """This server can't do its work now; the message names each part that fails."""

    status, code = 503, 50302


class NoAnswerYet(ExtError):
    """Something that is looked at takes longer than anyone waits for it."""

    status, code = 503, 50303


class DiskFull(ExtError):
    status, code = 507, 50701
