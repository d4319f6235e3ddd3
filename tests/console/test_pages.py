"""What an operator sees and does on each page."""
import json
import re
from dataclasses import replace

from fate_ext_plugin.auth.key_store import Policy
from tests.support.api_reader import ApiReader
from tests.support.browser import CLIENTS, PAGES, Browser, Seen
from tests.support.builder import MakeSite
from tests.support.recordings import vectors
from tests.support.site import Site, wait_until
from tests.support.slow_source import wait_started
from tests.support.tables import Tables


def test_the_overview_sums_up(site: Site, admin: Browser) -> None:
    ApiReader(site).features(["u1", "u2", "nobody"], view="credit")
    for span, count in (("hour", 30), ("day", 24), ("week", 28), ("month", 30)):
        page = Seen(admin.get(f"?span={span}"))
        charts = [json.loads(found["data-chart"]) for found in page.all("div") if "data-chart" in found]
        assert [len(chart["times"]) for chart in charts] == [count] * 5
        by_name = {one["name"]: one["values"] for chart in charts for one in chart["series"]}
        assert by_name["success"][-1] + by_name["success"][-2] >= 1
        assert by_name["matched"][-1] + by_name["matched"][-2] >= 2
        assert by_name["not matched"][-1] + by_name["not matched"][-2] >= 1
        assert "of data_dir" in page.text and page.all("meter")
        # Each chart's figures stand in a table, too.
        assert page.text.count("Figures") == 5 and charts[0]["times"][-1] in page.text


def test_sign_ins_are_counted_among_decisions(admin: Browser) -> None:
    def signed_in() -> bool:
        charts = [json.loads(found["data-chart"]) for found in Seen(admin.get("?span=hour")).all("div")
                  if "data-chart" in found]
        return sum(charts[3]["series"][0]["values"]) >= 1

    wait_until(signed_in, what="the sign-in to be counted")


def test_jobs_are_listed_the_newest_first_and_filtered(site: Site, admin: Browser) -> None:
    reader = ApiReader(site)
    first, second = reader.job(["u1"], view="credit"), reader.job(["u2"], view="credit")
    reader.status(first), reader.status(second)
    text = admin.get("jobs").text
    assert 0 <= text.index(second[-8:]) < text.index(first[-8:])
    assert first[-8:] not in admin.get("jobs?status=canceled").text
    assert first[-8:] in admin.get("jobs?status=success&view=credit").text
    assert first[-8:] not in admin.get("jobs?since=2199-01-01").text


def test_pages_of_a_list_keep_its_filter(site: Site, admin: Browser) -> None:
    reader = ApiReader(site)
    for number in range(3):
        reader.status(reader.job([f"u{number}"], view="credit"))
    page = Seen(admin.get("jobs?status=success&page_size=2&lang=en"))
    following = page.all("a", rel="next")[0]["href"]
    assert following == "/v1/ext/console/jobs?status=success&page_size=2&page=2"
    assert Seen(admin.get("jobs?status=success&page_size=2&page=2")).all("a", rel="prev")
    assert not Seen(admin.get("jobs?status=success&page_size=1000")).all("a", rel="next")


def test_a_job_has_a_timeline_and_can_be_canceled_and_deleted(site: Site, admin: Browser) -> None:
    job_id = ApiReader(site).job(["to-cancel"], view="slow", do="progress:40")
    wait_started(site.folder, "to-cancel")
    wait_until(lambda: "40 %" in admin.get(f"jobs/{job_id}").text, what="progress")
    page = Seen(admin.get(f"jobs/{job_id}"))
    assert "running" in page.text and page.all("progress", value="40") and page.all("div", **{"data-live": "2"})
    assert "delete" not in page.text.lower().replace("deleted", "")
    page = Seen(admin.submit(f"jobs/{job_id}/cancel"))
    assert f"Job {job_id} is canceled." in page.text
    assert "The job was canceled by an operator of this site." in page.text
    assert not page.all("div", **{"data-live": "2"}), "what has ended is not asked for again"
    page = Seen(admin.submit(f"jobs/{job_id}/delete"))
    assert f"Job {job_id} is deleted." in page.text
    assert admin.get(f"jobs/{job_id}").status_code == 404


def test_a_failed_job_says_why(site: Site, admin: Browser) -> None:
    reader = ApiReader(site)
    job_id = reader.job(["u1"], view="slow", do="raise:NoData")
    reader.status(job_id)
    page = Seen(admin.get(f"jobs/{job_id}"))
    assert "Error 40403" in page.text and "Nothing is stored for month 209901." in page.text


def test_a_view_is_tried_with_a_few_ids(admin: Browser) -> None:
    admin.get("views")
    page = Seen(admin.post("views/credit/test", ids="u8\r\nu16\r\nnobody\r\n", **{"parameters.month": "202202"}))
    assert "With features: 2, without: 1" in page.text and "1.0" in page.text
    response = admin.post("views/credit/test", ids="u8", **{"parameters.month": "someday"})
    assert response.status_code == 400
    page = Seen(response)
    assert "does not match the pattern" in page.text and page.field("parameters.month")["value"] == "someday"


