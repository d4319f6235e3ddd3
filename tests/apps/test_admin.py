"""Administration over REST, /v1/ext/admin: what each operation does, and who may do it."""
import json
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest
import requests

from fate_ext_plugin.admin.catalog import BY_NAME, OPERATIONS
from fate_ext_plugin.audit.search import read
from fate_ext_plugin.auth.client_signature import ClientRequest, Signer, signed_text
from fate_ext_plugin.db.base import now_ms
from fate_ext_plugin.schema.admin import SettingsAnswer
from fate_ext_plugin.settings.model import AuthenticationSettings, PermissionSettings, Settings
from tests.support.admin import PREFIX, Admin
from tests.support.api_reader import ApiReader
from tests.support.builder import MakeSite
from tests.support.credit import credit_view
from tests.support.keys import private_pem, public_of
from tests.support.recordings import vectors
from tests.support.site import Site, wait_until
from tests.support.slow_source import slow_view, wait_started
from tests.support.tables import Tables
from tests.support.wire import exchange, refused

# A stock fate-client's, as it is when its site has the plugin: without a role.
PLAIN = "fate-client"


@pytest.fixture(scope="module")
def site(make_shared_site: MakeSite) -> Site:
    """A site with features, authentication and permission, and an admin ``ops``, a viewer and a stock client."""
    return make_shared_site(
        views={"credit": credit_view, "broken": without_files, "bad": without_column}, concurrent_jobs=1,
        authentication={"party_id": "9999"}, permission={"time_zone": "Asia/Shanghai"},
        clients={"ops": {"role": "admin", "algorithm": "hmac-sha256"}, "looker": "viewer", PLAIN: None},
        private_keys={"9999": vectors("1.11.2")["private_key"]})


def without_files(folder: Path) -> Dict[str, Any]:
    source = {"type": "file", "path": str(folder / "none" / "*.parquet")}
    return {**credit_view(folder), "source": source, "parameters": {}}


def without_column(folder: Path) -> Dict[str, Any]:
    """The files have no such one."""
    return {**credit_view(folder), "columns": ["colour"]}


def client(site: Site, app_key: str) -> Admin:
    return Admin(site.address, app_key, site.secrets[app_key], "sha256" if app_key == "ops" else "sha1")


@pytest.fixture(scope="module")
def admin(site: Site) -> Admin:
    return client(site, "ops")


@pytest.fixture(scope="module")
def viewer(site: Site) -> Admin:
    return client(site, "looker")


@pytest.fixture(scope="module")
def reader(site: Site) -> ApiReader:
    return ApiReader(site)


def audit_log(site: Site, **fits: Any) -> List[Dict[str, Any]]:
    """Decisions on administration that fit, the newest first."""
    return [entry for entry in read(site.data_dir / "audit") if entry["check"] == "admin"
            and all(entry.get(key) == value for key, value in fits.items())]


def decisions(asker: Admin, **terms: Any) -> List[Dict[str, Any]]:
    """All that a search finds, page by page: one ends after a tenth of a second, whatever it has found."""
    found, page = [], asker.get("/audit", **terms)
    found += page["decisions"]
    while page["cursor"]:
        page = asker.get("/audit", cursor=page["cursor"], **terms)
        found += page["decisions"]
    return found


