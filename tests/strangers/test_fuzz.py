"""A short run of :mod:`tests.strangers.fuzz`, always the same one."""
from tests.strangers.fuzz import run, settled, traces_of_ours
from tests.support.programs import takes_long
from tests.support.site import Site
from tests.support.stranger import of_process

EXCHANGES = 150  # of each client


@takes_long
def test_no_made_up_request_is_an_error_of_the_server_or_leaves_a_thread(site: Site) -> None:
    """After the first half the memory that requests take is known, and it does not grow."""
    threads = of_process(site, "Threads") + 2
    run(site, 1, lambda count: count < EXCHANGES)
    settled(site, threads)
    memory = of_process(site, "VmRSS")
    statuses = run(site, 2, lambda count: count < EXCHANGES)
    settled(site, threads)
    assert of_process(site, "VmRSS") - memory < 30_000
    assert not any(traces_of_ours(site.log.read_text("utf-8", "replace")))
    # It reaches what it is meant to reach.
    assert {200, 400, 401, 403, 404, 405} <= set(statuses), statuses