def test_a_client_from_its_first_day_to_its_last(site: Site, admin: Browser) -> None:
    page = Seen(admin.submit("clients", app_key="whole-life", name="Whole life", role="viewer", methods="GET\nPOST",
                             expires="2199-01-01"))
    assert "Client whole-life is added." in page.text and "until 2199-01-01 00:00" in page.text
    secret = page.all("input", id="new-secret")[0]["value"]
    Browser(site).sign_in("whole-life", secret)
    page = Seen(admin.submit("clients/whole-life/rotate", keep_old_hours="1"))
    assert "has a new secret" in page.text and "old secret until" in page.text
    assert page.all("input", id="new-secret")[0]["value"] != secret
    assert "disabled" in Seen(admin.submit("clients/whole-life/change", enabled="false")).text
    assert "Client whole-life is removed." in Seen(admin.submit("clients/whole-life/remove")).text


def test_our_key_is_there_for_partners_and_theirs_are_taken(admin: Browser) -> None:
    other_key = vectors("1.11.2")["public_key"]
    page = Seen(admin.get("keys"))
    fingerprint = re.search(r"SHA256:[0-9a-f]{64}", page.text)
    assert fingerprint and "-----BEGIN PUBLIC KEY-----" in page.text
    page = Seen(admin.submit("keys", party_id="10000", public_key=other_key, valid_until="2199-01-01"))
    assert "The key is accepted." in page.text
    page = Seen(admin.submit("policies/10000/change", envelope="require", md5="true"))
    assert "The policy of party 10000 is changed." in page.text
    assert "required" in page.text and "MD5 refused" in page.text
    revoke = next(form["action"] for form in page.all("form") if "/keys/10000/" in form["action"])
    page = Seen(admin.submit(revoke.partition("/console/")[2].replace("%3A", ":")))
    assert re.search("Key SHA256:[0-9a-f]{64} is revoked.", page.text)
    response = admin.post("keys", party_id="10000", public_key="no key")
    assert response.status_code == 400 and "no key</textarea>" in response.text


def test_no_field_of_a_policy_that_is_not_touched_changes_another(site: Site, admin: Browser) -> None:
    """A captured bare signature would count again if it were forgotten that envelopes were seen."""
    keys = Tables(site).keys
    keys.set_policy("10002", md5=True)
    keys.saw_envelope("10002")
    before = keys.ring().policy("10002")
    wait_until(lambda: "envelope-10002" in admin.get("keys").text, what="the server to follow")
    page = Seen(admin.get("keys"))
    assert page.all("select", id="md5-10002", name="md5")
    # Both begin with the choice to leave it as it is, and a browser sends the first where none is marked.
    assert len(page.all("option", value="")) >= 2
    assert not [option for option in page.all("option") if "selected" in option]

    def changed(**fields: str) -> Policy:
        admin.submit("policies/10002/change", **fields)
        keys._cached.forget()
        return keys.ring().policy("10002")
    assert changed(envelope="", md5="") == before
    assert changed(envelope="auto", md5="") == before, "it is in force already"
    assert changed(envelope="", md5="false") == replace(before, md5=False)
    assert changed(envelope="", md5="true") == before
    assert changed(envelope="off", md5="") == Policy("off", True, None)


def test_a_grant_changes_what_explain_says(admin: Browser) -> None:
    job = {"party": "10007", "components": "hetero_lr\nreader", "datasets": "bank/loans"}
    admin.get("explain")
    page = Seen(admin.post("explain", **job))
    assert "refused" in page.text and "No grant names it." in page.text
    admin.get("grants")
    admin.submit("grants", party="10007", components="hetero_*", name="lr-for-10007")
    admin.submit("grants", party="10007", components="reader", datasets="bank/*", max_uses="5", name="loans-for-10007")
    admin.get("explain")
    page = Seen(admin.post("explain", **job))
    assert "Granted by lr-for-10007" in page.text and "Granted by loans-for-10007" in page.text
    assert page.field("party")["value"] == "10007", "what was asked stays"
    admin.get("grants")
    admin.submit("grants", party="10007", components="reader", effect="deny", name="no-reader")
    admin.get("explain")
    assert "Denied by no-reader" in Seen(admin.post("explain", **job)).text
    page = Seen(admin.get("grants?party=10007"))
    assert "no-reader" in page.text and "5 uses" in page.text
    assert "0 in all, 0 today" in Seen(admin.get("grants/loans-for-10007")).text
    assert "Not counted, because this grant has no limit" in Seen(admin.get("grants/lr-for-10007")).text
    for name in ("no-reader", "loans-for-10007", "lr-for-10007"):
        admin.get(f"grants/{name}")
        assert f"Grant {name} is removed." in Seen(admin.submit(f"grants/{name}/remove")).text


def test_settings_and_health(site: Site, admin: Browser) -> None:
    wait_until(lambda: "ready" in Seen(admin.get("site")).text, what="the server to be ready")
    text = Seen(admin.get("site")).text
    assert "min_free_bytes 1" in text and str(site.data_dir) in text
    assert "10.0.3.0/24" in text and "site_window_seconds" in text


def test_a_site_without_permission_and_views_says_so(make_site: MakeSite) -> None:
    site = make_site(authentication={"party_id": "9999"}, min_free_bytes=1, clients=CLIENTS)
    admin = Browser(site).sign_in()
    for path in PAGES:
        response = admin.get(path)
        if path in ("grants", "explain"):
            assert response.status_code == 404
            assert "permission is not set up here" in Seen(response).text
        else:
            assert response.status_code == 200, path


def test_a_server_without_clients_has_no_console(make_site: MakeSite) -> None:
    """There is nobody who could sign in."""
    site = make_site(permission={"party_id": "9999"}, min_free_bytes=1)
    assert Browser(site).get().json()["code"] == 40401