class TestJobs:
    def test_one_is_listed_and_shown_with_all_that_is_known(self, admin: Admin, reader: ApiReader) -> None:
        job_id = reader.job(["u1", "u2", "nobody"], view="credit")
        assert reader.status(job_id)["status"] == "success"
        shown = admin.get(f"/jobs/{job_id}")
        assert (shown["status"], shown["ids"], shown["matched"], shown["view"], shown["fate_job_id"]) == (
            "success", 3, 2, "credit", reader.fate_job_id)
        assert admin.get("/jobs")["jobs"][0] == shown
        page = admin.get("/jobs", fate_job_id=reader.fate_job_id, page_size=1)
        assert page["jobs"] == [shown] and page["count"] >= 1 and (page["page"], page["page_size"]) == (1, 1)

    def test_filters_and_pages(self, admin: Admin, site: Site) -> None:
        other = ApiReader(site, "20990101")
        jobs = [other.job([f"u{number}"], view="credit") for number in range(3)]
        for job_id in jobs:
            other.status(job_id)
        newest = list(reversed(jobs))
        pages = [admin.get("/jobs", fate_job_id="20990101", page=page, page_size=2) for page in (1, 2, 3)]
        assert [[job["job_id"] for job in page["jobs"]] for page in pages] == [newest[:2], newest[2:], []]
        assert {page["count"] for page in pages} == {3}
        for terms, count in (({"status": "success"}, 3), ({"status": "failed"}, 0), ({"view": "broken"}, 0),
                             ({"until": "2020-01-01"}, 0), ({"since": "2020-01-01"}, 3), ({"view": "none-such"}, 0)):
            assert admin.get("/jobs", fate_job_id="20990101", **terms)["count"] == count

    def test_one_that_ended_is_deleted(self, admin: Admin, site: Site) -> None:
        """With its result; it is canceled no more."""
        reader = ApiReader(site)
        job_id = reader.job(["u1"], view="credit")
        reader.status(job_id)
        refused(admin.ask("POST", f"/jobs/{job_id}/cancel"), 409, "can't be canceled any more: it is success")
        assert reader.download(job_id).status_code == 200
        assert admin.done("DELETE", f"/jobs/{job_id}")["job_id"] == job_id
        refused(admin.ask("GET", f"/jobs/{job_id}"), 404, "There is no feature job")
        refused(admin.ask("DELETE", f"/jobs/{job_id}"), 404)
        assert reader.status(job_id)["status"] == "unknown" and not [name for name in site.files() if job_id in name]

    def test_one_that_runs_is_canceled_and_its_fate_job_told_why(self, make_site: MakeSite, tmp_path: Path) -> None:
        site = make_site(views={"slow": slow_view}, authentication={}, clients={"ops": "admin"})
        admin = Admin(site.address, "ops", site.secrets["ops"])
        reader = ApiReader(site)
        job_id = reader.job(["u1"], do="wait")
        wait_started(tmp_path, "u1")
        refused(admin.ask("DELETE", f"/jobs/{job_id}"), 409, "The job is running; cancel it first.")
        assert admin.get("/health")["running_jobs"] == 1
        assert admin.done("POST", f"/jobs/{job_id}/cancel")["status"] == "canceled"
        assert reader.status(job_id)["message"] == "The job was canceled by an operator of this site."
        assert [job["job_id"] for job in admin.get("/jobs", status="canceled")["jobs"]] == [job_id]
        assert admin.done("DELETE", f"/jobs/{job_id}")["status"] == "canceled"

    @pytest.mark.parametrize(("query", "says"), [
        ({"page": "0"}, "jobs.page: "), ({"page": "x"}, "jobs.page: Not a valid integer"), ({"page": "-1"}, "jobs."),
        ({"page_size": "1001"}, "jobs.page_size"), ({"page": "1_0"}, "jobs.page"), ({"page": "٣"}, "jobs.page"),
        ({"status": "done"}, "jobs.status: Must be one of: waiting, running"), ({"since": "soon"}, "2027-01-31"),
        ({"colour": "red"}, "jobs.colour: unknown key. Allowed here: fate_job_id"), ({"view": "数据"}, "jobs.view"),
        ({"fate_job_id": "数"}, "jobs.fate_job_id"), ({"since": "9" * 30}, "jobs.since"),
    ])
    def test_a_query_that_is_wrong_says_where(self, admin: Admin, query: Dict[str, str], says: str) -> None:
        refused(admin.ask("GET", "/jobs", query), 400, says)


class TestViews:
    def test_they_are_listed_without_where_they_come_from(self, admin: Admin, site: Site) -> None:
        bad, broken, credit = admin.get("/views")["views"]
        assert (broken["name"], credit["name"], credit["columns"]) == ("broken", "credit", ["amount", "age", "vip"])
        assert credit["parameters"]["month"] == {
            "pattern": r"\d{6}", "required": False, "default": "202201", "column": None}
        assert str(site.folder) not in json.dumps([bad, broken, credit])

    def test_one_is_tested_against_sample_ids_and_leaves_nothing(self, admin: Admin, site: Site) -> None:
        before = admin.get("/jobs")["count"], site.files()
        found = admin.done("POST", "/views/credit/test", body={
            "ids": ["u7", "nobody", "u8"], "parameters": {"month": 202202}, "features": ["age", "vip"]})
        assert found["columns"] == ["id", "age", "vip"] and found["missing"] == 1
        assert sorted(found["rows"]) == [["u7", "7", "0"], ["u8", "8", "1"]]
        assert (admin.get("/jobs")["count"], site.files()) == before

    @pytest.mark.parametrize(("view", "body", "status", "says"), [
        ("none", {"ids": ["u1"]}, 404, "Views here: bad, broken, credit"), ("credit", {"ids": []}, 400, "views.ids"),
        ("credit", {}, 400, "views.ids: required"), ("credit", {"ids": ["a\nb"]}, 400, "views.ids"),
        ("credit", {"ids": ["u1"] * 101}, 400, "views.ids"), ("credit", {"ids": ["\ud800"]}, 400, "views.ids"),
        ("credit", {"ids": ["u1"], "features": ["colour"]}, 400, "unknown: 'colour'"),
        ("credit", {"ids": ["u1"], "parameters": {"month": "x"}}, 400, "does not match the pattern"),
        ("credit", {"ids": ["u1"], "parameters": {"view": "broken"}}, 400, "views.parameters"),
        ("credit", {"ids": ["u1"], "parameters": {"month": "209901"}}, 404, "No data is stored for month=209901"),
        ("broken", {"ids": ["u1"]}, 404, "The source has no files yet"),
        ("bad", {"ids": ["u1"]}, 422, "colour"), ("credit", {"ids": ["  "]}, 400, "No ID"),
    ])
    def test_what_a_job_would_fail_with_is_said(
        self, admin: Admin, view: str, body: Any, status: int, says: str
    ) -> None:
        refused(admin.ask("POST", f"/views/{view}/test", body=body), status, says)


