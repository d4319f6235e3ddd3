"""What FATE Flow may send to itself on behalf of a partner: an allow-list."""
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fate_ext_plugin.host.partner_requests import (
    MODEL_PATHS,
    RefusedRequest,
    partner_headers,
    require_job_id,
    require_partner_request,
)

# Every path that FATE Flow 1.9 to 1.11 sends to a partner, one of each kind.
SENT = [
    "/v1/party/202201010000000000000/guest/9999/create",
    "/v1/party/202201010000000000000/host/10000/component/inheritance/check",
    "/v1/party/202201010000000000000/host/10000/component/rerun/check",
    "/v1/party/202201010000000000000/host/10000/dependence/check",
    "/v1/party/202201010000000000000/host/10000/resource/apply",
    "/v1/party/202201010000000000000/host/10000/resource/return",
    "/v1/party/202201010000000000000/host/10000/start",
    "/v1/party/202201010000000000000/host/10000/align",
    "/v1/party/202201010000000000000/host/10000/update",
    "/v1/party/202201010000000000000/host/10000/parameter/update",
    "/v1/party/202201010000000000000/host/10000/status/running",
    "/v1/party/202201010000000000000/host/10000/model",
    "/v1/party/202201010000000000000/host/10000/stop/canceled",
    "/v1/party/202201010000000000000/host/10000/clean",
    "/v1/party/2022/hetero_lr_0/2022_hetero_lr_0/0/host/10000/create",
    "/v1/party/2022/hetero-lr-0/2022_hetero-lr-0/0/host/10000/report",
    "/v1/party/2022/hetero_lr_0/2022_hetero_lr_0/0/host/10000/collect",
    "/v1/party/2022/hetero_lr_0/2022_hetero_lr_0/0/host/10000/clean/table",
    "/v1/party/2022/\u903b\u8f91\u56de\u5f52_0/2022_\u903b\u8f91\u56de\u5f52_0/0/host/10000/start",
    "/v1/initiator/202201010000000000000/guest/9999/stop/canceled",
    "/v1/initiator/202201010000000000000/guest/9999/rerun",
    "/v1/initiator/2022/hetero_lr_0/2022_hetero_lr_0/0/host/10000/report",
    "/v1/tracker/2022/hetero_lr_0/2022_hetero_lr_0/0/host/10000/metric_data/save",
    "/v1/tracker/2022/hetero_lr_0/host/10000/output/table",
    "/v1/model/load/do", "/v1/model/migrate/do", "/v1/model/deploy/do",
]
# Neighbours of allowed paths, FATE Flow's other paths, and ways to write a path that reaches another one.
REFUSED = [
    "", "/", "/v1", "/v1/", "/v1/party", "/v1/party/", "/v1/parties/1", "/v1/party_x/1", "/v1/trackers/1",
    "/v2/party/1/x", "/v1/initiator", "/v1/initiators/1", "/v1/tracking/job/data_view",
    "/v1/operation/json_conf/load", "/v1/operation/job_config/get", "/v1/server/get", "/v1/key/query",
    "/v1/job/list/job", "/v1/job/submit", "/v1/version/get", "/v1/info/common", "/v1/forward/fateflow/do",
    "/v1/worker/config/load", "/v1/service/query", "/v1/permission/query", "/v1/table/list", "/v1/ext/health",
    "/v1/ext/admin/clients", "/v1/ext/upload", "/v1/model/load", "/v1/model/load/", "/v1/model/load/do/",
    "/v1/model/load/do/x", "/v1/model/load/does", "/v1/model/migrate", "/v1/model/deploy", "/v1/model/export",
    "/v1/model/query/do", "/v1/model/do", "/v1/model/bind/do", "v1/party/1/x", "//v1/party/1/x", "/v1//party/1/x",
    "/v1/party//x", "/v1/party/1//x", "/v1/party/1/x/", "/v1/party/../server/get", "/v1/party/./x", "/v1/./party/1",
    "/v1/party/1/..", "/../v1/party/1", "/v1/party/...", "/v1/party/%2e%2e/server/get", "/v1/party/..%2fserver",
    "/v1/party/1%2f..%2f..%2fserver%2fget", "/v1/p%61rty/1/x", "/v1/party/%252e%252e/server/get",
    "/v1/party/1\\..\\..\\server\\get", "/v1\\party\\1", "\\v1\\party\\1", "/v1/party/1?x", "/v1/party/1?",
    "/v1/server/get?/v1/party/1", "/v1/party/1#x", "/v1/server/get#/v1/party/1", "/v1/party/1;x",
    "/v1/server/get;/v1/party/1", "/v1/model/load/do?x=1", "/v1/model/load/do#x", "http://127.0.0.1:9380/v1/party/1",
    "//127.0.0.1/v1/party/1", "@127.0.0.1/v1/party/1", "/v1/party/a@b", "/v1/party/a:b", "/V1/party/1", "/v1/PARTY/1",
    "/v1/Party/1", "/v1/Model/load/do", "/v1/model/LOAD/do", "/v1/model/load/Do", " /v1/party/1", "/v1/party/1 ",
    "/v1/party/1\n", "/v1/party/1\r\nX: y", "/v1/party/1\x00", "/v1/party/\t", "/v1/model/load/do\n",
    "/v1/p\u0430rty/1", "/v1/party\uff0f1/x", "/v1/party/\u2024\u2024/server", "/v1/party/\u2025", "\uff0fv1/party/1",
]


