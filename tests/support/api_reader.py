"""What FATE Flow's ApiReader does, request by request (FATE Flow 1.11.2, components/api_reader.py)."""
import hashlib
import io
import json
from typing import Any, Dict, List, Optional, Union

import requests
from requests_toolbelt import MultipartEncoder

from tests.support.site import Site


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
            headers={"Content-Type": data.content_type}, timeout=60)

    def job(self, ids: Union[bytes, List[str]], **parameters: Any) -> str:
        """Upload what must be accepted; returns the feature job's ID."""
        response = self.upload(ids, **parameters)
        assert response.status_code == 200, response.text
        answer = response.json()
        assert answer["code"] == 0
        return str(answer["data"]["jobId"])

    def query(self, job_id: str) -> requests.Response:
        """Held until the job ends."""
        return requests.post(self.site.url("query"), json={"jobId": job_id}, timeout=120)

    def status(self, job_id: str) -> Dict[str, Any]:
        """``data`` of the answer once the job has ended."""
        response = self.query(job_id)
        assert response.status_code == 200, response.text
        data: Dict[str, Any] = response.json()["data"]
        return data

    def download(self, job_id: str, sign: Optional[str] = None, **options: Any) -> requests.Response:
        body = {"jobId": job_id, "sign": md5(job_id) if sign is None else sign}
        return requests.post(
            self.site.url("download"), params={"requestBody": json.dumps(body)}, timeout=60, **options)

    def features(self, ids: Union[bytes, List[str]], **parameters: Any) -> List[str]:
        """The whole way; returns the lines of the feature file, the header first and the rest sorted."""
        job_id = self.job(ids, **parameters)
        data = self.status(job_id)
        assert data["status"] == "success", data
        response = self.download(job_id)
        assert response.status_code == 200, response.text
        header, *lines = response.content.decode().splitlines()
        return [header, *sorted(lines)]
