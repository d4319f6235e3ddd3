"""However broken it is, no answer tells a caller a path, an address or a setting of the server; operators read them."""
import json
import shutil
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple
from urllib.parse import urlsplit

import pytest
import requests

from fate_ext_plugin.db.base import now_ms
from tests.support.admin import Admin
from tests.support.all_services import ALL_SERVICES, APP_KEY, Services
from tests.support.api_reader import ApiReader
from tests.support.browser import Browser
from tests.support.builder import MakeSite
from tests.support.cable import Cable
from tests.support.databases import empty_store
from tests.support.site import PATIENCE_SECONDS, Site, wait_until
from tests.support.slow_source import jobs_of

OPENAPI = json.loads((Path(__file__).resolve().parents[2] / "fate_ext_plugin" / "openapi.json").read_text("utf-8"))
ROUTES = [(method.upper(), path.replace("{", "").replace("}", "")) for path, methods in OPENAPI["paths"].items()
          for method in methods if not path.endswith("openapi.json")]
PAGES = [("GET", "/v1/ext/console"), ("GET", "/v1/ext/console/sign-in"), ("POST", "/v1/ext/console/sign-in"),
         ("GET", "/v1/ext/console/jobs"), ("GET", "/v1/ext/nothing"), ("TRACE", "/v1/ext/ready")]
HASTY = {"db.patience.ANSWER_SECONDS": 1, "db.base.PATIENCE_SECONDS": 1, "db.base.BUSY_TRIES": 2}


# -- without credentials ---------------------------------------------------------------------------------------------


def no_folders(site: Site) -> None:
    for name in ("incoming", "jobs"):
        shutil.rmtree(site.data_dir / name)