class TestClients:
    def test_the_life_of_one(self, admin: Admin, site: Site) -> None:
        made = admin.done("POST", "/clients", body={
            "app_key": "etl", "name": "夜间 ETL", "role": "viewer", "algorithm": "hmac-sha256", "expires": "2099-01-31",
            "paths": [f"{PREFIX}/*"], "methods": ["GET"], "networks": ["127.0.0.0/8"]})
        assert made["app_key"] == "etl" and len(made["secret"]) == 43
        shown = admin.get("/clients/etl")
        assert {key: shown[key] for key in shown if key not in ("created", "changed")} == {
            "app_key": "etl", "name": "夜间 ETL", "status": "enabled", "role": "viewer", "algorithm": "hmac-sha256",
            "expires": "2099-01-31 00:00:00", "paths": [f"{PREFIX}/*"], "methods": ["GET"],
            "networks": ["127.0.0.0/8"], "old_secret_until": None}
        assert shown in admin.get("/clients")["clients"]
        etl = Admin(admin.url, "etl", made["secret"], "sha256")
        assert etl.get("/health")["party_id"] == "9999"
        new = admin.done("POST", "/clients/etl/rotate", body={"keep_old_hours": 0})["secret"]
        refused(etl.ask("GET", "/health"), 401, "The signature is wrong")
        etl.secret = new
        assert etl.get("/health")
        assert admin.done("PUT", "/clients/etl", body={"enabled": False})["status"] == "disabled"
        refused(etl.ask("GET", "/health"), 401, "disabled")
        assert admin.done("PUT", "/clients/etl", body={"enabled": True})["status"] == "enabled"
        assert admin.done("DELETE", "/clients/etl")["app_key"] == "etl"
        refused(etl.ask("GET", "/health"), 401)
        refused(admin.ask("GET", "/clients/etl"), 404, "no client 'etl'")

    def test_one_that_has_a_secret_already_keeps_it_and_nobody_is_shown_it(self, admin: Admin, site: Site) -> None:
        secret = "brought from elsewhere"
        assert admin.done("POST", "/clients", body={"app_key": "old", "name": "Old", "secret": secret,
                                                    "role": "viewer"}) == {"app_key": "old", "secret": None}
        assert Admin(admin.url, "old", secret).get("/clients/old")["role"] == "viewer"
        admin.done("DELETE", "/clients/old")
        noted, = wait_until(lambda: [entry for entry in audit_log(site, what=f"POST {PREFIX}/clients")
                                     if entry.get("request", {}).get("app_key") == "old"], what="the log")
        assert noted["request"] == {"app_key": "old", "name": "Old", "role": "viewer"}

    def test_nobody_shuts_itself_out(self, admin: Admin) -> None:
        for request in (("PUT", "/clients/ops", None, {"enabled": False}), ("DELETE", "/clients/ops", None, None)):
            refused(admin.ask(*request), 409, "can't shut itself out; let another admin do it")
        assert admin.get("/clients/ops")["status"] == "enabled"

    @pytest.mark.parametrize(("body", "status", "says"), [
        ({"app_key": "looker", "name": "x"}, 409, "There is a client looker already"),
        ({"app_key": "a b", "name": "x"}, 400, "An app key is 1 to 64"),
        ({"app_key": "身", "name": "x"}, 400, "An app key is 1 to 64"),
        ({"app_key": "x"}, 400, "clients.name: required"),
        ({"app_key": "x", "name": "x", "role": "root"}, 400, "clients.role: Must be one of: admin, viewer."),
        ({"app_key": "x", "name": "x", "methods": ["LOOK"]}, 400, "'LOOK' is no method"),
        ({"app_key": "x", "name": "x", "paths": ["v1"]}, 400, "is not a path pattern"),
        ({"app_key": "x", "name": "x", "networks": ["here"]}, 400, "no IP address or network"),
        ({"app_key": "x", "name": "x", "expires": "2020-01-01"}, 400, "is over already"),
        ({"app_key": "x", "name": "\u202e"}, 400, "printable"), ({"app_key": "x", "name": "\ud800"}, 400, "Unicode"),
        ({"app_key": "x", "name": "x", "secret": "short"}, 400, "A secret is 16 to 256"),
        ({"app_key": ["x"], "name": "x"}, 400, "clients.app_key: Not a valid string"),
        ({"app_key": "x", "name": "x", "admin": True}, 400, "clients.admin: unknown key"),
    ])
    def test_one_that_can_not_be_is_refused(self, admin: Admin, body: Any, status: int, says: str) -> None:
        refused(admin.ask("POST", "/clients", body=body), status, says)
        assert "x" not in [one["app_key"] for one in admin.get("/clients")["clients"]]


