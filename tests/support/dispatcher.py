"""The thread of a server that starts its jobs, and looks around for what other processes did."""
from tests.support.api_reader import ApiReader
from tests.support.slow_source import jobs_of


def let_it_look_around(api_reader: ApiReader) -> None:
    """Returns when it has gone through all that it does since, from beginning to end.

    It alone tells a held query that another process canceled the job. Needs a server whose jobs all run or wait for
    others to end, and the setting ``metrics``.
    """
    for _ in range(2):  # it was in the middle of one round
        job_id = api_reader.job(["canceled"])
        query = api_reader.held(job_id)
        assert jobs_of(api_reader.site).cancel(job_id)
        assert query.result()["status"] == "canceled"