def change(site: Site, *statements: str) -> None:
    with closing(sqlite3.connect(site.data_dir / "fate_ext.db", timeout=PATIENCE_SECONDS)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


def no_tables(site: Site) -> None:
    change(site, *(f"DROP TABLE t_ext_{name}" for name in ("client", "site_key", "feature_job", "grant", "revision")))


def other_master_key(site: Site) -> None:
    change(site, "UPDATE t_ext_client SET f_secret = 'AAAA'", "UPDATE t_ext_site_key SET f_key = 'AAAA'")


BREAKS: List[Callable[[Site], None]] = [no_folders, no_tables, other_master_key]


@pytest.fixture(scope="module", params=[*BREAKS, "database down"], ids=lambda found: getattr(found, "__name__", found))
def broken(request: pytest.FixtureRequest, make_shared_site: MakeSite, tmp_path_factory: Any) -> Iterator[Site]:
    """All services, of which some can't work."""
    name = getattr(request.param, "__name__", "down")
    if name != "down":
        site = make_shared_site(name, **ALL_SERVICES, server_name="hidden-name", constants=HASTY)
        request.param(site)
        wait_until(lambda: site.probe("ready").status_code == 503, what="the server to notice")
        yield site
        return
    with empty_store("mysql", tmp_path_factory.mktemp("store")):
        cable = Cable("MYSQL")
        site = make_shared_site(
            name, **ALL_SERVICES, server_name="hidden-name", database=cable.section, constants=HASTY)
        cable.cut()
        wait_until(lambda: site.probe("ready").status_code == 503, what="the server to notice")
        yield site
        cable.mend()
        site.stop()


def hidden(site: Site) -> List[str]:
    """What no answer may hold."""
    words = [str(site.folder), "fate_ext.db", "t_ext_", "master_key", "hidden-name", "f_secret", "Traceback", "sqlite"]
    if "database" in site.section:
        url = urlsplit(site.section["database"]["url"])
        words += [f":{url.port}", f"{url.username}@", f"'{url.username}'", url.path[1:] + "'", "pymysql", "MySQL"]
    return words


def learned(site: Site, answer: requests.Response) -> List[str]:
    text = f"{answer.headers}{answer.text}"
    return [word for word in hidden(site) if word in text]


@pytest.mark.parametrize(("method", "path"), [*ROUTES, *PAGES], ids=lambda part: part)
def test_nobody_without_credentials_learns_of_the_server(broken: Site, method: str, path: str) -> None:
    forged = {"APP-KEY": APP_KEY, "TIMESTAMP": str(now_ms()), "NONCE": uuid.uuid4().hex, "SIGNATURE": "AAAA"}
    for headers in ({}, forged):
        query = "" if method == "GET" or "/admin/" not in path else f"?method={method}"
        answer = requests.request(method, f"{broken.address}{path}{query}", timeout=PATIENCE_SECONDS, headers=headers,
                                  json={} if method in ("POST", "PUT") else None)
        assert not learned(broken, answer), answer.text


def test_no_holder_of_a_token_learns_of_the_server(broken: Site) -> None:
    for name, call in Services(broken).calls().items():
        answer = call()
        assert not learned(broken, answer), (name, answer.text)


def test_nobody_who_tries_to_sign_in_learns_of_the_server(broken: Site) -> None:
    browser = Browser(broken)
    browser.get("sign-in")
    answer = browser.post("sign-in", app_key=APP_KEY, secret="a guess at a secret")
    assert answer.status_code != 303
    assert not learned(broken, answer), answer.text


# -- a FATE job ------------------------------------------------------------------------------------------------------


def views_in(folder: Path) -> Dict[str, Dict[str, Any]]:
    """Each of them broken in its own way."""
    (folder / "features").mkdir()
    (folder / "features" / "garbage.parquet").write_bytes(b"this is no Parquet file\n" * 100)
    (folder / "passwd").touch()
    (folder / "features" / "out.csv").symlink_to(folder / "passwd")
    (folder / "features" / "broken.db").write_bytes(b"this is no database\n" * 100)
    (folder / "gone.password").touch(0o600)
    return {name: {"source": source, "columns": ["amount"]} for name, source in {
        "garbage": {"type": "file", "path": str(folder / "features" / "*.parquet")},
        "link": {"type": "file", "path": str(folder / "features" / "*.csv")},
        "sqlite": {"type": "sql", "url": f"sqlite:///{folder}/features/broken.db", "table": "hidden_table"},
        "no_sqlite": {"type": "sql", "url": f"sqlite:///{folder}/gone/f.db", "table": "hidden_table"},
        "mysql": {"type": "sql", "url": "mysql://hidden_user@127.0.0.1:1/hidden_name", "table": "hidden_table"},
        "password": {"type": "sql", "url": "mysql://hidden_user@127.0.0.1:1/hidden_name", "table": "hidden_table",
                     "password_file": str(folder / "gone.password")},
        "postgresql": {"type": "sql", "url": "postgresql://hidden_user@127.0.0.1:1/hidden_name",
                       "table": "hidden_table"},
        "spark": {"type": "spark", "master": "spark://127.0.0.1:1", "path": f"file://{folder}/lake",
                  "shared_path": f"file://{folder}/shared"},
    }.items()}


@pytest.fixture(scope="module")
def site(make_shared_site: MakeSite, tmp_path_factory: Any) -> Site:
    return make_shared_site(
        "jobs", views=views_in(tmp_path_factory.mktemp("views")), clients={"ops": "admin"},
        authentication={"party_id": "9999"}, min_free_bytes=0)


BROKEN = ["garbage", "link", "sqlite", "no_sqlite", "mysql", "password", "postgresql", "spark"]


@pytest.fixture(scope="module")
def told(site: Site) -> Dict[str, Tuple[str, str]]:
    """By view: all that the FATE job is told on its way to the failure, and what the operator reads of it."""
    found = {}
    password = Path(site.section["views"]["password"]["source"]["password_file"])
    password.unlink()
    for view in BROKEN:
        api_reader = ApiReader(site)
        answer = api_reader.upload(["u1"], view=view)
        if answer.status_code == 200:
            job_id = answer.json()["data"]["jobId"]
            status = api_reader.status(job_id)
            assert status["status"] == "failed"
            found[view] = (f"{status} {api_reader.download(job_id).text}", jobs_of(site).get(job_id).error or "")
        else:
            found[view] = answer.text, site.log.read_text("utf-8").splitlines()[-1]
    password.touch(0o600)
    return found


@pytest.mark.parametrize("view", BROKEN)
def test_no_fate_job_learns_where_its_features_are(site: Site, told: Dict[str, Tuple[str, str]], view: str) -> None:
    callers, _ = told[view]
    source = site.section["views"][view]["source"]
    words = [str(Path(site.folder).parent), "127.0.0.1", "hidden_", "gone.password", "file:", "spark:"]
    assert not [word for word in words if word in callers], callers
    assert str(source.get("path", source.get("url"))) not in callers


@pytest.mark.parametrize(("view", "reason"), [
    ("garbage", "features/garbage.parquet"), ("link", "passwd. Put the data into that folder"),
    ("sqlite", "file is not a database"), ("no_sqlite", "gone/f.db can't be opened"),
    ("mysql", "mysql://hidden_user@127.0.0.1:1/hidden_name can't be opened"), ("password", "gone.password"),
    ("postgresql", "postgresql://hidden_user@127.0.0.1:1/hidden_name can't be opened"), ("spark", "")])
def test_the_operator_is_told_the_whole_reason(told: Dict[str, Tuple[str, str]], view: str, reason: str) -> None:
    _, operators = told[view]
    assert operators and reason in operators


def test_the_fate_job_is_told_the_files_name_in_the_view(told: Dict[str, Tuple[str, str]]) -> None:
    assert "The view's file garbage.parquet can't be read; the site's operator finds the reason" in told["garbage"][0]
    assert "The link out.csv leads out of the view's folder, so it is not followed." in told["link"][0]


def test_an_admin_reads_the_whole_reason_over_rest_and_on_the_command_line(
    site: Site, told: Dict[str, Tuple[str, str]]
) -> None:
    admin = Admin(site.address, "ops", site.secrets["ops"])
    wait_until(lambda: admin.ask("GET", "/jobs").status_code == 200, what="the client to be known")
    job = next(job for job in admin.get("/jobs")["jobs"] if job["view"] == "garbage")
    assert "features/garbage.parquet" in job["error"]
    assert "features/garbage.parquet" in site.command("jobs", "show", job["job_id"]).stdout
    tested = admin.ask("POST", "/views/link/test", body={"ids": ["u1"]})
    assert tested.status_code == 500 and "passwd. Put the data" in tested.json()["retmsg"]
