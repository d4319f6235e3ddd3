"""docs/administration.md: its example runs, and its table is complete."""
import re
from pathlib import Path
from typing import Any, Dict

import pytest

from fate_ext_plugin.admin.catalog import OPERATIONS
from tests.support.builder import MakeSite

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "administration.md").read_text("utf-8")


def test_the_example_signs_as_the_server_wants_it(make_site: MakeSite) -> None:
    site = make_site(authentication={"party_id": "9999"}, permission={},
                     clients={"ops": {"role": "admin", "algorithm": "hmac-sha256"}})
    code = re.search(r"\n\n((?:    import [^\n]*\n)(?:(?:    [^\n]*)?\n)+)", TEXT)
    assert code
    found: Dict[str, Any] = {}
    exec(re.sub("^    ", "", code.group(1), flags=re.MULTILINE), found)
    assert len(code.group(1).strip().splitlines()) < 25

    def call(*request: Any, **body: Any) -> Any:
        return found["call"](site.address, "ops", site.secrets["ops"], *request, **body)
    assert call("GET", "/jobs", {"status": "failed"})["jobs"] == []
    assert call("POST", "/grants", body={"name": "new", "party": "*", "components": ["hetero*"]})["made_by"] == "ops"
    assert call("DELETE", "/grants/new")["name"] == "new"


def test_every_operation_is_in_the_table() -> None:
    rows = re.findall(r"^\| `(.+?)` \| (.+?) \| (admin|admin, viewer) \|$", TEXT, re.MULTILINE)
    assert rows == [(f"{operation.method} {operation.path}", operation.summary, ", ".join(operation.roles))
                    for operation in OPERATIONS]


@pytest.mark.parametrize("status", sorted({400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 503, 507}))
def test_every_status_is_explained(status: int) -> None:
    assert re.search(rf"^\| (?:\d+, )*{status}\b", TEXT, re.MULTILINE)