class TestKeys:
    PUBLIC = public_of(private_pem(2048))

    def test_ours_is_shown_for_partners(self, admin: Admin) -> None:
        own, = admin.get("/keys/own")["keys"]
        assert own["party_id"] == "9999" and own["signs"] == "now" and own["fingerprint"].startswith("SHA256:")
        assert own["public_key"].strip() == vectors("1.11.2")["public_key"].strip()
        refused(admin.ask("GET", "/keys/own", {"party": "8888"}), 404, "no valid private key of party 8888")

    def test_a_partner_s_is_accepted_and_revoked(self, admin: Admin) -> None:
        added = admin.done("POST", "/keys", body={
            "party_id": 10000, "public_key": self.PUBLIC, "valid_until": "2099-01-31"})
        assert (added["party_id"], added["kind"], added["valid_until"]) == ("10000", "public", "2099-01-31 00:00:00")
        assert added in admin.get("/keys")["keys"]
        refused(admin.ask("POST", "/keys", body={"party_id": 10001, "public_key": self.PUBLIC}), 409,
                "is the key of party 10000 already")
        gone = admin.done("DELETE", f"/keys/10000/{added['fingerprint']}")
        assert gone == added and added not in admin.get("/keys")["keys"]
        refused(admin.ask("DELETE", f"/keys/10000/{added['fingerprint']}"), 404, "has no key")

    def test_our_own_private_key_is_neither_shown_nor_removed(self, admin: Admin) -> None:
        own, = [key for key in admin.get("/keys")["keys"] if key["kind"] == "private"]
        refused(admin.ask("DELETE", f"/keys/9999/{own['fingerprint']}"), 409, "a private key of our own")
        assert own in admin.get("/keys")["keys"]

    def test_what_is_agreed_with_a_partner(self, admin: Admin) -> None:
        assert admin.get("/policies/10000") == {
            "party_id": "10000", "envelope": "auto", "md5": False, "envelope_seen": None}
        changed = admin.done("PUT", "/policies/10000", body={"envelope": "require"})
        assert (changed["envelope"], changed["md5"]) == ("require", False)
        changed = admin.done("PUT", "/policies/10000", body={"md5": True})
        assert (changed["envelope"], changed["md5"]) == ("require", True)
        assert admin.get("/policies")["policies"] == [changed]

    def test_no_policy_that_is_in_force_already_forgets_that_envelopes_were_seen(
        self, admin: Admin, site: Site
    ) -> None:
        Tables(site).keys.saw_envelope("10003")
        seen = wait_until(lambda: admin.get("/policies/10003")["envelope_seen"], what="the server to follow")
        for body in ({"envelope": "auto"}, {"md5": True}, {"envelope": None, "md5": None}, {}):
            changed = admin.done("PUT", "/policies/10003", body=body)
            assert (changed["envelope"], changed["envelope_seen"]) == ("auto", seen)
        assert changed["md5"] is True
        assert admin.done("PUT", "/policies/10003", body={"envelope": "off"})["envelope_seen"] is None

    @pytest.mark.parametrize(("method", "path", "body", "status", "says"), [
        ("POST", "/keys", {"party_id": "10000", "public_key": "none"}, 400, "key"),
        ("POST", "/keys", {"party_id": "10000", "public_key": vectors("1.10.0")["private_key"]}, 400,
         "This is a private key"),
        ("POST", "/keys", {"party_id": "a b", "public_key": PUBLIC}, 400, "A party ID is 1 to 20"),
        ("POST", "/keys", {"party_id": True, "public_key": PUBLIC}, 400, "keys.party_id"),
        ("PUT", "/policies/10000", {"envelope": "never"}, 400, "policies.envelope: Must be one of: auto, require, off"),
        ("PUT", f"/policies/{'9' * 21}", {"envelope": "off"}, 400, "A party ID is 1 to 20"),
        ("DELETE", "/keys/9999/abcd", None, 404, "give the whole one"),
    ])
    def test_one_that_can_not_be_is_refused(
        self, admin: Admin, method: str, path: str, body: Any, status: int, says: str
    ) -> None:
        refused(admin.ask(method, path, body=body), status, says)


