"""Jobs, clients and keys as commands and /v1/ext/admin show them: all but secrets, dates by this machine's clock."""
from typing import Any, Dict, Mapping

from fate_ext_plugin.db.base import date_of, now_ms
from fate_ext_plugin.feature.job import Job


def job_dict(job: Job) -> Dict[str, Any]:
    return {
        "job_id": job.job_id, "status": job.status, "progress": job.progress, "view": job.view,
        "request": dict(job.request), "id_name": job.id_name, "fate_job_id": job.fate_job_id, "attempt": job.attempt,
        "ids": job.ids, "matched": job.matched, "missing": job.missing, "upload_bytes": job.upload_bytes,
        "result_bytes": job.result_bytes, "created": date_of(job.create_time),
        "started": job.start_time and date_of(job.start_time), "ended": job.end_time and date_of(job.end_time),
        "elapsed_seconds": job.elapsed_ms() / 1000, "error_code": job.error_code, "error": job.error,
    }


def client_dict(row: Mapping[str, Any]) -> Dict[str, Any]:
    now, expires, previous = now_ms(), row["expires"], row["previous_secret_until"]
    status = "disabled" if not row["enabled"] else "expired" if expires and expires <= now else "enabled"
    return {
        "app_key": row["app_key"], "name": row["name"], "status": status, "role": row["role"],
        "algorithm": row["algorithm"],
        "expires": date_of(expires) if expires else None, "paths": row["paths"], "methods": row["methods"],
        "networks": row["networks"],
        "old_secret_until": date_of(previous) if previous and previous > now else None,
        "created": row["created"], "changed": row["changed"],
    }


def key_dict(row: Mapping[str, Any]) -> Dict[str, Any]:
    return {**row, "fingerprint": f"SHA256:{row['fingerprint']}",
            **{key: row[key] and date_of(row[key]) for key in ("valid_from", "valid_until")}}
