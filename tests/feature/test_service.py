"""The feature service without HTTP."""
from pathlib import Path

import pytest

from fate_ext_plugin.host.standalone import Standalone
from fate_ext_plugin.plugin import Plugin
from tests.conftest import MakeSite, credit_view
from tests.support.site import PATIENCE_SECONDS


def test_a_result_that_was_promised_stays_whatever_fails_after_it(
    make_site: MakeSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row says success before the IDs are deleted; a disk that fails then must not take the result with it."""
    site = make_site({"views": {"credit": credit_view(tmp_path)}, "concurrent_jobs": 1}, start=False)
    plugin = Plugin(site.settings, Standalone(site.settings))

    def broken(job_id: str, attempt: int) -> None:
        raise OSError("the disk is read-only")

    monkeypatch.setattr(plugin.storage, "clear_work", broken)
    plugin.start()
    try:
        job_id, other = (plugin.service.upload({}, None, iter([b"u1\n"])) for _ in range(2))
        for _ in plugin.service.hold(other, PATIENCE_SECONDS, PATIENCE_SECONDS):
            pass  # it begins when all is over with the first
        assert plugin.service.query(job_id).status == plugin.service.query(other).status == "success"
        result = plugin.service.result(job_id, None)
        with result.file:
            assert result.file.read() == b"id,amount,age,vip\nu1,0.125,1,0\n"
    finally:
        plugin.stop()