@pytest.mark.parametrize("path", SENT)
def test_every_path_that_fate_flow_sends_is_let_through(path: str) -> None:
    require_partner_request("POST", path)


@pytest.mark.parametrize("path", REFUSED)
def test_every_other_path_is_refused(path: str) -> None:
    with pytest.raises(RefusedRequest):
        require_partner_request("POST", path)


@pytest.mark.parametrize(
    "method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "post", "Post", "POST ", "", "P\u039fST"])
@pytest.mark.parametrize("path", SENT[-3:] + SENT[:1])
def test_every_other_method_is_refused(method: str, path: str) -> None:
    with pytest.raises(RefusedRequest):
        require_partner_request(method, path)


PIECES = ["/", "//", ".", "..", "%2e", "%2f", "%25", "\\", "?", "#", ";", "@", ":", " ", "\n", "\x00", "\uff0f",
          "\uff0e", "v1", "party", "initiator", "tracker", "model", "load", "do", "server", "get", "Party", "1",
          "\u903b", "http://a"]


@given(st.one_of(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), st.text(max_size=40)).flatmap(
    lambda text: st.sampled_from([text, f"/v1/party/{text}", f"/v1/model/load/do{text}", f"/v1/{text}"])))
@example("/v1/party/1/x")
def test_what_is_let_through_means_the_same_path_to_everybody(path: str) -> None:
    """However a URL is taken apart, unquoted or put in normal form, it stays what was allowed."""
    try:
        require_partner_request("POST", path)
    except RefusedRequest:
        return
    parts = urlsplit(f"http://127.0.0.1:9380{path}")
    assert (parts.netloc, parts.path, parts.query, parts.fragment) == ("127.0.0.1:9380", path, "", "")
    assert unquote(path) == path and unquote(quote(path)) == path
    empty, version, group, *segments = path.split("/")
    assert (empty, version) == ("", "v1")
    assert path in MODEL_PATHS or group in ("party", "initiator", "tracker")
    assert segments and not {"", ".", ".."} & set(segments)


@pytest.mark.parametrize("job_id", ["", "202201010000000000000", "party_info", "local-1"])
def test_job_ids_that_fate_flow_sends_are_let_through(job_id: str) -> None:
    require_job_id(job_id)


@pytest.mark.parametrize(
    "job_id", ["..", "../x", "/etc", "a/b", "a\\b", "1\n", "1\x00", "\u903b", "1" * 65, "a.b", "%2e%2e"])
def test_job_ids_that_could_name_another_folder_are_refused(job_id: str) -> None:
    with pytest.raises(RefusedRequest):
        require_job_id(job_id)


def test_only_headers_that_fate_flow_sends_are_forwarded() -> None:
    sent = {"User-Agent": "fateflow/1.11.4", "service": "fateflow", "src_fate_ver": "1.11.4", "src_party_id": "10000",
            "dest_party_id": "9999", "src_role": "host", "site_signature": "abc"}
    others = {"X-Forwarded-For": "10.0.0.1", "Host": "evil", "TIMESTAMP": "1", "NONCE": "1", "APP_KEY": "key",
              "APP-KEY": "key", "SIGNATURE": "x", "Content-Length": "3", "Transfer-Encoding": "chunked",
              "Connection": "upgrade", "Cookie": "fate_ext=1", "Authorization": "Basic x", "initiator-party-id": "0"}
    assert partner_headers({**sent, **others}) == {
        "USER-AGENT": "fateflow/1.11.4", "SERVICE": "fateflow", "SRC-FATE-VER": "1.11.4", "SRC-PARTY-ID": "10000",
        "DEST-PARTY-ID": "9999", "SRC-ROLE": "host", "SITE-SIGNATURE": "abc"}
