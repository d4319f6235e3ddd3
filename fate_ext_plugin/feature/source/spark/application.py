"""A Spark application for one job: started, watched and ended by the job's child process.

Its driver is a Java process that the child starts, and that ends when the child does, however that happens: it reads
from a pipe whose other end the child holds. With the driver, a cluster ends the application's executors.
"""
import os
import resource
import shlex
import shutil
import socket
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping

from fate_ext_plugin.errors import ExtError, SourceError
from fate_ext_plugin.feature.source import Progress
from fate_ext_plugin.util.periodic import run_periodically

CONNECT_SECONDS = 10
NAME = "fate_ext"
PREINSTALLED = "pip install 'fate-ext-plugin[spark]'"
# What ``conf`` may change.
DEFAULTS: Dict[str, str] = {
    "spark.ui.enabled": "false",  # it shows anyone what is joined
    "spark.ui.showConsoleProgress": "false",
    # Where no resource manager answers, Hadoop would try for a quarter of an hour.
    "spark.hadoop.yarn.resourcemanager.connect.max-wait.ms": "60000",
}
# What answers depend on: with another value they would not be those of source ``file``.
FIXED: Dict[str, str] = {
    "spark.app.name": NAME,
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "false",
    # Values of partitions stay the text they are.
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    # A row or a file is never left out without a word.
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.csv.parser.columnPruning.enabled": "false",
    # Days and times are read and written as they are stored.
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.writeLegacyFormat": "false",
    # Set per job.
    "spark.master": "", "spark.submit.deployMode": "", "spark.local.dir": "", "spark.sql.catalogImplementation": "",
}
JAVA_OPTIONS = "spark.{}.extraJavaOptions"
LOGGING = """
rootLogger.level = error
rootLogger.appenderRef.stderr.ref = stderr
# Said once more: otherwise it prints that it set the level itself.
logger.gateway.name = org.apache.spark.api.python.PythonGatewayServer
logger.gateway.level = error
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %c{1}: %m%n%ex
"""


@contextmanager
def application(master: str, conf: Mapping[str, str], hive: bool, scratch: Path) -> Iterator[Any]:
    """A SparkSession, stopped at the end.

    :param hive: its catalog is Hive's metastore.
    :param scratch: for what Spark writes on this machine.
    :raises SourceError: pyspark or Java is not installed, or the cluster can't be reached.
    """
    try:
        from pyspark import SparkConf, SparkContext, __version__
        from pyspark.sql import SparkSession
    except ImportError:
        raise SourceError(f"pyspark is not installed; run: {PREINSTALLED}") from None
    require_java()
    require_master(master)
    entries = _entries(master, conf, hive, scratch)
    try:
        with _own_limits():
            context = SparkContext(conf=SparkConf(loadDefaults=False).setAll(list(entries.items())))
    except Exception as error:
        raise SourceError(
            f"Spark did not start at {master}: {reason(error)} (pyspark here is {__version__}; the cluster's version "
            "must be the same.)") from error
    session = SparkSession(context)
    try:
        yield session
    finally:
        with suppress(Exception):  # it may have ended by itself
            session.stop()


def require_java() -> None:
    """:raises SourceError: there is no Java; looked for as Spark does, whose spark-env.sh may name one."""
    if not (os.environ.get("JAVA_HOME") or os.environ.get("SPARK_HOME") or shutil.which("java")):
        raise SourceError(
            "Spark needs Java, which is not installed here: install version 8, 11 or 17 (such as Debian's "
            "openjdk-17-jre-headless), or set JAVA_HOME for the server.")


def require_master(master: str) -> None:
    """:raises SourceError: no standalone master answers; Spark would take minutes to say so, and not clearly."""
    if not master.startswith("spark://"):
        return
    said = ""
    for address in master[len("spark://"):].split(","):
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
            return
        except (OSError, OverflowError) as error:
            said = str(error)
    raise SourceError(f"The Spark master {master} does not answer: {said}.")


def _entries(master: str, conf: Mapping[str, str], hive: bool, scratch: Path) -> Dict[str, str]:
    logging = scratch / "log4j2.properties"
    logging.write_text(LOGGING, "ascii")
    # A time without a zone, as ORC and text files hold it, is read in that of the process.
    options = {"driver": ["-Duser.timezone=UTC"], "executor": ["-Duser.timezone=UTC"]}
    # Where no metastore is named, Hive makes one in the folder it runs in.
    options["driver"] += [f"-Dlog4j2.configurationFile={logging.as_uri()}", f"-Dderby.system.home={scratch}"]
    return {
        **DEFAULTS, **conf, **FIXED,
        "spark.master": master, "spark.submit.deployMode": "client", "spark.local.dir": str(scratch),
        "spark.sql.catalogImplementation": "hive" if hive else "in-memory",
        **{JAVA_OPTIONS.format(of): " ".join([*map(shlex.quote, own), conf.get(JAVA_OPTIONS.format(of), "")]).strip()
           for of, own in options.items()},
    }


@contextmanager
def _own_limits() -> Iterator[None]:
    """A process that is started meanwhile is not bound by our memory limit; Java has spark.driver.memory."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@contextmanager
def reporting(spark: Any, progress: Progress) -> Iterator[None]:
    """Report the share of tasks done, of those Spark knows of so far."""
    tracker = spark.sparkContext.statusTracker()
    before = set(tracker.getJobIdsForGroup())

    def tell() -> None:
        with suppress(Exception):  # no reason to fail the job
            jobs = [tracker.getJobInfo(job) for job in set(tracker.getJobIdsForGroup()) - before]
            numbers = {number for job in jobs if job for number in job.stageIds}
            stages = [stage for stage in map(tracker.getStageInfo, numbers) if stage]
            done, all_ = sum(stage.numCompletedTasks for stage in stages), sum(stage.numTasks for stage in stages)
            # When all are done, Spark has not told yet of what comes next.
            if done < all_:
                progress(done / all_)

    with run_periodically(tell, 0.5):
        yield


@contextmanager
def explaining_errors() -> Iterator[None]:
    """Every error of Spark or Hadoop becomes a SourceError."""
    try:
        yield
    except (ExtError, MemoryError):
        raise
    except Exception as error:
        raise SourceError(f"Spark failed: {reason(error)}") from error


def reason(error: Exception) -> str:
    """What lies at the bottom of an error, in one line."""
    java = getattr(error, "java_exception", None)
    with suppress(Exception):  # Java may have ended
        while java is not None and java.getCause() is not None:
            java = java.getCause()
        if java is not None:
            return _first_line(str(java.toString()))
    return _first_line(str(error)) or type(error).__name__


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "")[:300]
