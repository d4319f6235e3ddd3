"""Errors of our own: each has a stable code, an HTTP status, and a message that says what to do.

Every error leaves as a 4xx or 5xx, because ApiReader silently ignores a ``code`` other than 0
that comes with status 200 (FATE Flow 1.11, ``components/api_reader.py``). The one exception: what authentication
refuses is an answer with status 200 and a ``code``, as FATE Flow reads it; so is what permission refuses.
The codes are five digits: the HTTP status, then a running number.

docs/errors.md is made of the docstrings (``make docs``): the first paragraph is the cause, unless ``Cause:`` says it
for operators; ``Cure:`` what they do about it; ``Seen:`` where.
"""
from typing import Optional

LOOK = "the site's operator finds the reason in the server's log"


class ExtError(Exception):
    """Base of all errors that may reach a caller.

    ``message`` is for operators of this site: logs, commands, administration. ``public`` is for everybody else: it
    names no path, address or url of the server.

    Cause: Something that nobody thought of: a bug
    Cure: the server's log has the trace; report it
    Seen: every service; commands
    """

    status = 500
    code = 50000
    #: what callers are told in place of a message that may name a path, an address or a url; None: it names none
    cover: Optional[str] = None

    def __init__(self, message: str, public: Optional[str] = None) -> None:
        """:param public: the message for callers, where ``cover`` would say too little."""
        super().__init__(message)
        self.message = message
        self.public = public or self.cover or message


class InvalidRequestBody(ExtError):
    """requestBody, or another service's JSON body, is missing, broken, duplicated, or holds something undeclared.

    Cure: the message lists what is allowed
    Seen: every service
    """

    status, code = 400, 40001


class InvalidIdFile(ExtError):
    """The uploaded document can't be read as one ID a line.

    Cure: the message says where; it is UTF-8 text with one ID a line
    Seen: upload
    """

    status, code = 400, 40002


class EmptyUpload(ExtError):
    """No ID arrived.

    Cure: the ID table is empty, or FATE Flow is older than 1.11.1 (with `verify_job: false`): upgrade it
    Seen: upload
    """

    status, code = 400, 40003


class IncompleteUpload(ExtError):
    """The connection ended before the body did.

    Cure: look at the network and at proxies in between
    Seen: upload
    """

    status, code = 400, 40004


class InvalidSign(ExtError):
    """``sign`` is there but is not the MD5 of the job ID.

    Cure: send what ApiReader sends, or leave it out
    Seen: upload, download
    """

    status, code = 400, 40005


class FateJobNotRunning(ExtError):
    """``job_id`` names no running job of this FATE Flow.

    Cure: run it from a FATE job, or set `verify_job: false`. FATE Flow before 1.11.1 sends no `job_id`: upgrade it
    Seen: upload
    """

    status, code = 403, 40302


# fate_flow.entity.RetCode, which FATE Flow hands on to the client.
AUTHENTICATION_ERROR, SERVER_ERROR = 109, 500


class Unauthenticated(ExtError):
    """A client or a site is not who it says, or may not do this.

    ``reason``, a few words, is for the audit log.

    Cure: `fate-ext audit --refused` gives the reason; see authentication.md
    Seen: client and site authentication, with FATE Flow's code 109
    """

    status, code = 401, 40101

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class NotPermitted(ExtError):
    """A party may not do what it asks for.

    ``detail`` is FATE Flow's code for it: 2 a component, 3 a dataset.

    Cure: the message names the grant that came nearest; `fate-ext grant explain` tells more
    Seen: permission, with FATE Flow's code 2 (a component) or 3 (a dataset)
    """

    status, code = 403, 40303

    def __init__(self, message: str, detail: int) -> None:
        super().__init__(message)
        self.detail = detail


class InvalidKey(ExtError):
    """A key or client that can't be taken, or is not there.

    Cure: the message says what is wrong with it
    Seen: commands `client` and `key`
    """

    status, code = 400, 40006


class UnknownKey(InvalidKey):
    """A key or client that is not there.

    Cure: look at the list
    Seen: administration, the console; commands `client` and `key`
    """

    status, code = 404, 40404


class KeyTaken(InvalidKey):
    """There is one of that name already, or it is not for this client to change.

    Cure: the message says which; take another name, or another client
    Seen: administration, the console; commands `client` and `key`
    """

    status, code = 409, 40902


