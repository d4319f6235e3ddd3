"""The feature service without HTTP."""
import time

import pytest

from fate_ext_plugin.host.standalone import Standalone
from fate_ext_plugin.plugin import Plugin
from tests.conftest import MakeSite
from tests.support.site import wait_until


def test_a_result_that_was_promised_stays_whatever_fails_after_it(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row says success before the IDs are deleted; a disk that fails then must not take the result with it."""
    site = make_site(start=False)
    plugin = Plugin(site.settings, Standalone(site.settings))

    def broken(job_id: str, attempt: int) -> None:
        raise OSError("the disk is read-only")

    monkeypatch.setattr(plugin.storage, "clear_work", broken)
    plugin.start()
    try:
        job_id = plugin.service.upload({}, None, iter([b"u1\n"]))
        wait_until(lambda: not plugin.service.query(job_id).active, what="the job's end")
        time.sleep(0.5)
        assert plugin.service.query(job_id).status == "success"
        result = plugin.service.result(job_id, None)
        with result.file:
            assert result.file.read() == b"id,amount,age,vip\nu1,0.125,1,0\n"
    finally:
        plugin.stop()
