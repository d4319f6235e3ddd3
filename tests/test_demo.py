"""`make demo`, as it is run by somebody who sees the project for the first time."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_the_demo_shows_the_whole_way_and_leaves_nothing_behind(tmp_path: Path) -> None:
    environment = dict(os.environ, TMPDIR=str(tmp_path), PYTHONPATH=str(ROOT))
    demo = subprocess.run(
        [sys.executable, "demo/run.py"], cwd=ROOT, env=environment, timeout=60,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert demo.returncode == 0, demo.stdout
    for essential in (
        "accepted as feature job",
        "190 of 233 IDs have features, 43 are unknown here",
        "   id,mean_radius,mean_texture,worst_area\n   patient_",
        "190 rows and a header line",
        "refused with HTTP 400",
        "'year'. Parameters of view 'tumours': month;",
        "What to try next:",
    ):
        assert essential in demo.stdout
    assert "token" not in demo.stdout
    assert list(tmp_path.iterdir()) == []
