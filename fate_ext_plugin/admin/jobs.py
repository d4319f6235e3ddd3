"""Feature jobs: list, show, cancel, delete."""
from typing import Any, Dict

from fate_ext_plugin.admin.context import AdminContext
from fate_ext_plugin.admin.operation import Call, Operation, read
from fate_ext_plugin.errors import WrongJobState
from fate_ext_plugin.feature.job import JobFilter
from fate_ext_plugin.schema import admin as schemas
from fate_ext_plugin.schema.serializers import job_dict


def list_jobs(context: AdminContext, call: Call) -> Dict[str, Any]:
    payload = dict(call.payload)
    page, size = payload.pop("page"), payload.pop("page_size")
    wanted = JobFilter(**payload)
    found = context.jobs.find(wanted, limit=size, offset=(page - 1) * size)
    return {"jobs": [job_dict(job) for job in found], "count": context.jobs.count(wanted), "page": page,
            "page_size": size}


def show_job(context: AdminContext, call: Call) -> Dict[str, Any]:
    return job_dict(context.jobs.get(call.path["job_id"]))


def cancel_job(context: AdminContext, call: Call) -> Dict[str, Any]:
    job_id = call.path["job_id"]
    status = context.jobs.get(job_id).status
    if not context.cancel(job_id):
        raise WrongJobState(f"The job can't be canceled any more: it is {status}.")
    return job_dict(context.jobs.get(job_id))


def delete_job(context: AdminContext, call: Call) -> Dict[str, Any]:
    """The janitor of another server deletes its files within a minute."""
    job = context.jobs.get(call.path["job_id"])
    if not context.jobs.remove(job.job_id):
        raise WrongJobState(f"The job is {job.status}; cancel it first.")
    context.storage.forget(job.job_id)
    return job_dict(job)


OPERATIONS = [
    read("jobs.list", "/jobs", list_jobs, schemas.JobsAnswer, "List feature jobs, the newest first", schemas.JobsQuery),
    read("jobs.show", "/jobs/<job_id>", show_job, schemas.JobAnswer, "Show a feature job"),
    Operation("jobs.cancel", "POST", "/jobs/<job_id>/cancel", cancel_job, schemas.JobAnswer,
              "Cancel a waiting or running feature job; its FATE job fails with that reason"),
    Operation("jobs.delete", "DELETE", "/jobs/<job_id>", delete_job, schemas.JobAnswer,
              "Forget a feature job that has ended, with its result"),
]