class TestGrants:
    def test_the_life_of_one(self, admin: Admin) -> None:
        terms = {"name": "credit", "party": 10000, "role": "host", "components": ["hetero*"], "datasets": ["exp/身"],
                 "valid_until": "2099-01-31", "max_uses": 3, "note": "信贷"}
        added = admin.done("POST", "/grants", body=terms)
        assert added.pop("made") and added.pop("made_by") == "ops"
        assert added == {**terms, "party": "10000", "valid_until": "2099-01-31 00:00"}
        shown = admin.get("/grants/credit")
        assert (shown["uses"], shown["uses_today"], shown["note"]) == (0, 0, "信贷")
        changed = admin.done("PUT", "/grants/credit", body={"party": "10000", "components": ["reader"]})
        assert changed["components"] == ["reader"] and "max_uses" not in changed
        assert [one["name"] for one in admin.get("/grants", party="10000")["grants"]] == ["credit"]
        assert admin.get("/grants", party="10001")["count"] == 0
        assert admin.done("DELETE", "/grants/credit")["name"] == "credit"
        refused(admin.ask("GET", "/grants/credit"), 404, "There is no grant 'credit'")

    def test_pages_hold_each_once(self, admin: Admin) -> None:
        for number in range(5):
            admin.done("POST", "/grants", body={"name": f"p{number}", "party": "*", "components": ["x"]})
        pages = [admin.get("/grants", page=page, page_size=2) for page in (1, 2, 3, 4)]
        assert [[one["name"] for one in page["grants"]] for page in pages] == [["p0", "p1"], ["p2", "p3"], ["p4"], []]
        assert {page["count"] for page in pages} == {5}
        for number in range(5):
            admin.done("DELETE", f"/grants/p{number}")

    def test_explain_says_why(self, admin: Admin, viewer: Admin) -> None:
        admin.done("POST", "/grants", body={"name": "old", "party": "10000", "components": ["reader"],
                                            "valid_until": "2020-01-01"})
        job = {"party": 10000, "components": ["reader"], "datasets": [{"namespace": "a/b", "name": "c"}]}
        found = viewer.done("POST", "/explain", body=job)
        assert not found["allowed"] and "grant old expired on 2020-01-01" in found["message"]
        assert found["items"][0]["near_misses"] == [{"grant": "old", "reason": "expired on 2020-01-01 00:00"}]
        found = admin.done("POST", "/explain", body={**job, "datasets": [], "at": "2019-12-31"})
        assert found["allowed"] and found["grants"] == ["old"]
        admin.done("DELETE", "/grants/old")

    @pytest.mark.parametrize(("method", "path", "body", "status", "says"), [
        ("POST", "/grants", {"party": "10000"}, 400, "grants.components: Missing"),
        ("POST", "/grants", {"party": "10000", "components": ["(a|b)"]}, 400, "nothing else is special"),
        ("POST", "/grants", {"party": "1", "components": ["x"], "max_uses": True}, 400, "grants.max_uses"),
        ("PUT", "/grants/none", {"party": "1", "components": ["x"]}, 404, "There is no grant 'none'"),
        ("PUT", "/grants/none", {"party": "1", "components": ["x"], "name": "y"}, 400, "grants.name: unknown key"),
        ("POST", "/explain", {"party": "10000"}, 400, "Name a component, a dataset"),
        ("POST", "/explain", {"party": "\ud800", "components": ["x"]}, 400, "grants.party"),
        ("POST", "/explain", {"party": "1", "role": "boss", "components": ["x"]}, 400, "grants.role"),
        ("POST", "/explain", {"party": "1", "components": ["x"], "at": "noon"}, 400, "grants.at: "),
    ])
    def test_one_that_can_not_be_is_refused(
        self, admin: Admin, method: str, path: str, body: Any, status: int, says: str
    ) -> None:
        refused(admin.ask(method, path, body=body), status, says)


class TestAudit:
    def test_all_that_changes_something_is_noted_with_who_what_and_from(self, admin: Admin, site: Site) -> None:
        admin.done("POST", "/grants", body={"name": "noted", "party": "1", "components": ["x"]})
        admin.done("DELETE", "/grants/noted")
        entries = wait_until(lambda: audit_log(site, who="ops", what=f"DELETE {PREFIX}/grants/noted"), what="the log")
        assert (entries[0]["allowed"], entries[0]["from"], entries[0]["reason"]) == (True, "127.0.0.1", "ok")
        added = audit_log(site, what=f"POST {PREFIX}/grants")[0]
        assert added["request"] == {"name": "noted", "party": "1", "components": ["x"]}

    def test_what_can_not_be_done_is_noted_as_that(self, admin: Admin, site: Site) -> None:
        refused(admin.ask("DELETE", "/grants/none"), 404)
        refused(admin.ask("POST", "/grants", body={"party": "wrong", "unknown": "key"}), 400)
        removed = wait_until(lambda: audit_log(site, who="ops", what=f"DELETE {PREFIX}/grants/none"), what="the log")
        assert [(entry["allowed"], entry["reason"]) for entry in removed] == [(False, "code 40405")]
        added = wait_until(lambda: [entry for entry in audit_log(site, who="ops", what=f"POST {PREFIX}/grants")
                                    if entry.get("request") == {"party": "wrong"}], what="the log")
        assert [(entry["allowed"], entry["reason"]) for entry in added] == [(False, "code 40001")]

    def test_no_secret_is_noted_that_stands_under_a_wrong_name(self, admin: Admin, site: Site) -> None:
        refused(admin.ask("PUT", "/clients/nobody", body={"enabled": True, "secret": "hunter2"}), 400)
        refused(admin.ask("POST", "/clients", body={"app_key": "x", "Secret": "hunter2"}), 400)
        refused(admin.ask("DELETE", "/clients/last"), 404)
        wait_until(lambda: audit_log(site, who="ops", what=f"DELETE {PREFIX}/clients/last"), what="the log")
        assert "hunter2" not in "".join(path.read_text("utf-8") for path in (site.data_dir / "audit").glob("*.jsonl"))

    def test_it_is_searched(self, viewer: Admin, site: Site) -> None:
        refused(client(site, PLAIN).ask("GET", "/health"), 403)
        found = wait_until(lambda: decisions(viewer, check="admin", who=PLAIN, allowed="false"), what="the log")
        assert found[0]["reason"] == "no such role" and found[0]["what"] == f"GET {PREFIX}/health"
        assert decisions(viewer, who="looker", allowed="true")[0]["who"] == "looker"
        assert decisions(viewer, until="2020-01-01") == []

    def test_pages_go_on_where_the_one_before_ended(self, admin: Admin, site: Site) -> None:
        for number in range(7):
            admin.get("/jobs", fate_job_id=f"{number}")
        wait_until(lambda: len(audit_log(site, who="ops", what=f"GET {PREFIX}/jobs")) >= 7, what="the log")
        found = [entry["time"] for entry in decisions(admin, who="ops", page_size=3)]
        assert len(set(found)) == len(found) >= 7 and found == sorted(found, reverse=True)

    @pytest.mark.parametrize("query", [{"cursor": "1"}, {"cursor": "1-2.x.y.z"}, {"allowed": "maybe"}, {"check": "x"},
                                       {"page_size": "0"}, {"before": "1"}])
    def test_what_can_not_be_searched_for(self, admin: Admin, query: Dict[str, str]) -> None:
        refused(admin.ask("GET", "/audit", query), 400)