class InvalidPermissionRequest(ExtError):
    """A request for permission that is not of FATE Flow's form.

    Cure: ask as FATE Flow does; its versions 1.9 to 1.11 are known here
    Seen: permission
    """

    status, code = 400, 40007


class InvalidGrant(ExtError):
    """A grant that can't be taken, or is not there.

    Cure: the message names the key and what is allowed
    Seen: command `grant`
    """

    status, code = 400, 40008


class UnknownGrant(InvalidGrant):
    """There is no grant of that name.

    Cure: look at the list
    Seen: administration, the console; command `grant`
    """

    status, code = 404, 40405


class GrantTaken(InvalidGrant):
    """There is a grant of that name already.

    Cure: take another name, or remove that one first
    Seen: administration, the console; command `grant`
    """

    status, code = 409, 40903


class Forbidden(ExtError):
    """Access control refused the caller; the reason stands in the log, not in the answer.

    Cause: Access control refused the caller: its address or its token
    Cure: the server's log says why; see `allowed_networks`, and whether the registered url is the current one
    Seen: every service
    """

    status, code = 403, 40301


class RoleMissing(ExtError):
    """A client is who it says, but its role does not allow this; ``reason``, a few words, is for the audit log.

    Cure: use a client with the role `admin`, or `viewer` where nothing is changed (`fate-ext client add --role`)
    Seen: administration, the console
    """

    status, code = 403, 40304
    reason = "no such role"


class StaleForm(ExtError):
    """A form that this server did not give out to this browser, or did before it restarted.

    Cure: load the page again, and send it once more
    Seen: the console
    """

    status, code = 403, 40305
    reason = "no form of ours"


class NoSuchPath(ExtError):
    """There is no such service.

    Cure: check the url; a service without its section in the settings is not served
    Seen: every path
    """

    status, code = 404, 40401


class UnknownJob(ExtError):
    """There is no such feature job, or no more.

    Cure: run the FATE job again
    Seen: query, download; command `jobs`
    """

    status, code = 404, 40402


class NoData(ExtError):
    """The view is fine, but nothing is stored for these parameters.

    Cure: check the parameters' values, or load that data
    Seen: upload; query, where the job finds out
    """

    status, code = 404, 40403


class UnknownView(ExtError):
    """There is no view of that name.

    Cure: the message lists those there are
    Seen: administration, the console; command `views`
    """

    status, code = 404, 40406


class NotSetUp(ExtError):
    """What is asked for belongs to a service that this site has not set up.

    Cure: the message names the section that is missing in the settings
    Seen: administration, the console
    """

    status, code = 404, 40407


class MethodNotAllowed(ExtError):
    """The service does not take this HTTP method.

    Cure: the message says which it takes
    Seen: every service
    """

    status, code = 405, 40501


class JobCanceled(ExtError):
    """The feature job was canceled.

    Cure: run the FATE job again
    Seen: query
    """

    status, code = 409, 40900


class ResultNotReady(ExtError):
    """The job has not ended with success, so there is nothing to download.

    Cure: query until it ends; a failed job says why there
    Seen: download
    """

    status, code = 409, 40901


class WrongJobState(ExtError):
    """The job has ended where it must not have, or has not where it must.

    Cure: look at its status: only a waiting or running job can be canceled, only one that has ended deleted
    Seen: administration, the console; command `jobs`
    """

    status, code = 409, 40904


class JobFailed(ExtError):
    """A test of a view ended with what a job would fail with.

    Cure: the message says what
    Seen: administration, the console; command `views`
    """

    status, code = 422, 42202


class ResultExpired(ExtError):
    """The result was deleted after ``result_retention_seconds``.

    Cure: run the FATE job again
    Seen: query, download
    """

    status, code = 410, 41001


class Misdirected(ExtError):
    """A request that another server sent here for a third one: one of them tells a wrong address.

    Cure: give each of several servers an address of its own; `fate-ext check` says which is wrong
    Seen: download
    """

    status, code = 421, 42101


class LengthRequired(ExtError):
    """The body of an unsigned request comes in chunks, with no Content-Length.

    Cure: send it with its length, as browsers and FATE's clients do
    Seen: administration, console
    """

    status, code = 411, 41100


class UploadTooLarge(ExtError):
    """More bytes or more IDs than the settings allow.

    Cure: split the table, or raise `max_upload_bytes` or `max_ids`
    Seen: upload
    """

    status, code = 413, 41301


