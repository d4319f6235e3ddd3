"""Long work shows a bar on stderr, at a terminal and nowhere else."""
import os
import pty
import select
import subprocess
import sys
from pathlib import Path
from typing import Callable, List, Tuple

from fate_ext_plugin.db.base import Store
from fate_ext_plugin.permission.grants import Grants
from tests.support.api_reader import ApiReader
from tests.support.builder import MakeSite
from tests.support.permission import grant
from tests.support.site import Site
from tests.support.slow_source import go, slow_view, wait_started


def at_terminal(site: Site, *arguments: str, begun: Callable[[], None]) -> Tuple[int, str, str]:
    """Status, stdout, and what a terminal shows of stderr; ``begun`` is called when it shows something."""
    ours, theirs = pty.openpty()
    output = site.folder / "stdout"
    with open(output, "w") as printed:
        process = subprocess.Popen(
            [sys.executable, "-m", "fate_ext_plugin.cli", *arguments, "--conf", str(site.conf)],
            stdout=printed, stderr=theirs, env=site.environment())
    os.close(theirs)
    shown = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        begun()
    os.close(ours)
    return process.wait(60), output.read_text(), shown.decode()


def test_applying_a_policy(kind_store: Store) -> None:
    """The bar's length is that of what is put in."""
    told: List[int] = []
    grants = [grant(f"g{number}") for number in range(120)]
    Grants(kind_store).replace(grants, [], progress=told.append)
    assert len(told) > 1 and sum(told) == 120


def test_following_a_job(make_site: MakeSite, tmp_path: Path) -> None:
    site = make_site(views={"slow": slow_view})
    job_id = ApiReader(site).job(["u1"], do="wait")
    wait_started(tmp_path, "u1")
    status, printed, shown = at_terminal(site, "jobs", "show", job_id, "--follow", begun=lambda: go(tmp_path))
    assert status == 0 and "success" in printed and "100%" in shown and job_id[-8:] in shown
    assert "100%" not in site.command("jobs", "show", job_id, "--follow").stdout