class TestSite:
    def test_settings_in_force_hold_no_secret(self, viewer: Admin) -> None:
        found = viewer.get("/settings")
        assert found["concurrent_jobs"] == 1 and found["permission"]["time_zone"] == "Asia/Shanghai"
        text = json.dumps(found)
        assert "master_key" not in text and "password" not in text and "://" not in text

    @pytest.mark.parametrize(("section", "path", "unshown"), [
        (Settings, [], {"views", "database"}),  # views have a path of their own
        (AuthenticationSettings, ["authentication"], {"master_key_file", "master_key_env", "party_id"}),
        (PermissionSettings, ["permission"], {"party_id"}),
    ])
    def test_every_setting_is_shown_or_left_out_on_purpose(self, section: Any, path: List[str], unshown: Any) -> None:
        schema: Any = SettingsAnswer()
        for name in path:
            schema = schema.fields[name].schema
        assert set(schema.fields) == set(section.__dataclass_fields__) - unshown

    def test_health_says_what_can_not_be_used(self, viewer: Admin, site: Site) -> None:
        wait_until(lambda: viewer.get("/health")["problems"] == {}, what="the server to be ready")
        found = viewer.get("/health")
        assert (found["status"], found["party_id"]) == ("ready", "9999")
        assert found["free_bytes"] > 0 and found["waiting_jobs"] == 0


# -- who may -----------------------------------------------------------------------------------------------------------

def path_of(operation: Any) -> str:
    path: str = operation.path
    for name, value in (("job_id", "0" * 32), ("name", "x"), ("app_key", "nobody"), ("party_id", "1"),
                        ("fingerprint", "0" * 64)):
        path = path.replace(f"<{name}>", value)
    return path


@pytest.mark.parametrize("name", BY_NAME)
class TestWhoMay:
    def test_a_viewer_changes_nothing(self, viewer: Admin, name: str) -> None:
        operation = BY_NAME[name]
        response = viewer.ask(operation.method, path_of(operation), body=None if operation.method == "GET" else {})
        if operation.changes:
            refused(response, 403, "This needs a client with the role admin;")
        else:
            assert response.status_code in (200, 400, 404), response.text

    def test_a_client_without_a_role_is_let_in_nowhere(self, site: Site, name: str) -> None:
        operation = BY_NAME[name]
        refused(client(site, PLAIN).ask(operation.method, path_of(operation)), 403, "This needs a client with the role")

    def test_an_address_alone_lets_nobody_in(self, site: Site, name: str) -> None:
        operation = BY_NAME[name]
        url = f"http://127.0.0.1:{site.port}{PREFIX}{path_of(operation)}?method={operation.method}"
        refused(requests.request(operation.method, url.replace("?method=GET", ""), timeout=60), 401, "Sign")

    def test_neither_does_a_token_of_another_service(self, site: Site, name: str) -> None:
        operation = BY_NAME[name]
        token = site.url("metrics").partition("?")[2]
        url = f"http://127.0.0.1:{site.port}{PREFIX}{path_of(operation)}?{token}"
        refused(requests.request(operation.method, url, timeout=60), 401)


def test_what_changes_something_is_no_get_and_the_rest_is_one_or_explain() -> None:
    assert {operation.name for operation in OPERATIONS
            if operation.changes == (operation.method == "GET")} == {"grants.explain"}
    assert len({(operation.method, operation.path) for operation in OPERATIONS}) == len(OPERATIONS) == len(BY_NAME)