class RequestTooLarge(ExtError):
    """A body longer than any that FATE Flow sends to be signed or checked.

    Cure: something other than FATE Flow calls; look at the caller
    Seen: authentication, signature, permission
    """

    status, code = 413, 41302


class UnsupportedBody(ExtError):
    """A Content-Type that is none of the three forms of an upload.

    Cure: multipart/form-data, or the IDs as application/octet-stream
    Seen: upload
    """

    status, code = 415, 41501


class InvalidFeature(ExtError):
    """A source holds something that FATE would misread: a bad value, or two rows for one ID.

    Cure: the message names it; correct the data, or see `duplicate_rows` and `misread_values` of the view
    Seen: query
    """

    status, code = 422, 42201


class TooManyJobs(ExtError):
    """``max_waiting_jobs`` wait already.

    Cure: try later, or raise it
    Seen: upload
    """

    status, code = 429, 42901


class InvalidSettings(ExtError):
    """The section ``fate_ext_plugin`` can't be used; the message names the key.

    Cure: `fate-ext check` shows all that is wrong
    Seen: the start, commands; hooks refuse every request, and the log has the message
    """

    status, code = 500, 50001
    cover = f"The server's settings can't be used; {LOOK}."


class SourceError(ExtError):
    """A feature view's source can't be read as configured.

    Cure: the server's log says why; `fate-ext check` looks at all sources
    Seen: upload, query; command `check`
    """

    status, code = 500, 50002
    cover = f"The view's source can't be read; {LOOK}, and of a job by `fate-ext jobs show`."


class WorkerError(ExtError):
    """The child process that joins the features ended without an answer.

    Cause: The process of the feature job died, ran longer than `job_timeout_seconds`, or needs more than
      `job_memory_mb`
    Cure: the message says which
    Seen: query
    """

    status, code = 500, 50003


class UnsupportedHost(ExtError):
    """The plugin runs inside a FATE Flow whose code it does not know, so that it can't close what stands open there.

    Cure: use a released FATE Flow 1.9, 1.10 or 1.11; the log says what differs
    Seen: hooks refuse every request; `/ready`
    """

    status, code = 500, 50004
    cover = f"The server's FATE Flow is not supported; {LOOK}."


class OtherDatabase(ExtError):
    """A command would open another database than the server works on, where nothing it changes would take effect.

    Cure: the message names both, and says how to reach the server's; mostly FORCE_USE_MYSQL is set for one of them only
    Seen: commands
    """

    status, code = 500, 50005
    cover = f"This is not the server's database; {LOOK}."


class AuditLogUnreadable(ExtError):
    """The audit log can't be read; the message names the file, and says why.

    Cure: let the server's user read what is in `audit` in data_dir
    Seen: administration, the console, `fate-ext audit`
    """

    status, code = 500, 50006
    cover = f"The audit log can't be read; {LOOK}."


class HttpVersionTooOld(ExtError):
    """HTTP/1.0 can't tell a whole download from a broken one to a client that does not count bytes.

    Cure: behind nginx, `proxy_http_version 1.1`
    Seen: download
    """

    status, code = 505, 50501


class NotMounted(ExtError):
    """The plugin is mounted in FATE Flow, but could not start.

    Cure: fate_flow_stat.log says why in one line; then restart FATE Flow
    Seen: every path
    """

    status, code = 503, 50300


class DatabaseUnavailable(ExtError):
    """The database does not answer.

    Cure: the server's log says more; nothing needs to be done once it is back
    Seen: every service; commands
    """

    status, code = 503, 50301


class NotReady(ExtError):
    """This server can't do its work now; the message names each part that fails.

    Cure: see to what the message names
    Seen: `/v1/ext/ready`
    """

    status, code = 503, 50302


class NoAnswerYet(ExtError):
    """Something that is looked at takes longer than anyone waits for it.

    Cure: the message of `/v1/ext/ready` names the part that hangs
    Seen: `/v1/ext/ready`
    """

    status, code = 503, 50303


class ServerGone(ExtError):
    """What is asked for lies with a server that shows no life.

    Cure: start that server again, or run the FATE job again
    Seen: download
    """

    status, code = 503, 50304


class DiskFull(ExtError):
    """The disk of ``data_dir`` is full, or has less than ``min_free_bytes`` free.

    Cure: free space there, or lower `min_free_bytes`
    Seen: upload, query; command `check`
    """

    status, code = 507, 50701
