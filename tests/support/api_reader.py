"""What FATE Flow's ApiReader does, request by request (FATE Flow 1.11.2, components/api_reader.py)."""
import hashlib
import io
import json
import time
from typing import Any, Dict, List, Optional, Union

import requests
from requests_toolbelt import MultipartEncoder

from tests.support.background import Background
from tests.support.site import PATIENCE_SECONDS, Site, wait_until


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


class ApiReader:
    """Uploads, polls and downloads at ``site`` as the component does, with the site's registered urls."""

    def __init__(self, site: Site, fate_job_id: str = "202611231038053132510") -> None:
        self.site = site
        self.fate_job_id = fate_job_id

    def upload(self, ids: Union[bytes, List[str]], **parameters: Any) -> requests.Response:
        """``ids`` as a list is written as ApiReader does where its table has no schema: no header line."""
        content = ids if isinstance(ids, bytes) else "".join(f"{id}\n" for id in ids).encode()
        data = MultipartEncoder(fields={"file": ("id", io.BytesIO(content), "application/octet-stream")})
        body = {**parameters, "job_id": self.fate_job_id, "sign": md5(self.fate_job_id)}
        return requests.post(
            self.site.url("upload"), params={"requestBody": json.dumps(body)}, data=data,
            headers={"Content-Type": data.content_type}, timeout=PATIENCE_SECONDS)

    def job(self, ids: Union[bytes, List[str]], **parameters: Any) -> str:
        """Upload what must be accepted; returns the feature job's ID."""
        response = self.upload(ids, **parameters)
        assert response.status_code == 200, response.text
        answer = response.json()
        assert answer["code"] == 0
        return str(answer["data"]["jobId"])

    def query(self, job_id: str) -> requests.Response:
        """Held until the job ends."""
        return requests.post(self.site.url("query"), json={"jobId": job_id}, timeout=PATIENCE_SECONDS)

    def status(self, job_id: str) -> Dict[str, Any]:
        """``data`` of the answer once the job has ended."""
        response = self.query(job_id)
        assert response.status_code == 200, response.text
        data: Dict[str, Any] = response.json()["data"]
        return data

    def polled(self, job_id: str) -> Dict[str, Any]:
        """As :meth:`status`, but asks again while it says running, whatever the HTTP status: as the component does."""
        while True:
            response = self.query(job_id)
            data: Dict[str, Any] = response.json()["data"]
            if data["status"] != "running":
                assert response.status_code == 200, response.text
                return data
            time.sleep(0.1)

    def held(self, job_id: str) -> "Background[Dict[str, Any]]":
        """:meth:`status` that is under way: the server holds the query. Needs the setting ``metrics``, and that no
        other query comes or goes."""
        before = self.site.held_queries()
        query = Background(lambda: self.status(job_id))
        wait_until(lambda: query.ended or self.site.held_queries() > before, what="the query to be held")
        return query

    def download(self, job_id: str, sign: Optional[str] = None, **options: Any) -> requests.Response:
        body = {"jobId": job_id, "sign": md5(job_id) if sign is None else sign}
        return requests.post(
            self.site.url("download"), params={"requestBody": json.dumps(body)}, timeout=PATIENCE_SECONDS,
            **options)

    def features(self, ids: Union[bytes, List[str]], **parameters: Any) -> List[str]:
        """The whole way; returns the lines of the feature file, the header first and the rest sorted."""
        job_id = self.job(ids, **parameters)
        data = self.status(job_id)
        assert data["status"] == "success", data
        response = self.download(job_id)
        assert response.status_code == 200, response.text
        header, *lines = response.content.decode().splitlines()
        return [header, *sorted(lines)]