def test_fate_flow_s_own_client_has_no_role(make_site: MakeSite) -> None:
    """Its app key stands in service_conf.yaml, which many can read."""
    from fate_ext_plugin.auth.setup import open_authentication
    from fate_ext_plugin.errors import RoleMissing

    site = make_site(start=False, authentication={})
    authentication = open_authentication(
        site.settings, Tables(site).store, "9999", ("flow", "its secret"), list)
    stamp = {"timestamp": str(now_ms()), "nonce": "n"}
    request = ClientRequest(f"{PREFIX}/jobs", stamp, method="GET", route=f"{PREFIX}/jobs")
    signature = Signer("its secret", "hmac-sha1").sign(signed_text(request, "flow"))
    signed = ClientRequest(f"{PREFIX}/jobs", {**stamp, "app-key": "flow", "signature": signature}, method="GET",
                           route=f"{PREFIX}/jobs")
    with pytest.raises(RoleMissing):
        authentication.clients.admit(signed, ["admin", "viewer"])


# -- attacks -----------------------------------------------------------------------------------------------------------

class TestAttacks:
    """What somebody can do who sees the requests of an admin on their way, or knows what is here."""

    def test_a_captured_request_is_delivered_once(self, admin: Admin) -> None:
        request = admin.prepare("GET", "/jobs")
        assert admin.send(request).status_code == 200
        refused(admin.send(request), 401, "This request was sent before")

    def test_another_method_needs_another_signature(self, admin: Admin) -> None:
        """FATE's signed text lacks the method: that of a look would do for a removal."""
        admin.done("POST", "/grants", body={"name": "kept", "party": "1", "components": ["x"]})
        for change in (lambda url: url, lambda url: f"{url}?method=DELETE", lambda url: f"{url}?method=GET"):
            request = admin.prepare("GET", "/grants/kept")
            request.method, request.url = "DELETE", change(request.url)
            refused(admin.send(request), 401)
        shown = admin.prepare("DELETE", "/grants/kept")
        shown.method = "GET"
        refused(admin.send(shown), 401, "the query must hold method=GET once, and none for GET")
        put = admin.prepare("PUT", "/grants/kept", body={"party": "2", "components": ["y"]})
        put.method = "DELETE"
        refused(admin.send(put), 401, "the query must hold method=DELETE once")
        assert admin.get("/grants/kept")["components"] == ["x"]
        refused(admin.ask("DELETE", "/grants/kept", signed=f"{PREFIX}/grants/kept"), 401, "The signature is wrong")
        admin.done("DELETE", "/grants/kept")

    @pytest.mark.parametrize("body", [b'{"enabled": false}', b'{"enabled": true} ', b"", b"{}",
                                      b'{"enabled": true, "enabled": false}'])
    def test_another_body_needs_another_signature(self, admin: Admin, body: bytes) -> None:
        request = admin.prepare("PUT", "/clients/looker", body={"enabled": True})
        request.prepare_body(body, None)
        request.headers["Content-Length"] = str(len(body))
        refused(admin.send(request), 401, "The signature is wrong")
        assert admin.get("/clients/looker")["status"] == "enabled"

    def test_what_fate_s_clients_do_not_sign_of_a_body_is_signed_here(self, admin: Admin) -> None:
        """They leave out an empty JSON value, so that of a body {} nothing is signed."""
        request = admin.prepare("POST", "/clients/looker/rotate")
        request.prepare_body(b"{}", None)
        request.headers["Content-Type"] = "application/json"
        refused(admin.send(request), 401, "The signature is wrong")

    def test_a_form_can_not_carry_a_body_past_the_signature(self, admin: Admin) -> None:
        for content_type in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", ""):
            request = admin.prepare("PUT", "/clients/looker", raw=b'{"enabled": false}')
            request.headers["Content-Type"] = content_type
            refused(admin.send(request), 415, "application/json")

    @pytest.mark.parametrize("change", [
        lambda url: url + "?page=2", lambda url: url.replace("/jobs", "/clients"), lambda url: url + "?",
        lambda url: url + "#x?", lambda url: url + "/", lambda url: url.replace("/jobs", "/%6aobs"),
        lambda url: url.replace("/jobs", "/./jobs"), lambda url: url + "?method=GET", lambda url: url + "?method=",
        lambda url: url.replace("/jobs", "//jobs"), lambda url: url + ";x", lambda url: url + "%3Fpage=2",
        lambda url: url + "?x=\udcff", lambda url: url + "%00", lambda url: url + "??page=2",
    ])
    def test_another_url_needs_another_signature(self, site: Site, admin: Admin, change: Callable[[str], str]) -> None:
        """Sent below the level of a client library, which would tidy it up."""
        signed = admin.prepare("GET", "/jobs")
        target = change(f"{PREFIX}/jobs")
        head = [f"GET {target} HTTP/1.1", "Host: x", "Connection: close",
                *(f"{name}: {signed.headers[name]}" for name in ("TIMESTAMP", "NONCE", "APP-KEY", "SIGNATURE"))]
        answer, body = exchange(site, "\r\n".join([*head, "", ""]).encode("utf-8", "surrogateescape"))
        if target in (f"{PREFIX}/jobs?", f"{PREFIX}/%6aobs"):  # the same request, written otherwise
            assert " 200 " in answer[""]
        else:
            assert answer[""].split()[1] in ("401", "404", "400", "308"), (answer, body)
            assert b"job_id" not in body

    def test_a_query_twice_or_with_a_body_is_refused(self, admin: Admin) -> None:
        path = f"{PREFIX}/jobs?page=1&page=2"
        request = admin.prepare("GET", "/jobs", signed=path)
        request.url = f"{admin.url}{path}"
        refused(admin.send(request), 400, "a name stands twice")
        refused(admin.ask("GET", "/jobs", body={"page": 1}), 400, "A GET has no body")
        refused(admin.ask("DELETE", "/grants/x", {"force": "yes"}), 400, "Only method may stand in the query")

    def test_headers_that_can_be_read_in_two_ways(self, admin: Admin) -> None:
        request = admin.prepare("GET", "/jobs")
        request.headers["APP_KEY"] = "looker"
        response = admin.send(request)
        if response.status_code != 200:  # newer Werkzeugs drop one with an underscore
            refused(response, 401)

    def test_an_old_request_is_refused(self, admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
        hour_ago = time.time() - 3600
        monkeypatch.setattr("tests.support.admin.time.time", lambda: hour_ago)
        refused(admin.ask("GET", "/jobs"), 401, " s behind ours")

    @pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PATCH", "DELETE", "POST"])
    def test_other_methods_are_an_error_of_ours(self, admin: Admin, method: str) -> None:
        response = requests.request(method, f"{admin.url}{PREFIX}/health", timeout=60)
        assert response.status_code == 405
        if method != "HEAD":
            refused(response, 405, f"{method} is not allowed here; use GET.")

    def test_from_no_allowed_network_not_even_a_signature_helps(self, admin: Admin, site: Site) -> None:
        site_two = Admin(admin.url, admin.app_key, admin.secret, admin.algorithm)
        request = site_two.prepare("GET", "/jobs")
        request.headers["X-Forwarded-For"] = "127.0.0.1"  # of no trusted proxy, so it counts for nothing
        assert site_two.send(request).status_code == 200

    @pytest.mark.parametrize("size", [(1 << 20) + 1, 20 << 20])
    def test_a_huge_body_is_not_read(self, admin: Admin, size: int) -> None:
        refused(admin.ask("POST", "/grants", raw=b" " * size), 413, "more than 1 MiB")

    @pytest.mark.parametrize("raw", [b"[]", b"null", b"{", b"[" * 100_000, b'{"a": 1, "a": 2}', b"\xff", b'"x"',
                                     b'{"party": NaN}', b'{"party": 1e999}', b'{"party": ' + b"9" * 5000 + b"}"])
    @pytest.mark.parametrize("path", ["/grants", "/clients", "/keys", "/explain", "/views/credit/test"])
    def test_what_is_no_request_is_refused(self, admin: Admin, path: str, raw: bytes) -> None:
        refused(admin.ask("POST", path, raw=raw), 400)

    @pytest.mark.parametrize("path", ["", "/", "/nothing", "/jobs/a/b/c", "/clients/x/y", "/../admin/jobs"])
    def test_a_path_that_is_none(self, admin: Admin, path: str) -> None:
        answer = requests.get(f"{admin.url}{PREFIX}{path}", timeout=60)
        assert answer.status_code in (401, 404) and answer.json()["retcode"] != 0

    def test_a_guesser_is_slowed_down(self, site: Site) -> None:
        stranger = Admin(site.address, "guessed", "a" * 16)
        says = {stranger.ask("GET", "/jobs").json()["retmsg"] for _ in range(30)}
        assert any("again" in one or "many" in one for one in says), says


def test_no_answer_holds_a_secret(admin: Admin, viewer: Admin, site: Site) -> None:
    """All answers of the tests above, and one of each operation."""
    for operation in OPERATIONS:
        for asker in (admin, viewer):
            asker.ask(operation.method, path_of(operation), body=None if operation.method == "GET" else {})
    store = Tables(site).store
    rows = store.call(lambda: list(store.database.execute_sql(
        "SELECT f_secret, f_previous_secret FROM t_ext_client").fetchall()))
    sealed = [value for row in rows for value in row if value]
    secrets = [
        *site.secrets.values(), *sealed, (site.data_dir / "master_key").read_text().strip(),
        site.url("upload").rpartition("token=")[2], site.url("metrics").rpartition("token=")[2],
        "PRIVATE KEY", str(site.data_dir / "master_key"), (site.data_dir / "secret").read_bytes().hex()]
    assert len(secrets) > 8
    assert len(admin.seen) > 10_000
    for text in (admin.seen, viewer.seen, site.log.read_text(), *(
            path.read_text() for path in (site.data_dir / "audit").rglob("*.jsonl*"))):
        assert not [secret for secret in secrets if secret in text]
