"""English and Chinese: the same texts in both, and who gets which."""
import json
import re
from pathlib import Path
from string import Formatter
from typing import Set

import pytest

import fate_ext_plugin.console as package
from fate_ext_plugin.auth.client_store import ROLES
from fate_ext_plugin.auth.key_store import ENVELOPES
from fate_ext_plugin.console.charts import charts
from fate_ext_plugin.console.language import CHINESE, ENGLISH, FOLDER, LANGUAGES, Language
from fate_ext_plugin.console.pages import ACTIONS, SECTIONS
from fate_ext_plugin.feature.job import STATUSES
from fate_ext_plugin.permission.calendar import WEEKDAYS
from fate_ext_plugin.schema.admin import CHECKS, SPANS
from fate_ext_plugin.schema.permission import JOB_ROLES
from tests.support.browser import PAGES, Browser, Seen
from tests.support.site import Site

TEMPLATES = Path(package.__file__).parent / "templates"
#: what follows a key's beginning where a page puts it together
PARTS = {
    "status.": STATUSES, "role.": ROLES, "check.": CHECKS, "span.": SPANS, "day.": WEEKDAYS, "envelope.": ENVELOPES,
    "party_role.": ["*", *JOB_ROLES], "section.": [name for name, _ in SECTIONS], "kind.": ["private", "public"],
    "signs.": ["now", "later"], "effect.": ["allow", "deny"], "client_status.": ["enabled", "disabled", "expired"],
    "item.": ["component", "dataset"], "done.": [action.operation for action in ACTIONS if action.then]}


def used() -> Set[str]:
    nothing = {"jobs": [], "decisions": []}
    found = {one.name for chart in charts(nothing) for one in chart.series}
    found |= {f"chart.{chart.name}" for chart in charts(nothing)}
    for path in TEMPLATES.iterdir():
        text = path.read_text("utf-8")
        found |= set(re.findall(r"""\bt\(["']([\w.*]+)["'][,)]""", text))
        for beginning in re.findall(r"""\bt\(["']([\w.]+\.)["'] ~""", text):
            if beginning != "chart.":
                found |= {beginning + part for part in PARTS[beginning]}
    return found


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.code)
def test_every_text_is_there_and_none_is_left_over(language: Language) -> None:
    assert set(language.keys()) == used()


def test_no_key_stands_twice() -> None:
    for path in FOLDER.glob("*.json"):
        pairs = json.loads(path.read_text("utf-8"), object_pairs_hook=list)
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), path


def test_both_say_the_same_values() -> None:
    def values(text: str) -> Set[str]:
        return {name for _, name, _, _ in Formatter().parse(text) if name}

    for key in ENGLISH._texts:
        assert values(ENGLISH._texts[key]) == values(CHINESE._texts[key]), key


@pytest.mark.parametrize(("accepts", "code"), [
    ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"), ("zh", "zh-CN"), ("zh-Hans-CN", "zh-CN"), ("en-US,en", "en"),
    ("fr,de;q=0.9", "en"), ("", "en"), ("fr,zh;q=0.5", "zh-CN"), ("en;q=0.1,zh;q=0.2", "zh-CN"), (";;;q=,", "en")])
def test_a_browser_says_which(site: Site, accepts: str, code: str) -> None:
    page = Seen(Browser(site, **{"Accept-Language": accepts}).get("sign-in"))
    assert page.all("html")[0]["lang"] == code


def test_a_person_may_choose_and_it_stays(site: Site) -> None:
    browser = Browser(site).sign_in()
    page = Seen(browser.get("jobs?status=failed"))
    chinese = page.all("a", hreflang="zh-CN")[0]["href"]
    assert chinese == "/v1/ext/console/jobs?status=failed&lang=zh"
    assert Seen(browser.get(chinese.partition("/console/")[2])).all("html", lang="zh-CN")
    page = Seen(browser.get("jobs"))
    assert page.all("html", lang="zh-CN") and "任务" in page.text
    browser.get("jobs?lang=en")
    assert Seen(browser.get("grants")).all("html", lang="en")


@pytest.fixture(scope="module")
def chinese(site: Site) -> Browser:
    return Browser(site, **{"Accept-Language": "zh-CN"}).sign_in()


@pytest.mark.parametrize("path", PAGES)
def test_chinese_pages_hold_no_english_texts(chinese: Browser, path: str) -> None:
    """But for what is nobody's language: names, and messages of the plugin, which are marked as English."""
    texts = {text for key, text in ENGLISH._texts.items()
             if len(text) > 5 and " " in text and "{" not in text and text != CHINESE(key)}
    text = Seen(chinese.get(path)).text
    assert not [english for english in texts if english in text]
