"""Symbolic links among a view's files: none leads a job out of the view's folder that the settings do not name."""
from pathlib import Path
from typing import Callable, List

import pytest

from fate_ext_plugin.errors import SourceError
from fate_ext_plugin.feature.source import Join
from fate_ext_plugin.feature.source.file import FileSource

Check = Callable[..., None]


@pytest.fixture
def views(tmp_path: Path) -> Path:
    """The folder of a view, with one file; beside it, a folder with another site's."""
    for name in ("views/202201/a.csv", "secret/202201/b.csv", "secret/b.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("id,x\nu1,1\n")
    return tmp_path / "views"


@pytest.fixture
def check(views: Path) -> Check:
    """What an upload does: look for the files of a path, as they are read at the job."""
    def check(path: str, **values: str) -> None:
        source = FileSource({"path": path, "format": "csv", "delimiter": ","})
        source.check(Join("id", ["x"], path_values=values))
    return check


OUT = ["*.csv", "**/*.csv", "2022*/*.csv", "{month}/*.csv", "[2]02201/b*.csv", "**", "*/?.csv"]


@pytest.mark.parametrize("pattern", OUT)
def test_no_link_to_a_file_elsewhere_is_read_through_a_wildcard(check: Check, views: Path, pattern: str) -> None:
    link = views / "b.csv" if pattern == "*.csv" else views / "202201" / "b.csv"
    link.symlink_to(views.parent / "secret" / "b.csv")
    with pytest.raises(SourceError) as raised:
        check(f"views/{pattern}", **({"month": "202201"} if "{" in pattern else {}))
    assert raised.value.message == (
        f"The link {link} leads out of the view's folder {views}, to {views.parent}/secret/b.csv. Put the data into "
        "that folder, or write the link's own name into the view's path.")
    shown = link.relative_to(views)
    assert raised.value.public == f"The link {shown} leads out of the view's folder, so it is not followed."


@pytest.mark.parametrize("pattern", ["**/*.csv", "*/*.csv", "{month}/*.csv", "2022*/b.csv"])
def test_no_link_to_a_folder_elsewhere_is_entered_by_a_wildcard_or_a_callers_value(
    check: Check, views: Path, pattern: str
) -> None:
    (views / "202202").symlink_to(views.parent / "secret")
    with pytest.raises(SourceError, match=r"^The link .*/views/202202 leads out of the view's folder"):
        check(f"views/{pattern}", **({"month": "202202"} if "{" in pattern else {}))


def test_no_chain_of_links_leads_out(check: Check, views: Path) -> None:
    (views / "inner").symlink_to("outer")
    (views / "outer").symlink_to(views.parent / "secret")
    with pytest.raises(SourceError, match="leads out"):
        check("views/inn*/*.csv")


def test_no_folder_beside_passes_for_the_views_by_its_name(check: Check, views: Path) -> None:
    beside = views.parent / "views-of-others"
    beside.mkdir()
    (beside / "c.csv").write_text("id,x\n")
    (views / "c.csv").symlink_to(beside / "c.csv")
    with pytest.raises(SourceError, match="leads out"):
        check("views/*.csv")


def test_a_link_that_stays_in_the_folder_is_followed(check: Check, views: Path) -> None:
    (views / "latest").symlink_to("202201")
    check("views/{month}/*.csv", month="latest")
    check("views/**/*.csv")


def ways_named(views: Path) -> List[str]:
    secret = views.parent / "secret"
    (views / "b.csv").symlink_to(secret / "b.csv")
    (views / "current").symlink_to(secret)
    (views.parent / "linked").symlink_to(views / "202201")
    (views / "202201" / "now.csv").symlink_to(secret / "b.csv")
    return ["views/b.csv", "views/current/b.csv", "linked/a.csv", "linked/a*.csv", "views/*/now.csv",
            "views/**/now.csv", "views/current/*/b.csv"]


@pytest.mark.parametrize("number", range(7))
def test_a_link_that_the_settings_write_out_is_followed(check: Check, views: Path, number: int) -> None:
    check(ways_named(views)[number])


def test_behind_a_link_that_is_written_out_no_other_leads_further(check: Check, views: Path) -> None:
    (views / "current").symlink_to(views.parent / "secret")
    (views.parent / "third").mkdir()
    (views.parent / "third" / "d.csv").write_text("id,x\n")
    (views.parent / "secret" / "202201" / "d.csv").symlink_to(views.parent / "third" / "d.csv")
    with pytest.raises(SourceError, match="d.csv leads out of the view's folder"):
        check("views/{which}/../current/*/d*.csv", which="202201")


def test_a_name_that_is_written_out_elsewhere_in_the_path_opens_no_wildcard(check: Check, views: Path) -> None:
    (views / "b.csv").symlink_to(views.parent / "secret")
    with pytest.raises(SourceError, match="leads out"):
        check("views/*/b.csv")
